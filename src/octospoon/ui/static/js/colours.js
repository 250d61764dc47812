"use strict";
/* Colourings of the map. Classes have the colours of Okabe and Ito, then darker ones; numbers have cividis.
   All can be told apart with the common kinds of colour blindness. */
(function (o) {
  const CLASSES = [
    [230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0], [204, 121, 167],
    [148, 98, 0], [32, 104, 140], [0, 92, 66], [150, 140, 10], [110, 78, 160], [128, 50, 0], [126, 60, 100],
  ];
  const OTHER = [128, 128, 128];
  const NONE = [160, 160, 160];
  o.NONE = NONE; // the colour of images without a value
  const CIVIDIS = [
    [0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115],
    [138, 134, 121], [165, 156, 116], [195, 180, 104], [225, 204, 85], [254, 232, 56],
  ];
  const STATES = { scored: [86, 180, 233], claimed: [240, 228, 66], exported: [230, 159, 0], labelled: [0, 158, 115], quarantined: [204, 121, 167] };

  function cividis(share) {
    const at = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1);
    const low = Math.floor(at), high = Math.min(low + 1, CIVIDIS.length - 1);
    return CIVIDIS[low].map((value, i) => Math.round(value + (at - low) * (CIVIDIS[high][i] - value)));
  }

  /** Count the values of a column of names, the most frequent first; the last is -1, for none. */
  function categories(values, names, colour) {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
    const order = [...counts.keys()].sort((a, b) => (a < 0) - (b < 0) || counts.get(b) - counts.get(a) || a - b);
    return order.map((value, place) => ({
      value, name: value < 0 ? "none" : names[value], count: counts.get(value),
      colour: value < 0 ? NONE : colour(value, place),
    }));
  }

  function byNames(pool, column, names, colour) {
    const legend = categories(pool.columns[column], names, colour);
    const colours = new Map(legend.map((each) => [each.value, each.colour]));
    return { legend, of: (i) => colours.get(pool.columns[column][i]), has: (i, value) => pool.columns[column][i] === value };
  }

  function byNumber(values, missing, describe) {
    let low = Infinity, high = -Infinity, absent = 0;
    for (const value of values) {
      if (missing(value)) absent++;
      else { low = Math.min(low, value); high = Math.max(high, value); }
    }
    const share = (value) => (high > low ? (value - low) / (high - low) : 1);
    const any = high >= low;
    return {
      scale: any ? { low: describe(low), high: describe(high), stops: CIVIDIS } : null, absent,
      of: (i) => (missing(values[i]) ? NONE : cividis(share(values[i]))),
    };
  }

  /** Colour by the classes of labels or predictions, which may have several: an image counts for each of them,
      and has the colour of its rarest one. */
  function byClasses(pool, column) {
    const values = pool.columns[column], several = pool.members || pool.classes.map((name) => [name]);
    const members = several.map((names, i) => (names.length ? names : [pool.classes[i]])); // a label without a class
    const numbers = new Map(), counts = new Map();
    let none = 0;
    for (const value of values) if (value < 0) none++; else numbers.set(value, (numbers.get(value) || 0) + 1);
    for (const [value, number] of numbers) for (const name of members[value]) counts.set(name, (counts.get(name) || 0) + number);
    const order = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
    const place = new Map(order.map((name, i) => [name, i]));
    const rarest = new Map([...numbers.keys()].map((value) => [value, CLASSES[Math.max(...members[value].map((name) => place.get(name)))] || OTHER]));
    const sets = members.map((names) => new Set(names));
    const legend = order.map((name, i) => ({ value: name, name, count: counts.get(name), colour: CLASSES[i] || OTHER }));
    if (none) legend.push({ value: -1, name: "none", count: none, colour: NONE });
    return {
      legend, note: [...numbers.keys()].some((value) => members[value].length > 1) ? "An image with several classes counts for each, and has the colour of its rarest one." : null,
      of: (i) => (values[i] < 0 ? NONE : rarest.get(values[i])),
      has: (i, value) => (values[i] < 0 ? value === -1 : sets[values[i]].has(value)),
    };
  }

  const inOrder = (_, place) => CLASSES[place] || OTHER;

  /** The colourings by their name in the address; `in` says whether a pool has the values. */
  o.colourings = {
    state: { title: "State", make: (pool) => byNames(pool, "state", pool.states, (value) => STATES[pool.states[value]]) },
    predicted: { title: "Predicted class", make: (pool) => byClasses(pool, "predicted") },
    label: { title: "Label", make: (pool) => byClasses(pool, "label") },
    strategy: { title: "Chosen by", make: (pool) => byNames(pool, "strategy", pool.strategies, inOrder) },
    confidence: { title: "Confidence", make: (pool) => byNumber(pool.columns.confidence, Number.isNaN, o.percent) },
    round: { title: "Round", make: (pool) => byNumber(pool.columns.round, (value) => value < 0, (value) => `round ${value}`) },
    day: { title: "Day of upload", make: (pool) => byNumber(pool.columns.day, (value) => value < 0, o.day) },
    boxes: { title: "Number of boxes", in: (pool) => "boxes" in pool.columns, make: (pool) => byNumber(pool.columns.boxes, (value) => value < 0, (value) => `${value} ${value === 1 ? "box" : "boxes"}`) },
    drift: { title: "Drift", make: (pool) => byNumber(pool.columns.drift, Number.isNaN, (value) => value.toPrecision(3)) },
  };
})(octospoon);

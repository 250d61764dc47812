"use strict";
/* Charts as SVG, each with its numbers as a table. Series differ by their shape too, not by colour alone. */
(function (o) {
  const SPACE = "http://www.w3.org/2000/svg";
  const HEIGHT = 270, LEFT = 56, RIGHT = 14, TOP = 32, BOTTOM = 44, NARROWEST = 240;

  /** Return an element of a drawing, built as `o.h` does. */
  function s(tag, attributes, ...children) {
    const element = document.createElementNS(SPACE, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
    element.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
    return element;
  }

  /** Return a function from numbers between `low` and `high` to positions between `from` and `to`. */
  function scale(low, high, from, to) {
    const span = high - low || 1;
    return (value) => from + ((value - low) / span) * (to - from);
  }

  /** Return round numbers between two ends, about `n` of them. */
  o.ticks = function (low, high, n) {
    const rough = (high - low || 1) / Math.max(1, n), power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step + 0); // no -0
    return ticks;
  };

  const SHAPES = {
    circle: (x, y) => s("circle", { cx: x, cy: y, r: 4.5 }),
    square: (x, y) => s("rect", { x: x - 4, y: y - 4, width: 8, height: 8 }),
    triangle: (x, y) => s("path", { d: `M${x} ${y - 5}L${x + 5} ${y + 4}H${x - 5}Z` }),
    diamond: (x, y) => s("path", { d: `M${x} ${y - 6}L${x + 6} ${y}L${x} ${y + 6}L${x - 6} ${y}Z` }),
  };

  /** Return a chart. Its specification is:
      title, summary; empty: what is shown instead of a chart without points;
      x: { low, high, ticks: [[value, text]], label }; y: the same, and `log` for a logarithmic axis;
      series: [{ name, shape, tone, line, bars, points: [{ x, y, low, high, hollow, text }] }];
      rules: [{ y, text }] horizontal lines; marks: [{ x, text }] vertical lines; diagonal: draw y = x;
      table: { head, rows }. */
  o.chart = function (spec) {
    const figure = o.h("figure", { class: "chart" }, o.h("figcaption", {}, spec.title));
    if (!spec.series.some((each) => each.points.length)) return o.fill(figure, figure.firstChild, o.h("p", { class: "note" }, spec.empty));
    const stage = o.h("div", { class: "drawing" });
    let width = 0;
    new ResizeObserver(([entry]) => {
      const now = Math.max(NARROWEST, Math.floor(entry.contentRect.width));
      if (now !== width) { width = now; stage.replaceChildren(drawing(spec, width)); }
    }).observe(stage);
    return o.fill(figure, figure.firstChild, stage, legend(spec.series), o.numbers(spec.table));
  };

  /** Return a table behind a heading that opens it. */
  o.numbers = function (table) {
    return o.h("details", {}, o.h("summary", {}, "Numbers"), o.table(table.head, table.rows));
  };

  /** Return a table; the first cell of a row is its heading. */
  o.table = function (head, rows) {
    return o.h("div", { class: "scrolled", tabindex: "0", role: "group", "aria-label": `Table of ${head[0].toLowerCase()}` }, o.h("table", {},
      o.h("thead", {}, o.h("tr", {}, head.map((name) => o.h("th", { scope: "col" }, name)))),
      o.h("tbody", {}, rows.map((cells) => o.h("tr", {}, cells.map((cell, i) => (i ? o.h("td", {}, cell) : o.h("th", { scope: "row" }, cell))))))));
  };

  function legend(series) {
    if (series.length < 2) return null;
    return o.h("ul", { class: "keys" }, series.map((each) => o.h("li", {},
      s("svg", { width: 16, height: 16, viewBox: "0 0 16 16", "aria-hidden": "true", class: `tone${each.tone}` }, SHAPES[each.shape](8, 8)), " ", each.name)));
  }

  function drawing(spec, width) {
    const { x, y } = spec, right = width - RIGHT, bottom = HEIGHT - BOTTOM;
    const across = scale(x.low, x.high, LEFT + 18, right - 18);
    const rise = y.log ? scale(Math.log10(y.low), Math.log10(y.high), bottom, TOP) : scale(y.low, y.high, bottom, TOP);
    const up = (value) => rise(y.log ? Math.log10(value) : value);
    return s("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `${spec.title}. ${spec.summary}` },
      y.ticks.map(([value, text]) => [
        s("line", { class: "grid", x1: LEFT, x2: right, y1: up(value), y2: up(value) }),
        s("text", { class: "tick", x: LEFT - 6, y: up(value) + 4, "text-anchor": "end" }, text)]),
      thinned(x.ticks, across).map(([value, text]) => s("text", { class: "tick", x: across(value), y: bottom + 16, "text-anchor": "middle" }, text)),
      s("line", { class: "axis", x1: LEFT, x2: right, y1: bottom, y2: bottom }),
      s("text", { class: "label", x: (LEFT + right) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, x.label),
      s("text", { class: "label", x: 4, y: 12 }, y.label),
      spec.diagonal ? s("line", { class: "rule", x1: across(x.low), y1: up(x.low), x2: across(x.high), y2: up(x.high) }) : null,
      (spec.marks || []).map((mark) => [
        s("line", { class: "mark-line", x1: across(mark.x), x2: across(mark.x), y1: TOP, y2: bottom }),
        s("text", { class: "tick", x: across(mark.x) + 3, y: TOP - 4 }, mark.text)]),
      (spec.rules || []).map((rule) => [
        s("line", { class: "rule", x1: LEFT, x2: right, y1: up(rule.y), y2: up(rule.y) }),
        s("text", { class: "tick", x: right, y: up(rule.y) - 4, "text-anchor": "end" }, rule.text)]),
      spec.series.map((each) => (each.bars ? bars(each, across, up, bottom) : points(each, across, up, y))));
  }

  /** Leave out ticks whose texts would touch. */
  function thinned(ticks, across) {
    let end = -Infinity;
    return ticks.filter(([value, text]) => {
      const half = text.length * 3.6 + 5;
      if (across(value) - half < end) return false;
      end = across(value) + half;
      return true;
    });
  }

  function points(series, across, up, y) {
    const inside = (value) => up(Math.min(Math.max(value, y.low), y.high));
    const line = series.line && series.points.length > 1
      ? s("polyline", { points: series.points.map((point) => `${across(point.x)},${inside(point.y)}`).join(" "), fill: "none" }) : null;
    return s("g", { class: `tone${series.tone}` }, line, series.points.map((point) => {
      const at = across(point.x), known = point.low !== undefined && point.low !== null;
      return s("g", { class: point.hollow ? "point hollow" : "point" }, s("title", {}, point.text),
        known ? s("path", { class: "interval", d: `M${at} ${inside(point.low)}V${inside(point.high)}M${at - 4} ${inside(point.low)}h8M${at - 4} ${inside(point.high)}h8` }) : null,
        SHAPES[series.shape](at, inside(point.y)));
    }));
  }

  function bars(series, across, up, bottom) {
    const gaps = series.points.slice(1).map((point, i) => across(point.x) - across(series.points[i].x));
    const wide = Math.min(28, Math.max(1.5, Math.min(...gaps, 28) - 1));
    return s("g", { class: `tone${series.tone}` }, series.points.map((point) => s("g", { class: "point" }, s("title", {}, point.text),
      s("rect", { x: across(point.x) - wide / 2, y: up(point.y), width: wide, height: Math.max(0, bottom - up(point.y)) }))));
  }

  /** Return an axis for shares between two values, with room for them, in percent. */
  o.shares = function (values, label) {
    const lowest = Math.max(0, Math.floor(Math.min(...values, 1) * 10 - 0.5) / 10), low = Math.min(lowest, 0.9);
    return { low, high: 1, ticks: o.ticks(low, 1, 5).map((tick) => [tick, `${Math.round(100 * tick)} %`]), label };
  };

  /** Return an axis of days since 1970. */
  o.days = function (days, label) {
    const low = Math.min(...days), high = Math.max(...days), step = Math.max(1, Math.ceil((high - low) / 6));
    const ticks = [];
    for (let day = low; day <= high; day += step) ticks.push([day, o.day(day).slice(5)]);
    return { low: low === high ? low - 1 : low, high: low === high ? high + 1 : high, ticks, label: `${label}, ${o.day(high).slice(0, 4)}` };
  };

  o.dayNumber = (text) => Math.floor(Date.parse(`${text}T00:00:00Z`) / 86400000);

  /** Return an estimate in words. */
  o.estimate = function (estimate) {
    if (!estimate || estimate.value === null) return "unknown";
    const interval = estimate.low === null ? "" : `, 95 % interval ${o.percent(estimate.low)} to ${o.percent(estimate.high)}`;
    return `${o.percent(estimate.value)}${interval}, from ${o.count(estimate.labels, "label")}`;
  };
})(octospoon);

"use strict";
/* The view Image: the story of one image as a timeline, its nearest images, and its near-copies. */
(function (o) {
  o.views.image = {
    title: "Image",
    async show(content, { rest }) {
      const search = o.h("form", { class: "search", role: "search", onsubmit: (event) => { event.preventDefault(); const key = event.target.elements.key.value; if (key) location.hash = o.imageAddress(key); } },
        o.h("label", {}, "Object key ", o.h("input", { name: "key", value: rest, size: 40, autocomplete: "off", spellcheck: "false" })), " ", o.h("button", {}, "Show"));
      if (!rest) return void o.fill(content, o.h("h1", {}, "Image"), search, o.p("Enter the key of an image, or open one from the map or a batch."));
      o.fill(content, search, o.h("p", { role: "status" }, "Reading its story …"));
      let found;
      try {
        found = o.live ? await o.json("image", { key: rest }) : of(await o.pool(), await exported("stories"), await exported("boxes"), rest);
      } catch (error) {
        return void o.fill(content, o.h("h1", { class: "key" }, rest), search, o.failed(error));
      }
      const drawn = [...(found.boxes || []), ...o.guessed(found.predicted && found.predicted[2])];
      const { trace } = found, copies = found.nearest.filter((each) => each.near_copy), others = found.nearest.filter((each) => !each.near_copy);
      o.fill(content,
        o.h("h1", { class: "key" }, trace.key), search,
        o.h("div", { class: "with-side even" },
          o.h("div", {}, o.thumbnail(found.id, trace.key, o.live ? "large" : "small", drawn), drawn.length ? o.note("Solid boxes are the label, dashed ones the prediction.") : null, facts(trace, found.predicted)),
          !trace.timeline ? o.note("The export has no story of this image: it has those of rounds and figures.") : o.h("section", {}, o.h("h2", {}, "Story"), timeline(trace), trace.notes.map((note) => o.h("p", { class: "note" }, note)))),
        copies.length ? o.h("section", {}, o.h("h2", {}, "Near-copies"), o.p("Their embeddings differ by at most 0.003 in cosine distance. One round takes at most one of them, unless nothing else is left."), near(copies)) : null,
        o.h("section", {}, o.h("h2", {}, "Nearest images"), others.length ? near(others) : o.h("p", {}, copies.length ? "No others were compared." : "None can be compared yet: the pool is read in the background, and the image needs a score.")));
    },
  };

  const kept = {}; // the documents of a static export, which never change

  async function exported(name) { return (kept[name] = kept[name] || await o.json(name)); }

  /** Return what a static export knows of an image: the nearest images that it has, and the story and the boxes of some. */
  function of(pool, known, boxes, key) {
    const i = pool.keys.indexOf(key);
    if (i < 0) throw new Error("The export does not contain this image.");
    const { columns, classes, states, reasons } = pool;
    const named = (number) => (number < 0 ? null : classes[number]);
    const label = named(columns.label[i]), width = columns.near.length / pool.length;
    const predicted = named(columns.predicted[i]), given = predicted === null ? null : [predicted, columns.confidence[i]];
    return {
      id: pool.ids[i], ...(Object.hasOwn(boxes, key) ? boxes[key] : { predicted: given }),
      trace: Object.hasOwn(known, key) ? known[key] : {
        key, state: states[columns.state[i]], label: label === null ? null : { label }, reason: "", export: null, notes: [],
        quarantine: columns.reason[i] < 0 ? null : reasons[columns.reason[i]],
      },
      nearest: [...columns.near.slice(i * width, (i + 1) * width)].filter((at) => at >= 0).map((at) => ({
        key: pool.keys[at], id: pool.ids[at], state: states[columns.state[at]], label: named(columns.label[at]), predicted: named(columns.predicted[at]), distance: null, near_copy: false,
      })),
    };
  }

  function facts(trace, predicted) {
    const rows = [["State", trace.state]];
    if (predicted) rows.push(["Predicted", `${predicted[0]}, ${o.percent(predicted[1])}`]);
    if (trace.quarantine) rows.push(["Reason", trace.quarantine]);
    if (trace.label) rows.push(["Label", trace.label.label]);
    if (trace.label && "annotators" in trace.label) rows.push(["Agreement", trace.label.annotators ? `${o.percent(trace.label.agreement)} of ${trace.label.annotators}` : "imported"]);
    if (trace.reason) rows.push(["Reason", `${trace.reason}: ${trace.detail}`]);
    if (trace.export) rows.push(["Task", /^https?:/.test(trace.export.address) ? o.h("a", { href: trace.export.address, rel: "noreferrer" }, `${trace.export.task_id} in Label Studio`) : trace.export.task_id]);
    return o.h("dl", {}, rows.map(([name, value]) => [o.h("dt", {}, name), o.h("dd", {}, value)]));
  }

  function near(images) {
    return o.h("ul", { class: "gallery near" }, images.map((each) => o.h("li", {}, o.h("a", { href: o.imageAddress(each.key) },
      o.thumbnail(each.id, each.key, "small"),
      o.keyOf(each.key),
      o.h("span", {}, each.label ? `label ${each.label}` : each.predicted ? `predicted ${each.predicted}` : each.state),
      each.distance === null ? null : o.h("span", {}, `distance ${each.distance.toFixed(4)}`)))));
  }

  function timeline(trace) {
    return o.h("ol", { class: "timeline" }, trace.timeline.map((event) => o.h("li", {},
      o.h("time", {}, o.time(event.at)), " ", o.h("strong", {}, event.what), event.particulars ? o.h("span", { class: "particulars" }, linked(event.particulars, trace)) : null)));
  }

  /** Return particulars with the addresses that the story itself has as links; a label may look like one. */
  function linked(text, trace) {
    const addresses = new Map(trace.trainings.filter((each) => each.run).map((each) => [each.run, "in MLflow"]));
    if (trace.export) addresses.set(trace.export.address, "in Label Studio");
    for (const [address, name] of addresses) {
      const at = /^https?:\/\//.test(address) ? text.indexOf(address) : -1;
      if (at >= 0) return [text.slice(0, at), o.h("a", { href: address, rel: "noreferrer" }, name), text.slice(at + address.length)];
    }
    return text;
  }
})(octospoon);

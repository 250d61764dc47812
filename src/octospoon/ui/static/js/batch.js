"use strict";
/* The views Batch and Next: a round as a gallery, with why each image was chosen. */
(function (o) {
  const SHARES = { manual: "by hand", random: "control", drift: "drift", "new-class": "new class" };
  const share = (each) => (each.audit ? "audit" : SHARES[each.strategy] || each.strategy);

  o.views.batch = {
    title: "Batch",
    async show(content, { rest }) {
      const number = rest === "" ? null : rest;
      let batch;
      try {
        batch = await o.json("batch", number === null ? null : { round: number });
      } catch (error) {
        if (error.status === 400 && number === null) {
          return void o.fill(content, o.empty("There is no batch yet", "Choose one with `octospoon rank`, or wait for the schedule.", "The view Next shows which images it would be."));
        }
        throw error;
      }
      o.fill(content,
        o.h("h1", {}, `Round ${batch.number}`),
        o.live && batch.last > 1 ? steps(batch) : null,
        o.p(`Chosen ${batch.created_at.slice(0, 19).replace("T", " ")} UTC with model version ${batch.model_version}: ${o.count(batch.images.length, "image")}, ${progress(batch)}. ${shares(batch)}`),
        notes(batch), gallery(batch));
    },
  };

  o.views.next = {
    title: "Next",
    async show(content) {
      o.fill(content, o.h("p", { role: "status" }, "Choosing the next round …"));
      const batch = await o.json("preview");
      if (!batch.images.length) {
        return void o.fill(content, o.empty("No image can be chosen now", "Every image has a task or a label, or none is scored. Upload more images: `octospoon drop DIR`."));
      }
      o.fill(content,
        o.h("h1", {}, "Next round"),
        o.p(`A preview: nothing is stored or sent. If it ran now, \`octospoon rank\` would choose these ${o.count(batch.images.length, "image")} as round ${batch.number}. ${shares(batch)} Labels, uploads and a new model change the choice.`),
        notes(batch), gallery(batch));
    },
  };

  function progress(batch) {
    const labelled = batch.images.filter((each) => each.state === "labelled").length;
    return `${labelled} labelled so far`;
  }

  function shares(batch) {
    const counts = new Map();
    for (const each of batch.images) counts.set(share(each), (counts.get(share(each)) || 0) + 1);
    return `By share: ${[...counts].map(([name, number]) => `${name} ${number}`).join(", ")}.`;
  }

  function notes(batch) {
    return batch.notes.map((note) => o.note(`${note[0].toUpperCase()}${note.slice(1)}.`));
  }

  function steps(batch) {
    return o.h("p", { class: "buttons" },
      batch.number > 1 ? o.h("a", { class: "button", href: `#/batch/${batch.number - 1}`, rel: "prev" }, "Round before") : null,
      batch.number < batch.last ? o.h("a", { class: "button", href: `#/batch/${batch.number + 1}`, rel: "next" }, "Round after") : null);
  }

  function gallery(batch) {
    return o.h("ul", { class: "gallery cards" }, batch.images.map((each) => o.h("li", { class: "card" },
      o.h("a", { href: o.imageAddress(each.key), class: "picture" }, o.thumbnail(each.id, each.key, "small", o.guessed(each.boxes))),
      o.h("p", { class: "marks" }, o.h("span", { class: "mark" }, share(each)), each.state ? o.h("span", { class: `mark ${each.state}` }, each.state) : null),
      o.h("p", { class: "key" }, each.key),
      o.h("p", {}, each.why),
      each.predicted ? o.p(`Predicted ${each.predicted}, ${o.percent(each.confidence)}`) : each.blind ? o.p("The prediction is hidden until it is labelled.") : null,
      each.nearest.length ? o.h("div", { class: "nearest" }, o.p("Nearest labelled:"), o.h("ul", { class: "gallery tiny" }, each.nearest.map((near) => o.h("li", {}, o.h("a", { href: o.imageAddress(near.key) }, o.thumbnail(near.id, near.key, "small"), o.h("span", {}, near.label)))))) : null)));
  }
})(octospoon);

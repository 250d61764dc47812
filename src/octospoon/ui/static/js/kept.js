"use strict";
/* Views whose document the server keeps: shown at once, and read again in the background. */
(function (o) {
  const WAIT = 700;

  /** Show a kept document.
      `draw` returns the elements of the document; it also gets the whole answer of the server.
      Returns a function that ends the view. */
  o.kept = async function (content, name, title, draw) {
    let closed = false, timer = null;
    const later = (step) => { timer = setTimeout(() => { if (!closed) step().catch((error) => o.fill(content, o.failed(error))); }, WAIT); };

    async function show() {
      const kept = await o.json(name);
      if (closed) return;
      if (kept.document) {
        const line = o.h("p", { class: "note" }, o.text(freshness(kept)), " ", again());
        o.fill(content, o.h("h1", {}, title), line, draw(kept.document, kept));
        if (kept.reading) later(() => renewed(line, kept.read_at));
      } else if (kept.reading) {
        if (content.dataset.waits !== name) o.fill(content, o.h("h1", {}, title), o.h("p", { role: "status" }, "Reading …"));
        content.dataset.waits = name;
        later(show);
      } else {
        o.fill(content, o.failed(new Error(kept.error)), o.h("p", { class: "centred" }, again()));
      }
    }

    /** Offer the document that is being read, once it is there; what is open now stays. */
    async function renewed(line, before) {
      const kept = await o.json(name);
      if (kept.reading) return later(() => renewed(line, before));
      if (kept.read_at !== before) o.fill(line, "There is a newer state. ", o.h("button", { type: "button", onclick: show }, "Show it"));
      else if (kept.error) o.fill(line, o.text(freshness(kept)), " ", again());
    }

    function again() {
      if (!o.live) return null;
      return o.h("button", { type: "button", onclick: async () => { try { await o.act("again", [name]); await show(); } catch (error) { o.announce(error.message); } } }, "Read again");
    }

    await show();
    return () => { closed = true; clearTimeout(timer); };
  };

  function freshness(kept) {
    const failed = kept.error ? ` The last read failed: ${kept.error}` : "";
    return `Read ${o.live ? o.ago(kept.read_at) : o.time(kept.read_at)}.${failed}`;
  }
})(octospoon);

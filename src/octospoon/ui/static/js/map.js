"use strict";
/* The view Pool: the map, its legend, and the selection. */
(function (o) {
  const SHOWN = 60;
  // the snapshot and its map, as long as the server has no newer one: a return to the view draws nothing anew
  let kept = { number: -1, pool: null, view: null };

  /** Return a promise of the snapshot. It is read once, also when the view is opened again before it is there. */
  function snapshot(number) {
    if (kept.number !== number) {
      if (kept.view) kept.view.plot.close();
      const mine = { number, pool: o.pool(), view: null };
      mine.pool.catch(() => { mine.number = -1; }); // the next visit asks again
      kept = mine;
    }
    return kept.pool;
  }

  o.views.map = {
    title: "Pool",
    async show(content, { query, state }) {
      const pool = await snapshot(state.snapshot);
      if (!content.isConnected) return; // another view was opened in the meantime
      if (!pool) {
        return void o.fill(content, o.empty(state.reading ? "The pool is being read for the first time" : "The pool was not read yet",
          state.reading ? `${state.rows.toLocaleString("en")} rows so far. This page shows the map when all are read.` : state.error));
      }
      if (!pool.length) {
        return void o.fill(content, o.empty("The pool is empty",
          "Upload images: `octospoon drop DIR`. They appear here a few seconds later.",
          "If you have uploaded some, `octospoon doctor` says what is wrong."));
      }
      const view = kept.view = kept.view || new View(pool, state);
      view.show(content, query.get("colour"), state);
      return () => view.hide();
    },
  };

  class View {
    constructor(pool, state) {
      this.pool = pool; this.chosen = new Set(); this.isolated = null;
      this.name = state.counts.labelled ? "label" : "state";
      this.stage = o.h("div", { class: "map", role: "img", "aria-label": "Map of the pool. The legend and the buttons select images without a pointer." });
      this.tip = o.h("div", { class: "tip", hidden: true });
      this.legend = o.h("section", { class: "legend", "aria-label": "Legend" });
      this.panel = o.h("section", { class: "selection", "aria-label": "Selection" });
      this.hint = o.h("p", { class: "note" });
      this.select = o.h("select", { onchange: (event) => { history.replaceState(null, "", `#/map?colour=${event.target.value}`); this.colourBy(event.target.value); } });
      this.colourings = Object.fromEntries(Object.entries(o.colourings).filter(([, each]) => !each.in || each.in(pool)));
      for (const [name, { title }] of Object.entries(this.colourings)) this.select.append(o.h("option", { value: name }, title));
      this.lassoButton = o.h("button", { type: "button", "aria-pressed": "false", title: "Key: L. With a mouse, Shift and drag does the same.", onclick: () => this.toggleLasso() }, "Lasso");
      const tools = [
        this.lassoButton,
        this.button("Zoom in", "+", () => this.plot.zoomBy(1)),
        this.button("Zoom out", "−", () => this.plot.zoomBy(-1)),
        this.button("Show everything", "Fit", () => this.plot.reset())];
      this.counts = o.h("p", { class: "counts" });
      this.root = o.h("div", {},
        o.h("div", { class: "title" },
          o.h("h1", {}, "Pool"), this.counts,
          o.h("div", { class: "tools", role: "toolbar", "aria-label": "Map" }, o.h("label", {}, "Colour by ", this.select), tools)),
        o.h("div", { class: "with-side" }, o.h("div", { class: "frame" }, this.stage, this.tip), o.h("div", { class: "side" }, this.legend, this.panel)),
        this.hint);
      this.key = (event) => this.pressed(event);
    }

    show(content, colour, state) {
      o.fill(content, this.root);
      o.fill(this.hint, o.text(this.note(state)));
      this.counts.textContent = `${o.count(state.total, "image")}: ${Object.entries(state.counts).filter(([, number]) => number).map(([name, number]) => `${number.toLocaleString("en")} ${name}`).join(", ")}`;
      document.addEventListener("keydown", this.key);
      const wanted = colour in this.colourings ? colour : this.name;
      if (!this.plot) {
        this.plot = this.plotted();
        this.listSelection();
      } else if (wanted === this.name) return;
      this.colourBy(wanted);
    }

    plotted() {
      return new o.Scatter(this.stage, this.pool.columns.place, {
        hovered: (i, x, y) => this.hover(i, x, y),
        clicked: (i) => { location.hash = o.imageAddress(this.pool.keys[i]); },
        lassoed: (found, added) => this.choose(found, added),
      });
    }

    hide() { document.removeEventListener("keydown", this.key); this.tip.hidden = true; }

    button(label, text, act) { return o.h("button", { type: "button", "aria-label": label, title: label, onclick: act }, text); }

    note(state) {
      const { pool } = this, parts = [];
      if (pool.total > pool.length) parts.push(`A uniform sample of ${o.count(pool.length, "image")} of ${pool.total.toLocaleString("en")}.`);
      let placed = 0;
      for (let i = 0; i < pool.length; i++) if (!Number.isNaN(pool.columns.place[2 * i])) placed++;
      if (placed < pool.length) parts.push(`${o.count(pool.length - placed, "image")} without a comparable embedding ${pool.length - placed === 1 ? "is" : "are"} not on the map: in quarantine, or embedded by another backbone.`);
      parts.push(pool.method === "map" ? "Near images look similar to the model (t-SNE); distances between far groups mean little." : "The two main components of the embeddings. The map with neighbours is computed when there are 50 images.");
      if (!state.counts.labelled) parts.push("There are no labels yet: run `octospoon rank`, and label the tasks in Label Studio.");
      if (state.model_version === 0) parts.push("No trained model is in service yet, so there are no predicted classes.");
      return parts.join(" ");
    }

    colourBy(name) {
      this.name = name; this.select.value = name; this.isolated = null;
      this.colour();
    }

    colour() {
      const colouring = this.colourings[this.name].make(this.pool);
      this.colouring = colouring;
      o.fill(this.legend, o.h("h2", {}, this.colourings[this.name].title), colouring.legend ? this.names(colouring) : this.scale(colouring));
      this.paint();
    }

    names({ legend, note }) {
      const list = o.h("ul", {});
      for (const each of legend) {
        const swatch = o.h("span", { class: "swatch" });
        swatch.style.backgroundColor = `rgb(${each.colour.join(",")})`;
        const pressed = this.isolated === each.value;
        list.append(o.h("li", {}, o.h("button", { type: "button", "aria-pressed": String(pressed), onclick: () => { this.isolated = pressed ? null : each.value; this.colour(); } },
          swatch, o.h("span", { class: "name", title: each.name }, each.name), o.h("span", { class: "number" }, each.count.toLocaleString("en")))));
      }
      const some = this.isolated !== null;
      return [list, note ? o.note(note) : null, o.h("button", { type: "button", disabled: !some, onclick: () => this.choose(this.indices((i) => this.colouring.has(i, this.isolated)), false) }, "Select what stands out")];
    }

    scale(colouring) {
      if (!colouring.scale) return o.p("No image has this value yet.");
      const { low, high, stops } = colouring.scale, bar = o.h("div", { class: "bar" });
      bar.style.backgroundImage = `linear-gradient(to right, ${stops.map((stop) => `rgb(${stop.join(",")})`).join(",")})`;
      return [bar, o.h("p", { class: "ends" }, o.h("span", {}, low), o.h("span", {}, high)), colouring.absent ? o.p(`${o.count(colouring.absent, "image")} without a value, in grey`) : null];
    }

    indices(wanted) { const found = []; for (let i = 0; i < this.pool.length; i++) if (wanted(i)) found.push(i); return found; }

    paint() { this.plot.paint(this.colouring.of, (i) => this.isolated === null || this.colouring.has(i, this.isolated), this.chosen); }

    choose(found, added) {
      this.chosen = new Set(added ? [...this.chosen, ...found] : found);
      this.paint(); this.listSelection();
      o.announce(`${o.count(this.chosen.size, "image")} selected`);
    }

    toggleLasso() {
      this.plot.lasso = !this.plot.lasso;
      this.lassoButton.setAttribute("aria-pressed", String(this.plot.lasso));
      this.stage.classList.toggle("drawing", this.plot.lasso);
    }

    pressed(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || document.querySelector("dialog")) return;
      const step = 60;
      const keys = {
        l: () => this.toggleLasso(), Escape: () => this.choose([], false), "+": () => this.plot.zoomBy(0.5), "-": () => this.plot.zoomBy(-0.5), 0: () => this.plot.reset(),
        ArrowLeft: () => this.plot.panBy(-step, 0), ArrowRight: () => this.plot.panBy(step, 0), ArrowUp: () => this.plot.panBy(0, step), ArrowDown: () => this.plot.panBy(0, -step),
      };
      if (keys[event.key]) { keys[event.key](); event.preventDefault(); }
    }

    facts(i) {
      const { columns, classes, states, strategies, reasons } = this.pool, parts = [states[columns.state[i]]];
      if (columns.label[i] >= 0) parts.push(`label ${classes[columns.label[i]]}`);
      if (columns.predicted[i] >= 0) parts.push(`predicted ${classes[columns.predicted[i]]}, ${o.percent(columns.confidence[i])}`);
      if (columns.round[i] >= 0) parts.push(`round ${columns.round[i]}, ${columns.audit[i] ? "audit" : strategies[columns.strategy[i]] || "unknown"}`);
      if (columns.reason[i] >= 0) parts.push(reasons[columns.reason[i]]);
      return parts.join(" · ");
    }

    hover(i, x, y) {
      if (i < 0 || this.plot.path.length) { this.tip.hidden = true; this.hovered = -1; return; }
      if (i !== this.hovered) {
        this.hovered = i;
        o.fill(this.tip, o.thumbnail(this.pool.ids[i], this.pool.keys[i], "small"), o.h("p", { class: "key" }, this.pool.keys[i]), o.h("p", {}, this.facts(i)));
      }
      this.tip.hidden = false;
      const right = x > this.stage.clientWidth - 200, low = y > this.stage.clientHeight - 240;
      this.tip.style.left = `${right ? x - 190 : x + 12}px`;
      this.tip.style.top = `${low ? Math.max(0, y - 240) : y + 12}px`;
    }

    listSelection() {
      const all = [...this.chosen], { pool } = this;
      if (!all.length) return void o.fill(this.panel, o.h("h2", {}, "Selection"), o.p("Draw around images with the lasso, or choose a row of the legend and select what stands out."));
      const inState = (wanted) => all.filter((i) => pool.states[pool.columns.state[i]] === wanted).map((i) => pool.keys[i]);
      const free = inState("scored");
      const retired = all.filter((i) => pool.reasons[pool.columns.reason[i]] === "retired").map((i) => pool.keys[i]);
      const gallery = o.h("ul", { class: "gallery small" }, all.slice(0, SHOWN).map((i) => o.h("li", {}, o.h("a", { href: o.imageAddress(pool.keys[i]), title: this.facts(i) }, o.thumbnail(pool.ids[i], pool.keys[i], "small")))));
      o.fill(this.panel,
        o.h("h2", {}, `${o.count(all.length, "image")} selected`),
        o.live ? o.h("p", { class: "buttons" },
          o.h("button", { type: "button", class: "primary", disabled: !free.length, onclick: () => this.label(free) }, `Label ${free.length.toLocaleString("en")}`),
          o.h("button", { type: "button", disabled: !free.length, onclick: () => this.retire(free) }, `Retire ${free.length.toLocaleString("en")}`),
          retired.length ? o.h("button", { type: "button", onclick: () => this.act("restore", retired) }, `Restore ${retired.length.toLocaleString("en")}`) : null) : null,
        o.h("p", { class: "buttons" },
          o.h("button", { type: "button", onclick: () => this.saveCsv(all) }, "Save CSV"),
          o.h("button", { type: "button", onclick: () => this.saveJson(all) }, "Save JSON"),
          o.h("button", { type: "button", onclick: () => this.choose([], false) }, "Clear")),
        gallery,
        all.length > SHOWN ? o.p(`The first ${SHOWN} are shown.`) : null);
    }

    async label(keys) {
      const sure = await o.confirmed(`Send ${o.count(keys.length, "image")} to the annotators?`, [
        "They become a labelling round of their own, with the strategy “manual”.",
        "They are not drawn at random: models are trained on them, but no accuracy and no comparison of strategies is measured on them."], "Send");
      if (sure) await this.act("label", keys);
    }

    async retire(keys) {
      const sure = await o.confirmed(`Retire ${o.count(keys.length, "image")} from the pool?`, [
        "No round chooses a retired image. Nothing is deleted, and you can restore it here.",
        "Accuracy then describes the images that are left."], "Retire");
      if (sure) await this.act("retire", keys);
    }

    async act(name, keys) {
      const status = o.h("p", { role: "status" }, "Working …");
      this.panel.prepend(status);
      try {
        const report = await o.act(name, keys);
        status.textContent = {
          label: () => (report.exported ? `Round ${report.round}: ${o.count(report.exported, "image")} were sent to the annotators.` : `Round ${report.round} waits: ${report.reason}. The next run of rank sends it.`),
          retire: () => `${o.count(report.moved, "image")} retired.`, restore: () => `${o.count(report.moved, "image")} restored.`,
        }[name]() + (report.left ? ` ${report.left} left as they were.` : "");
        if (name === "label") status.append(" ", o.h("a", { href: `#/batch/${report.round}` }, "Show the round"));
      } catch (error) {
        status.textContent = error.message;
      }
    }

    rows(all) {
      const { pool } = this;
      const name = (names, number) => (number < 0 ? null : names[number]);
      return all.map((i) => ({
        key: pool.keys[i], state: pool.states[pool.columns.state[i]], label: name(pool.classes, pool.columns.label[i]),
        predicted: name(pool.classes, pool.columns.predicted[i]), confidence: Number.isNaN(pool.columns.confidence[i]) ? null : pool.columns.confidence[i],
      }));
    }

    saveJson(all) { o.save("selection.json", "application/json", JSON.stringify(this.rows(all), null, 1)); }

    saveCsv(all) {
      const rows = this.rows(all), names = ["key", "state", "label", "predicted", "confidence"];
      const cell = (value) => (value === null ? "" : /[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
      o.save("selection.csv", "text/csv", [names.join(","), ...rows.map((row) => names.map((each) => cell(row[each])).join(","))].join("\r\n") + "\r\n");
    }
  }
})(octospoon);

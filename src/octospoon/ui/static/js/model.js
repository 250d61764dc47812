"use strict";
/* The view Model: learning curve, calibration, confusion, mistakes, differences of versions, and decisions. */
(function (o) {
  const MOST_CLASSES = 20, WORST = 24, AT_ONCE = 60, DECISIONS = 4, SHORT = 6;

  o.views.model = {
    title: "Model",
    show: (content, { query, state }) => o.kept(content, "model", "Model", (document) => drawn(document, query, state)),
  };

  function drawn(document, query, state) {
    const decided = document.jobs.filter((job) => job.decision).map((job) => job.decision).reverse();
    if (document.version === null && !decided.length) {
      return o.empty("There is no trained model yet", "Label a batch: `octospoon rank` sends one to the annotators. The first training job starts by itself.", `${o.count(document.new_labels, "new label")} so far; \`octospoon status\` says how many start it.`);
    }
    const curve = [pair(learning(decided, document.metric), decisions(decided, state))];
    if (document.version === null) return [...curve, section("Audit images", o.note("No trained model is in service, so nothing can be judged."))];
    return [accuracy(document), ...curve, ...judged(document, query)];
  }

  function section(title, ...children) {
    return o.h("section", { class: "part" }, o.h("h2", {}, title), children);
  }

  const pair = (...sections) => o.h("div", { class: "pair" }, sections);

  function accuracy({ measured, version, metric, task_type: type }) {
    const { evaluation, fold_heads: folds, left_out: left, unpredicted } = measured;
    const notes = [];
    if (folds) notes.push(`The model was trained on ${o.count(folds, "audit label")}; a head that has not seen it judges each.`);
    if (left) notes.push(`${o.count(left, "audit label")} left out, because ${type === "detection" ? "the model was trained on" : "every head has seen"} the image.`);
    if (unpredicted) notes.push(`${o.count(unpredicted, "audit label")} left out, because no boxes of this version are stored for the image.`);
    return section(`Version ${version}, in service`,
      o.p(`${o.sentence(o.metric(metric))}: ${o.estimate(evaluation.accuracy)}.`),
      type === "detection" ? o.p(`AP50:95: ${o.estimate(evaluation.average_precision)}.`) : null,
      evaluation.subset_accuracy ? o.p(`The whole set of classes is right for ${o.estimate(evaluation.subset_accuracy)}. Micro F1: ${o.estimate(evaluation.micro_f1)}.`) : null,
      type === "classification" && evaluation.recall.length ? o.h("details", {}, o.h("summary", {}, "By class"), o.table(["Class", "Recall", "95 % interval", "Audit labels"],
        evaluation.recall.map((each, i) => [measured.classes[i], o.percent(each.value), each.labels ? `${o.percent(each.low)} to ${o.percent(each.high)}` : "", each.labels]))) : null,
      notes.length ? o.note(notes.join(" ")) : null);
  }

  function decisions(decided, state) {
    const title = "What the gate decided";
    if (!decided.length) return section(title, o.note("No job has trained a model yet."));
    const item = (each) => o.h("li", { class: each.promoted ? "promoted" : "refused" },
      o.h("strong", {}, `Version ${each.version} was ${each.promoted ? "promoted" : "refused"}`), ` on ${o.time(each.decided_at)}: ${each.reasons.join("; ") || "no reason is recorded"}. `,
      o.live ? o.h("a", { href: `run/${each.version}`, rel: "noreferrer" }, "Run in MLflow") : null);
    const newest = decided.slice().reverse(), older = newest.splice(DECISIONS);
    return section(title, o.h("ul", { class: "decisions" }, newest.map(item)),
      o.live && location.port !== String(state.linked_port) ? o.note(`The links in MLflow lead to port ${state.linked_port}. This page is at port ${location.port}: put that into their address, or start \`octospoon ui\` while port ${state.linked_port} is free.`) : null,
      older.length ? o.h("details", {}, o.h("summary", {}, o.count(older.length, "earlier decision")), o.h("ul", { class: "decisions" }, older.map(item))) : null);
  }

  function learning(decided, metric) {
    const named = o.metric(metric);
    const title = "Learning curve", has = (name) => decided.filter((each) => name in each.measures);
    const x = (each) => each.measures.training_labels ?? each.measures.labels;
    const measured = has(metric).filter((each) => x(each) !== undefined), compared = has(`control_${metric}`);
    const point = (each, y, low, high) => ({ x: x(each), y, low, high, hollow: !each.promoted, text: `version ${each.version}, ${x(each)} labels: ${o.percent(y)}, ${each.promoted ? "promoted" : "refused"}` });
    const versions = { name: "each version (hollow: refused)", shape: "circle", tone: 0, line: false, points: measured.map((each) => point(each, each.measures[metric], each.measures[`${metric}_low`], each.measures[`${metric}_high`])) };
    const arm = (name, label, shape, tone) => ({ name: label, shape, tone, line: true, points: compared.map((each) => ({ x: each.measures.control_labels, y: each.measures[name], text: `${label}, ${each.measures.control_labels} labels: ${o.percent(each.measures[name])}` })) });
    const series = compared.length ? [versions, arm(`strategy_${metric}`, "strategy, equally many labels", "square", 1), arm(`control_${metric}`, "random control", "triangle", 2)] : [versions];
    const all = series.flatMap((each) => each.points), most = Math.max(...all.map((each) => each.x), 1);
    const share = (value) => (value === undefined ? "" : o.percent(value));
    const newest = compared[compared.length - 1], last = measured[measured.length - 1];
    return section(title,
      o.chart({
        title: `${o.sentence(named)} by number of labels`, summary: last ? `${o.count(measured.length, "version")}; version ${last.version} has ${o.percent(last.measures[metric])} with ${x(last)} labels.` : "",
        empty: `No version was measured: ${named} needs labels of the audit share.`,
        x: { low: 0, high: most, ticks: o.ticks(0, most, 6).map((tick) => [tick, tick.toLocaleString("en")]), label: "labels" },
        y: o.shares(all.map((each) => each.low ?? each.y), `${named}, 95 % interval`), series,
        table: { head: ["Version", "Decision", "Labels", o.sentence(named), "95 % interval", "Labels of each arm", "Strategy", "Random control"], rows: decided.map((each) => [
          each.version, each.promoted ? "promoted" : "refused", x(each) ?? "", share(each.measures[metric]), `${metric}_low` in each.measures ? `${o.percent(each.measures[`${metric}_low`])} to ${o.percent(each.measures[`${metric}_high`])}` : "",
          each.measures.control_labels ?? "", share(each.measures[`strategy_${metric}`]), share(each.measures[`control_${metric}`])]) },
      }),
      o.h("p", { class: "note" }, newest
        ? `At version ${newest.version}, two heads were fitted on ${newest.measures.control_labels} labels each. The strategy leads random choice by ${signed(newest.measures.strategy_lead_low)} to ${signed(newest.measures.strategy_lead_high)} (95 % interval).`
        : "No random control can be compared yet. The parameter ControlShare gives a part of each batch to random choice."));
  }

  const signed = (share) => `${share > 0 ? "+" : share < 0 ? "−" : ""}${Math.abs(100 * share).toFixed(1)} points`;

  /** Return the sections that show audit images; `query` names a cell of the matrix, or a version to compare with. */
  function judged(document, query) {
    const { images, versions } = document, now = versions[0];
    const rows = images.map((image, i) => ({ ...image, predicted: now.predicted[i], confidence: now.confidence[i], right: now.right[i], ...parts(image, now.parts && now.parts[i]) })).filter((each) => each.right !== null);
    if (!rows.length) return [section("Audit images", o.note("No image of the audit share has a label that this version can be judged by. Label a batch: a part of each is drawn at random for this."))];
    return [
      document.sampled ? o.note(`There are more audit images. What follows shows a uniform sample of ${images.length.toLocaleString("en")}.`) : null,
      pair(calibration(document.calibration, document.task_type !== "classification"), confusion(document, rows, query)),
      mistakes(rows, document.task_type === "detection"), differences(document, query)];
  }

  function calibration(bins, whole) {
    const points = bins.map((bin) => ({ x: bin.confidence, y: bin.accuracy, low: bin.low, high: bin.high, text: `${o.count(bin.images, "image")}: confidence ${o.percent(bin.confidence)}, accuracy ${o.percent(bin.accuracy)}` }));
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((tick) => [tick, `${100 * tick} %`]);
    return section("Calibration",
      o.p(`A calibrated model is right as often as it says. Below the line it is too sure.${whole ? " A prediction counts as right if all of it is." : ""}`),
      o.chart({
        title: "Accuracy by confidence", summary: o.count(bins.length, "group"), x: { low: 0, high: 1, ticks, label: "confidence" }, y: { low: 0, high: 1, ticks, label: "accuracy, 95 % interval" },
        diagonal: true, series: [{ name: "audit images", shape: "circle", tone: 0, line: false, points }],
        table: { head: ["Confidence", "Accuracy", "95 % interval", "Images"], rows: bins.map((bin) => [o.percent(bin.confidence), o.percent(bin.accuracy), `${o.percent(bin.low)} to ${o.percent(bin.high)}`, bin.images]) },
      }));
  }

  /** Return how a prediction differs from the label, and the boxes of both; nothing where each image has one class. */
  function parts(image, predicted) {
    if (!predicted) return {};
    const { missed, added } = predicted;
    return { missed, added, boxes: [...image.boxes.map((box, i) => ({ ...box, right: predicted.found[i] })), ...o.guessed(predicted.boxes)] };
  }

  const DRAWN = "Solid boxes are labels, dashed ones predictions. Where both agree, they are faint.";
  const CONFUSED = { missed: "missed", added: "predicted without being there" };

  const range = (each) => (each && each.value !== null ? `${o.percent(each.value)}${each.low === null ? "" : `, ${o.percent(each.low)} to ${o.percent(each.high)}`}` : "unknown");

  /** Return the figures of each class, where an image can have several. */
  function byClass({ measured, task_type: type }, rows, query) {
    const { recall, precision, class_ap50: half, class_average_precision: whole } = measured.evaluation, name = query.get("class"), kind = query.get("kind");
    const known = measured.classes.includes(name) && kind in CONFUSED, open = known ? rows.filter((row) => row[kind].includes(name)) : [];
    const count = (of, wanted) => {
      const number = rows.filter((row) => row[wanted].includes(of)).length;
      return number ? o.h("a", { href: `#/model?${new URLSearchParams({ class: of, kind: wanted })}`, "aria-label": `${o.count(number, "image")} with ${of} ${CONFUSED[wanted]}` }, String(number)) : "0";
    };
    const boxes = type === "detection", labels = (i) => (recall[i] ? recall[i].labels : "");
    const figures = boxes ? (i) => [range(half[i]), range(whole[i]), range(recall[i]), labels(i)] : (i) => [range(precision && precision[i]), range(recall[i]), labels(i)];
    return section("Class by class",
      o.p(`${o.count(rows.length, "audit image")}. ${boxes ? "Missed and added count images: those with an object that no box finds, and those with a box that finds no object, at an overlap of one half." : "An image can have several classes, so there is no confusion matrix."} A number opens its images; the intervals are of 95 %.`),
      o.table(["Class", ...(boxes ? ["AP50", "AP50:95", "Recall", "Objects"] : ["Precision", "Recall", "Labels"]), "Missed", "Added"], measured.classes.map((each, i) => [each, ...figures(i), count(each, "missed"), count(each, "added")])),
      known ? o.h("div", { id: "cell", tabindex: "-1" }, o.h("h3", {}, `${o.count(open.length, "image")} with ${name} ${CONFUSED[kind]}`), boxes ? o.note(DRAWN) : null,
        gallery(open, (each) => `label ${each.label}, predicted ${each.predicted}`)) : null);
  }

  const cellAddress = (label, predicted) => `#/model?${new URLSearchParams({ label, predicted })}`;

  function confusion(document, rows, query) {
    const title = "Confusion";
    if (document.task_type !== "classification") return byClass(document, rows, query);
    const cells = new Map();
    const at = (label, predicted) => JSON.stringify([label, predicted]);
    for (const row of rows) { const cell = at(row.label, row.predicted); if (cells.has(cell)) cells.get(cell).push(row); else cells.set(cell, [row]); }
    const order = [...new Set([...document.measured.classes, ...rows.flatMap((row) => [row.label, row.predicted])])];
    const label = query.get("label"), predicted = query.get("predicted"), open = cells.get(at(label, predicted));
    return section(title,
      o.p(`${o.count(rows.length, "audit image")}. A number opens its images.`),
      order.length <= MOST_CLASSES ? matrix(order, cells, at, [label, predicted]) : frequent(cells),
      label === null || predicted === null ? null : o.h("div", { id: "cell", tabindex: "-1" },
        o.h("h3", {}, `${o.count(open ? open.length : 0, "image")} with the label ${label}, predicted ${predicted}`),
        gallery((open || []).slice().sort((a, b) => b.confidence - a.confidence), (each) => o.percent(each.confidence))));
  }

  function matrix(order, cells, at, [label, predicted]) {
    const totals = new Map(order.map((row) => [row, order.reduce((sum, column) => sum + (cells.get(at(row, column)) || []).length, 0)]));
    const cell = (row, column) => {
      const number = (cells.get(at(row, column)) || []).length, share = number / (totals.get(row) || 1);
      const kind = `${row === column ? "hit" : "miss"} level${number ? Math.min(4, 1 + Math.floor(4 * share)) : 0}`;
      return o.h("td", { class: kind }, number ? o.h("a", { href: cellAddress(row, column), "aria-label": `${o.count(number, "image")} with the label ${row}, predicted ${column}`, "aria-current": row === label && column === predicted ? "true" : null }, String(number)) : "0");
    };
    return o.h("div", { class: "scrolled", tabindex: "0", role: "group", "aria-label": "Confusion matrix" }, o.h("table", { class: order.some((name) => name.length > SHORT) ? "matrix long" : "matrix" },
      o.h("caption", {}, "Rows are labels, columns are predictions."),
      o.h("thead", {}, o.h("tr", {}, o.h("th", { scope: "col" }, "Label"), order.map((name) => o.h("th", { scope: "col", title: name }, o.h("span", {}, name))))),
      o.h("tbody", {}, order.map((row) => o.h("tr", {}, o.h("th", { scope: "row", title: row }, row), order.map((column) => cell(row, column)))))));
  }

  /** Return the most frequent confusions, where a matrix would be too large to read. */
  function frequent(cells) {
    const some = [...cells].map(([cell, rows]) => [...JSON.parse(cell), rows.length]).filter(([row, column]) => row !== column).sort((a, b) => b[2] - a[2]).slice(0, 30);
    if (!some.length) return o.p("No image is confused.");
    return o.table(["Label", "Predicted", "Images"], some.map(([row, column, number]) => [row, column, o.h("a", { href: cellAddress(row, column) }, String(number))]));
  }

  function mistakes(rows, boxes) {
    const wrong = rows.filter((row) => !row.right).sort((a, b) => b.confidence - a.confidence);
    if (!wrong.length) return section("Worst mistakes", o.p(`None: all ${o.count(rows.length, "audit image")} are predicted right.`));
    return section("Worst mistakes",
      o.p(`${o.count(wrong.length, "audit image")} of ${rows.length.toLocaleString("en")} ${wrong.length === 1 ? "is" : "are"} predicted wrong; the surest mistakes come first. A wrong label looks the same: open the image to see who gave it.`), boxes ? o.note(DRAWN) : null,
      gallery(wrong, (each) => `label ${each.label}, predicted ${each.predicted}, ${o.percent(each.confidence)}`, WORST));
  }

  function differences(document, query) {
    const title = "What changed between two versions", { images, versions } = document;
    if (versions.length < 2) return section(title, o.note(`There is no other version${document.task_type === "detection" ? "" : " with the same backbone"} to compare with.`));
    const number = (name, fallback) => { const wanted = Number(query.get(name)); return versions.some((each) => each.version === wanted) && query.has(name) ? wanted : fallback; };
    const first = number("version", versions[0].version), second = number("against", versions.find((each) => each.version !== first).version);
    const [now, before] = [first, second].map((wanted) => versions.find((each) => each.version === wanted));
    const choose = (name, chosen) => o.h("select", { name, "aria-label": name === "version" ? "Version" : "Compared with version", onchange: (event) => { const form = event.target.form.elements; location.hash = `#/model?${new URLSearchParams({ version: form.version.value, against: form.against.value })}`; } },
      versions.map((each) => o.h("option", { value: each.version, selected: each.version === chosen }, `version ${each.version}`)));
    const form = o.h("form", { class: "tools", onsubmit: (event) => event.preventDefault() }, choose("version", first), " compared with ", choose("against", second));
    if (first === second) return section(title, form, o.p("These are the same version. Choose another."));
    const changed = images.map((image, i) => ({ ...image, now: now.predicted[i], before: before.predicted[i], right: now.right[i], was: before.right[i], ...parts(image, now.parts && now.parts[i]) })).filter((each) => each.right !== null && each.was !== null);
    const gained = changed.filter((each) => each.right && !each.was), lost = changed.filter((each) => !each.right && each.was);
    const pair = document.pairs.find((each) => each.new === first && each.old === second), turned = document.pairs.find((each) => each.new === second && each.old === first);
    const [low, high] = pair ? [pair.low, pair.high] : [-turned.high, -turned.low];
    const text = (each) => `label ${each.label}: ${each.before}, now ${each.now}`;
    return section(title, form,
      o.p(`On ${o.count(changed.length, "audit image")} that both can be judged by, version ${first} repairs ${gained.length} and breaks ${lost.length}. Its ${document.task_type === "classification" ? "accuracy" : "share of images that are right as a whole"} differs by ${signed(low)} to ${signed(high)} (95 % interval).`),
      document.task_type === "detection" ? o.note(`${DRAWN} The predictions are those of version ${first}.`) : null,
      gained.length ? [o.h("h3", {}, "Repaired"), gallery(gained, text, WORST)] : null,
      lost.length ? [o.h("h3", {}, "Broken"), gallery(lost, text, WORST)] : null);
  }

  /** Return a gallery that shows some images first, and the others on request. */
  function gallery(images, text, first = AT_ONCE) {
    const place = o.h("div", {}, o.gallery(images.slice(0, first), text));
    if (images.length > first) place.append(o.h("p", {}, o.h("button", { type: "button", onclick: () => o.fill(place, o.gallery(images, text)) }, `Show all ${images.length.toLocaleString("en")}`)));
    return place;
  }
})(octospoon);

"use strict";
/* The view Watch: accuracy and drift over time, uploads, quarantine, dead letters, jobs and cost. */
(function (o) {
  const LEAST_P = 1e-6; // smaller p-values are drawn at this value
  const STATUS = { idle: "has ended", launching: "is being started", running: "runs", failed: "failed" };
  const TESTS = [["components_p", "embeddings", "circle"], ["probabilities_p", "predictions", "square"], ["classes_p", "predicted classes", "triangle"]];

  o.views.watch = {
    title: "Watch",
    show: (content) => o.kept(content, "watch", "Watch", (document, kept) => [
      ...part(document.observed, "Accuracy and drift", (observed) => [pair(accuracy(observed), drift(observed))]),
      pair(uploads(kept.pool), quarantine(kept.pool)),
      ...(o.live ? part(document.dead_letters, "Dead letters", (queues) => [letters(queues)]) : []),
      ...part(document.jobs, "Training jobs", (jobs) => [training(jobs)]),
      cost(kept),
    ]),
  };

  /** Return the sections of a part of the document, or why it could not be read. */
  function part(value, title, draw) {
    if (!value.error) return draw(value);
    return [section(title, o.h("p", { role: "alert" }, `This could not be read: ${value.error}`))];
  }

  function section(title, ...children) {
    return o.h("section", { class: "part" }, o.h("h2", {}, title), children);
  }

  const pair = (...sections) => o.h("div", { class: "pair" }, sections);

  function versions(days) {
    return days.filter((day, i) => i === 0 || days[i - 1].version !== day.version).map((day) => ({ x: o.dayNumber(day.day), text: `v${day.version}` }));
  }

  function accuracy(observed) {
    const days = observed.days.filter((day) => day.accuracy && day.accuracy.value !== null), newest = days[days.length - 1];
    const metric = o.metric(observed.metric), title = `${o.sentence(metric)} of the model in service`;
    if (!newest) return section(title, o.note("Nothing is measured yet. `watch` measures the model each day on the audit labels; `octospoon watch` does so now. It needs a trained model and labels of audit images."));
    const points = days.map((day) => ({ x: o.dayNumber(day.day), y: day.accuracy.value, low: day.accuracy.low, high: day.accuracy.high, text: `${day.day}, version ${day.version}: ${o.estimate(day.accuracy)}` }));
    return section(title,
      o.p(`On ${newest.day}, version ${newest.version}: ${o.estimate(newest.accuracy)}. Only images drawn at random count, and none is judged by a ${observed.metric === "ap50" ? "detector" : "head"} that was trained on it.`),
      o.chart({
        title: `${o.sentence(metric)} by day`, summary: `From ${days[0].day} to ${newest.day}; the newest is ${o.percent(newest.accuracy.value)}.`,
        x: o.days(points.map((point) => point.x), "Day"), y: o.shares(points.map((point) => point.low), `${metric}, 95 % interval`),
        series: [{ name: metric, shape: "circle", tone: 0, line: true, points }], marks: versions(days),
        table: { head: ["Day", "Version", o.sentence(metric), "95 % interval", "Labels"], rows: days.map(({ day, version, accuracy: each }) => [day, version, o.percent(each.value), `${o.percent(each.low)} to ${o.percent(each.high)}`, each.labels]) },
      }));
  }

  function drift(observed) {
    const days = observed.days.filter((day) => day.finding), newest = days[days.length - 1], title = "Drift of uploads";
    if (!newest) return section(title, o.note("No day was tested yet. `watch` tests the uploads of a day on the day after, against those from before training. It needs 100 uploads."));
    const p = (value) => (value < 0.001 ? value.toExponential(1) : value.toFixed(3));
    const series = TESTS.map(([field, name, shape], tone) => ({
      name, shape, tone, points: days.map((day) => ({ x: o.dayNumber(day.day), y: Math.max(day.finding[field], LEAST_P), text: `${day.day}, ${name}: p = ${p(day.finding[field])}, ${day.finding.level}` })),
    }));
    const verdict = { none: "No drift", suspected: "Drift is suspected", confirmed: "Drift is confirmed" }[newest.finding.level] || newest.finding.level;
    return section(title,
      o.p(`${verdict} on ${o.count(newest.finding.images, "upload")} before ${newest.day}, compared with those from before version ${newest.version} was trained. A smaller p-value is more surprising.`),
      o.chart({
        title: "Tests for drift by day", summary: `From ${days[0].day} to ${newest.day}. ${verdict}.`,
        x: o.days(days.map((day) => o.dayNumber(day.day)), "Day of the test"),
        y: { low: LEAST_P / 2, high: 2, log: true, ticks: [[1, "1"], [0.01, "0.01"], [1e-4, "0.0001"], [1e-6, "10⁻⁶"]], label: "p-value, corrected" },
        series, rules: [{ y: observed.suspected_below, text: `suspected below ${observed.suspected_below.toPrecision(2)}` }], marks: versions(days),
        table: { head: ["Day", "Version", "Verdict", "Uploads", ...TESTS.map(([, name]) => `p ${name}`), "p discrepancy"], rows: days.map(({ day, version, finding }) => [day, version, finding.level, finding.images, ...TESTS.map(([field]) => p(finding[field])), finding.level === "none" ? "not tested" : p(finding.discrepancy_p)]) },
      }),
      observed.images.length ? [
        o.h("h3", {}, `Images until ${observed.judged_until} that differ most`),
        o.note("The newest test keeps them while drift is confirmed. Earlier days keep none."),
        o.gallery(observed.images, (each) => `novelty ${each.score.toPrecision(3)}`)] : null);
  }

  function uploads(pool) {
    const title = "Uploads";
    if (pool.read_at === null) return section(title, o.note("The pool was not read yet; it is read in the background."));
    const { uploads: days } = pool, note = [];
    if (pool.sampled) note.push("The pool is larger than the map: the numbers are estimates from its uniform sample.");
    if (pool.unknown_day) note.push(`${o.count(pool.unknown_day, "image")} without a known day of upload, such as those in quarantine.`);
    note.push("An image counts on the day of its newest upload. Deleted images do not count.");
    const most = Math.max(...days.map((day) => day.images), 1);
    return section(title,
      o.chart({
        title: "Images of the pool by day of upload", summary: days.length ? `${o.count(days.length, "day")}; at most ${most} on one day.` : "",
        empty: "The pool is empty. Upload images: `octospoon drop DIR`.",
        x: days.length ? o.days(days.map((day) => day.day), "Day") : null, y: { low: 0, high: most, ticks: o.ticks(0, most, 4).filter(Number.isInteger).map((tick) => [tick, tick.toLocaleString("en")]), label: "images" },
        series: [{ name: "images", shape: "square", tone: 0, bars: true, points: days.map((day) => ({ x: day.day, y: day.images, text: `${o.day(day.day)}: ${o.count(day.images, "image")}` })) }],
        table: { head: ["Day", "Images"], rows: days.map((day) => [o.day(day.day), day.images.toLocaleString("en")]) },
      }), o.note(note.join(" ")));
  }

  function quarantine(pool) {
    const title = "Quarantine";
    if (pool.read_at === null) return section(title, o.note("The pool was not read yet; it is read in the background."));
    const { total, reasons, images } = pool.quarantine;
    if (!total) return section(title, o.p("No image is in quarantine."));
    return section(title,
      o.p(`${o.count(total, "image")}, which no round chooses. \`octospoon trace KEY\` tells why one is there.`),
      o.table(["Reason", pool.sampled ? "Images of the sample" : "Images"], reasons.map((each) => [each.reason, each.images.toLocaleString("en")])),
      images.length < total ? o.note(`The newest ${images.length}:`) : null,
      o.gallery(images, (each) => each.reason));
  }

  function letters(queues) {
    const some = queues.filter((queue) => queue.dead_letters);
    if (!some.length) return section("Dead letters", o.p("No message failed for good."));
    return section("Dead letters",
      o.p("These messages failed for good. Repair the cause, then give them back: `octospoon dlq redrive`."),
      some.map((queue) => [
        o.h("h3", {}, `${queue.queue}: ${o.count(queue.dead_letters, "message")}`),
        o.table(["Sent", "Tries", "Why", "Message"], queue.letters.map((letter) => [o.h("span", { class: "when" }, o.time(letter.sent_at)), letter.tries, letter.reason || "see Training jobs", o.h("code", {}, letter.body)]))]));
  }

  function training(jobs) {
    const title = "Training jobs";
    if (!jobs.number) return section(title, o.p(`No job was started yet. There ${jobs.new_labels === 1 ? "is 1 label" : `are ${jobs.new_labels.toLocaleString("en")} labels`} so far; \`octospoon status\` says how many start the first.`));
    const lines = [`The newest job, ${jobs.job_id}, ${STATUS[jobs.status] || jobs.status}${jobs.begun_at ? `; it was started ${o.time(jobs.begun_at)}` : ""}.`, `Its reason: ${jobs.reason}.`, `${o.count(jobs.new_labels, "new label")} since.`];
    if (jobs.requested) lines.push(`Another job is asked for: ${jobs.requested}.`);
    return section(title, o.p(lines.join(" ")),
      o.table(["Job", "Version", "Decided", "Decision", "Why"], jobs.newest.map(({ job_id: id, decision }) => (decision
        ? [id, decision.version, o.h("span", { class: "when" }, o.time(decision.decided_at)), decision.promoted ? "promoted" : "refused", decision.reasons.join("; ")]
        : [id, "", "", id === jobs.job_id && jobs.status !== "idle" ? jobs.status : "no decision", "The job has no decision: it did not come to its end, or not yet."]))),
      jobs.newest.length < jobs.number ? o.note(`The newest ${jobs.newest.length} of ${jobs.number} jobs.`) : null);
  }

  function cost({ local, cost: known }) {
    const title = "Cost so far";
    if (!o.live) return null;
    if (local) return section(title, o.p("A local stack costs nothing at AWS."));
    const place = section(title);
    const draw = (answer) => o.fill(place, o.h("h2", {}, title), billed(answer), asking());
    const asking = () => {
      const button = o.h("button", { type: "button", onclick: async () => {
        button.disabled = true;
        try { draw(await o.act("cost", [])); } catch (error) { o.fill(place, o.h("h2", {}, title), o.h("p", { role: "alert" }, o.text(error.message)), asking()); }
      } }, "Ask Cost Explorer");
      return o.h("p", { class: "buttons" }, button, o.h("span", { class: "note" }, "AWS takes 0.01 USD for a question. The page asks at most once a day."));
    };
    return draw(known);
  }

  function billed({ document, read_at: at, error }) {
    if (error) return o.h("p", { role: "alert" }, o.text(`AWS could not be asked: ${error}`));
    if (!document) return o.p("AWS was not asked yet.");
    const money = (amount, unit) => `${amount.toFixed(2)} ${unit}`, { months } = document;
    if (!months.length) return o.p("Cost Explorer knows of no costs of this stack. Activate the tag `aws:cloudformation:stack-name` for cost allocation in the Billing console: costs count from then on. They appear a day later.");
    const total = months.reduce((sum, each) => sum + each.amount, 0);
    return [o.p(`${money(total, months[0].unit)} in the newest 12 months, as AWS said ${o.ago(at)}. Costs of the newest two days may be missing.`),
      o.table(["Month", "Cost"], months.slice().reverse().map((each) => [each.month, money(each.amount, each.unit)]))];
  }
})(octospoon);

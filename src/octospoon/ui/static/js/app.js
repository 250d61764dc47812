"use strict";
/* The frame of the page: the view that the address names, the header, and the theme. */
(function (o) {
  const POLL = 5000;
  const content = document.getElementById("content");
  let state = null, close = null, shown = "", turn = 0;

  function address() {
    const [path, query] = (location.hash.replace(/^#\/?/, "") || "map").split("?");
    const [name, ...rest] = path.split("/");
    let decoded = rest.join("/");
    try { decoded = decodeURIComponent(decoded); } catch (_) { /* a typed address may hold a single % */ }
    return { name: name in o.views ? name : "map", rest: decoded, query: new URLSearchParams(query) };
  }

  async function show() {
    const at = address(), mine = ++turn;
    if (close) { close(); close = null; }
    shown = at.name;
    document.title = `${o.views[at.name].title} · octospoon`;
    for (const link of document.querySelectorAll("#views a")) {
      if (link.dataset.view === at.name) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
    }
    const place = o.h("div", {}, o.h("p", { role: "status" }, "Loading …"));
    o.fill(content, place);
    try {
      if (!state) await update();
      const closed = await o.views[at.name].show(place, { ...at, state });
      if (mine === turn) close = closed || null; else if (closed) closed();
    } catch (error) {
      o.fill(place, o.failed(error));
    }
  }

  async function update() {
    state = await o.json("state");
    document.getElementById("name").textContent = state.name;
    document.getElementById("links").replaceChildren(...Object.entries(state.links).filter(([, link]) => /^https?:\/\//.test(link)).map(([name, link]) => o.h("a", { href: link, rel: "noreferrer" }, name)));
    document.getElementById("freshness").replaceChildren(...freshness());
  }

  function freshness() {
    if (!o.live) return [`A static export of ${o.time(state.exported_at)}. Nothing here changes the deployment.`];
    const parts = [];
    if (state.reading) parts.push(state.placing ? "Computing a new map." : `Reading the pool: ${state.rows.toLocaleString("en")} rows so far.`);
    else if (state.read_at) parts.push(`Pool read ${o.ago(state.read_at)}.`);
    if (state.error) parts.push(`The last read failed: ${state.error}`);
    if (!state.local) parts.push(`It is read at most once a day, because each read scans the whole table${state.total ? ` (about $${state.read_dollars.toPrecision(2)})` : ""}.`);
    const button = o.h("button", { type: "button", disabled: state.reading, onclick: async () => { button.disabled = true; try { await o.act("refresh", []); } catch (error) { o.announce(error.message); } } }, "Read now");
    return [...o.text(parts.join(" ")), " ", button];
  }

  async function poll() {
    if (document.hidden) return;
    const before = state;
    try { await update(); } catch (error) { document.getElementById("freshness").replaceChildren(...o.text(error.message)); return; }
    const first = before && before.snapshot === 0 && state.snapshot > 0;
    const waits = shown === "map" && state.snapshot === 0;
    if (first || waits) show();
    else if (before && before.snapshot !== state.snapshot && shown === "map") {
      document.getElementById("freshness").append(" ", o.h("button", { type: "button", onclick: show }, "Show the new map"));
    }
  }

  function theme() {
    const button = document.getElementById("theme"), kept = (() => { try { return localStorage.getItem("octospoon-theme"); } catch (_) { return null; } })();
    if (kept) document.documentElement.dataset.theme = kept;
    const dark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    const name = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Use the ${dark() ? "light" : "dark"} theme`); };
    button.addEventListener("click", () => {
      document.documentElement.dataset.theme = dark() ? "light" : "dark";
      try { localStorage.setItem("octospoon-theme", document.documentElement.dataset.theme); } catch (_) { /* not kept */ }
      name();
    });
    name();
  }

  document.getElementById("views").append(...Object.entries(o.views).map(([name, view]) => o.h("li", {}, o.h("a", { href: `#/${name}`, "data-view": name }, view.title))));
  theme();
  addEventListener("hashchange", () => { show().then(() => content.focus({ preventScroll: true })); scrollTo(0, 0); });
  show();
  if (o.live) setInterval(poll, POLL);
})(octospoon);

"use strict";
/* Data of the views: from the server, or in a static export from files beside the page. */
(function (o) {
  const arrived = {};

  /** Called by the data files of a static export. */
  o.arrived = function (name, content) { arrived[name](content); };

  function exported(name) {
    return new Promise((resolve, reject) => {
      arrived[name] = resolve;
      const script = o.h("script", { src: `data/${name}.js` });
      script.addEventListener("error", () => reject(new Error("The export does not contain this. The live page of `octospoon ui` has it.")));
      document.head.append(script);
    });
  }

  async function answered(response) {
    if (response.ok) return response;
    const text = await response.text();
    let reason = text;
    try { reason = JSON.parse(text).error || text; } catch (_) { /* it is a plain sentence */ }
    const error = new Error(reason || `the server answered ${response.status}`);
    error.status = response.status;
    throw error;
  }

  async function asked(address, options) {
    try {
      return await fetch(address, options);
    } catch (_) {
      throw new Error("The page's own server does not answer. Start it again with `octospoon ui`.");
    }
  }

  /** Return a JSON document: "state", "batch", "preview" or "image". */
  o.json = async function (name, parameters) {
    if (!o.live) return exported(name);
    const query = parameters ? `?${new URLSearchParams(parameters)}` : "";
    return (await answered(await asked(`data/${name}${query}`))).json();
  };

  /** Do something with the selected images; return the server's report. */
  o.act = async function (name, keys) {
    const body = JSON.stringify({ keys });
    return (await answered(await asked(`do/${name}`, { method: "POST", body, headers: { "Content-Type": "application/json" } }))).json();
  };

  let whole = null; // the pool of a static export, which never changes

  /** Return the snapshot of the pool, or null before the first. */
  o.pool = async function () {
    if (!o.live) return (whole = whole || decoded(bytes(await exported("pool"))));
    const response = await answered(await asked("data/pool"));
    return response.status === 204 ? null : decoded(await response.arrayBuffer());
  };

  function bytes(text) {
    const characters = atob(text);
    const all = new Uint8Array(characters.length);
    for (let i = 0; i < characters.length; i++) all[i] = characters.charCodeAt(i);
    return all.buffer;
  }

  const KINDS = { f4: Float32Array, i4: Int32Array, i2: Int16Array, u1: Uint8Array };

  /** Read a document of octospoon.ui.packing. */
  function decoded(buffer) {
    const view = new DataView(buffer);
    const end = 8 + view.getUint32(4, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, end - 8)));
    const first = Math.ceil(end / 8) * 8;
    const columns = {};
    for (const each of header.arrays) {
      const length = each.shape.reduce((product, size) => product * size, 1);
      columns[each.name] = new KINDS[each.type](buffer, first + each.offset, length);
    }
    return { ...header, columns, length: header.keys.length };
  }
  o.decoded = decoded;
})(octospoon);

"use strict";
/* Elements are built from text nodes only: keys and class names come from outside and are never markup. */
(function (o) {
  /** Return an element. `properties` are attributes, or listeners if their name begins with "on". */
  o.h = function (tag, properties, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value === true ? "" : String(value));
    }
    return o.fill(element, ...children);
  };

  /** Replace the content of an element; lists of children are flattened, and missing ones left out. */
  o.fill = function (element, ...children) {
    element.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  };

  /** Return a line as nodes; what is between backticks becomes code. */
  o.text = (line) => line.split(/(`[^`]+`)/).map((part) => (part.length > 2 && part[0] === "`" && part.endsWith("`") ? o.h("code", {}, part.slice(1, -1)) : part));

  /** Return a paragraph of such a line. */
  o.p = (line, properties) => o.h("p", properties || {}, o.text(line));

  /** Return a paragraph in small print. */
  o.note = (line) => o.p(line, { class: "note" });

  /** Say something to people who cannot see that the page has changed. */
  o.announce = function (text) {
    document.getElementById("announcer").textContent = text;
  };

  o.percent = (share) => (share === null || share === undefined ? "unknown" : `${(100 * share).toFixed(1)} %`);
  o.count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
  o.day = (number) => (number < 0 ? "unknown" : new Date(number * 86400000).toISOString().slice(0, 10));
  o.time = function (seconds) {
    if (seconds === null || seconds === undefined) return "";
    return new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ") + " UTC";
  };
  o.ago = function (seconds) {
    const passed = Math.max(0, Date.now() / 1000 - seconds);
    if (passed < 90) return "just now";
    if (passed < 5400) return `${Math.round(passed / 60)} minutes ago`;
    if (passed < 129600) return `${Math.round(passed / 3600)} hours ago`;
    return `${Math.round(passed / 86400)} days ago`;
  };

  const METRICS = { accuracy: "accuracy", macro_f1: "macro F1", ap50: "AP50" };

  /** Return the name of a task type's metric, as people write it. */
  o.metric = (name) => METRICS[name] || name;
  o.sentence = (text) => text[0].toUpperCase() + text.slice(1);

  /** The views by their name in the address; each file of a view adds its own. */
  o.views = {};

  o.imageAddress = (key) => `#/image/${encodeURIComponent(key)}`;

  /** Return an image of a pool image; one that cannot be shown says so. `boxes` are drawn on it: those with
      `predicted` dashed, the others solid, and those with `right` faint. */
  o.thumbnail = function (id, key, size, boxes = []) {
    const frame = o.h("span", { class: `thumbnail ${size}` });
    const picture = o.h("img", { alt: key, loading: "lazy", decoding: "async", src: `${o.thumbnails}${size}/${id}.jpg` });
    picture.addEventListener("error", () => frame.replaceChildren(o.h("span", { class: "missing" }, "no image to show")));
    frame.append(picture);
    if (boxes.length) frame.append(overlay(picture, boxes));
    return frame;
  };

  const EDGE = 0.06; // nearer to the edge of a picture, the name of a box is inside of it
  const CROWD = 12; // the names of more boxes would hide a small picture

  /** Return boxes as predicted ones. */
  o.guessed = (boxes) => (boxes || []).map((box) => ({ ...box, predicted: true }));

  /** Return the boxes over a picture, which fits into its element with its own ratio of sides. */
  function overlay(picture, boxes) {
    const layer = o.h("span", { class: boxes.length > CROWD ? "overlay crowd" : "overlay", "aria-hidden": "true", hidden: true }, boxes.map((box) => {
      const kinds = { predicted: box.predicted, right: box.right, inside: box.predicted ? box.y2 > 1 - EDGE : box.y1 < EDGE, end: box.x1 > 1 - 4 * EDGE };
      const element = o.h("span", { class: ["box", ...Object.keys(kinds).filter((each) => kinds[each])].join(" "), title: box.name }, o.h("span", { class: "tag" }, box.name));
      Object.assign(element.style, { left: `${100 * box.x1}%`, top: `${100 * box.y1}%`, width: `${100 * (box.x2 - box.x1)}%`, height: `${100 * (box.y2 - box.y1)}%` });
      return element;
    }));
    const place = () => {
      const scale = Math.min(picture.clientWidth / picture.naturalWidth, picture.clientHeight / picture.naturalHeight);
      if (!Number.isFinite(scale)) return;
      layer.hidden = false;
      const width = scale * picture.naturalWidth, height = scale * picture.naturalHeight;
      Object.assign(layer.style, { left: `${picture.offsetLeft + (picture.clientWidth - width) / 2}px`, top: `${picture.offsetTop + (picture.clientHeight - height) / 2}px`, width: `${width}px`, height: `${height}px` });
    };
    picture.addEventListener("load", place);
    new ResizeObserver(place).observe(picture);
    return layer;
  }

  /** Return a key in one line, which loses its beginning where it is too long. */
  o.keyOf = (key) => o.h("span", { class: "key cut", title: key }, o.h("bdi", {}, key));

  /** Return a gallery of small images, each a link to its story, with its key and a text. */
  o.gallery = function (images, text) {
    return o.h("ul", { class: "gallery near" }, images.map((each) => o.h("li", {}, o.h("a", { href: o.imageAddress(each.key) },
      o.thumbnail(each.id, each.key, "small", each.boxes), o.keyOf(each.key), o.h("span", {}, text(each))))));
  };

  /** Return a message that fills a view: what is missing, and what to do next. */
  o.empty = function (title, ...next) {
    return o.h("section", { class: "empty" }, o.h("h1", {}, title), next.map((line) => o.p(line)));
  };

  o.failed = function (error) {
    return o.h("section", { class: "empty", role: "alert" }, o.h("h1", {}, "This could not be read"), o.p(error.message));
  };

  /** Ask before something changes; return a promise of true or false. */
  o.confirmed = function (title, text, action) {
    return new Promise((resolve) => {
      const dialog = o.h("dialog", { "aria-labelledby": "asked" },
        o.h("h2", { id: "asked" }, title),
        text.map((line) => o.p(line)),
        o.h("p", { class: "buttons" },
          o.h("button", { type: "button", onclick: () => dialog.close("no") }, "Cancel"),
          o.h("button", { type: "button", class: "primary", onclick: () => dialog.close("yes") }, action)));
      dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue === "yes"); });
      document.body.append(dialog);
      dialog.showModal();
    });
  };

  /** Let the browser save a file that this page made. */
  o.save = function (name, type, text) {
    const address = URL.createObjectURL(new Blob([text], { type }));
    o.h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };
})(octospoon);

"use strict";
/* The points of the map, with zoom, hover and a lasso. */
(function (o) {
  const SHADES = [60, 130, 220, 255]; // opacity of points that stand back, have no value, have one, and are chosen
  const DRAGGED = 5; // pixels of a press that moves the map
  const OUT = 3, IN = 12; // how far the map zooms from showing everything, in doublings

  /** Return the smallest rectangle that holds the places, ignoring images that have none. */
  function extent(places) {
    let left = Infinity, right = -Infinity, bottom = Infinity, top = -Infinity;
    for (let i = 0; i < places.length; i += 2) {
      if (Number.isNaN(places[i])) continue;
      left = Math.min(left, places[i]); right = Math.max(right, places[i]);
      bottom = Math.min(bottom, places[i + 1]); top = Math.max(top, places[i + 1]);
    }
    return { left, right, bottom, top };
  }

  /** Return whether a point is inside a polygon of [x, y] pairs (the even-odd rule). */
  o.inside = function (x, y, polygon) {
    let inside = false;
    for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
      const [xi, yi] = polygon[i], [xj, yj] = polygon[j];
      if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
    }
    return inside;
  };

  /** A plot in an element. `places` has x and y of each image, NaN where it has none. `told` has the functions
      hovered(i, x, y), clicked(i) and lassoed(indices, added). */
  o.Scatter = class {
    constructor(element, places, told) {
      this.element = element; this.places = places; this.told = told;
      this.length = places.length / 2;
      this.drawn = new Float32Array(places.length); // the places in the order of drawing
      this.colours = new Uint32Array(this.length);
      // from the top to the bottom: pixels that are near each other are set faster
      this.order = new Uint32Array(this.length).map((_, i) => i).sort((a, b) => (places[2 * b + 1] || 0) - (places[2 * a + 1] || 0));
      this.path = []; this.pencil = -1; // of the lasso that is being drawn, and the pointer that draws it
      this.lasso = false;
      this.fingers = new Map(); // where the pointers are that hold the map
      this.hovered = -1;
      this.radius = this.length > 20000 ? 1.5 : this.length > 2000 ? 3 : 5;
      const layer = (name) => o.h("canvas", { class: name, "aria-hidden": "true" });
      this.points = new o.Points(layer("points"), this.radius);
      this.overlay = layer("lasso");
      element.replaceChildren(this.points.canvas, this.overlay);
      this.view = this.fitted();
      this.frame = 0;
      this.listen();
      this.resized = new ResizeObserver(() => this.resize());
      this.resized.observe(element);
    }

    resize() {
      const { clientWidth, clientHeight } = this.element;
      if (!clientWidth || !clientHeight) return; // another view is shown; the drawing stays
      this.overlay.width = clientWidth; this.overlay.height = clientHeight;
      this.draw(); this.sketch();
    }

    /** Return the view that shows everything. */
    fitted() {
      const { left, right, bottom, top } = extent(this.places);
      if (left > right) return { x: 0, y: 0, zoom: 0 };
      const width = this.element.clientWidth || 600, height = this.element.clientHeight || 400;
      const zoom = Math.log2(0.92 * Math.min(width / (right - left || 1), height / (top - bottom || 1)));
      return { x: (left + right) / 2, y: (bottom + top) / 2, zoom };
    }

    look(view) {
      this.view = view;
      this.redraw();
      this.hover(-1, 0, 0); this.sketch(); // the pointer is over another place now
    }

    get scale() { return 2 ** this.view.zoom; }

    /** Return the place that is shown at a position in the element. */
    placeAt([x, y]) {
      return [this.view.x + (x - this.element.clientWidth / 2) / this.scale, this.view.y - (y - this.element.clientHeight / 2) / this.scale];
    }

    /** Zoom by some doublings; what is at a position in the element stays there. */
    zoomBy(doublings, at = [this.element.clientWidth / 2, this.element.clientHeight / 2]) {
      const everything = this.fitted().zoom;
      const zoom = Math.min(Math.max(this.view.zoom + doublings, everything - OUT), everything + IN);
      const [x, y] = this.placeAt(at), share = this.scale / 2 ** zoom;
      this.look({ x: x - (x - this.view.x) * share, y: y - (y - this.view.y) * share, zoom });
    }

    /** Look at what is some pixels further to the right and up. */
    panBy(x, y) { this.look({ ...this.view, x: this.view.x + x / this.scale, y: this.view.y + y / this.scale }); }

    reset() { this.look(this.fitted()); }

    /** Colour every point: `colour(i)` is [r, g, b], `shown(i)` and `chosen` say which stand out. Those are
        drawn above the others. */
    paint(colour, shown, chosen) {
      const levels = new Uint8Array(this.length), ends = [0, 0, 0, 0];
      for (let i = 0; i < this.length; i++) {
        const level = chosen.has(i) ? 3 : chosen.size || !shown(i) ? 0 : colour(i) === o.NONE ? 1 : 2;
        levels[i] = level; ends[level]++;
      }
      const next = ends.map((_, level) => ends.slice(0, level).reduce((sum, number) => sum + number, 0));
      for (const i of this.order) {
        const [r, g, b] = colour(i), at = next[levels[i]]++;
        this.drawn[2 * at] = this.places[2 * i]; this.drawn[2 * at + 1] = this.places[2 * i + 1];
        this.colours[at] = (SHADES[levels[i]] << 24) | (b << 16) | (g << 8) | r;
      }
      this.redraw();
    }

    /** Draw before the next frame of the screen. */
    redraw() { this.frame = this.frame || requestAnimationFrame(() => { this.frame = 0; this.draw(); }); }

    draw() {
      const { clientWidth, clientHeight } = this.element;
      if (!clientWidth || !clientHeight) return;
      this.points.fit(clientWidth, clientHeight);
      this.points.draw(this.drawn, this.colours, { x: this.view.x, y: this.view.y, scale: this.scale });
    }

    /** Return the index of the image under a position in the element; -1 for none. */
    under(at) {
      const [x, y] = this.placeAt(at);
      let nearest = -1, least = ((this.radius + 2.5) / this.scale) ** 2;
      for (let i = 0; i < this.length; i++) {
        const dx = this.places[2 * i] - x, dy = this.places[2 * i + 1] - y, squared = dx * dx + dy * dy;
        if (squared <= least) { least = squared; nearest = i; }
      }
      return nearest;
    }

    hover(i, x, y) {
      if (i !== this.hovered) { this.hovered = i; this.sketch(); }
      this.element.style.cursor = this.fingers.size ? "grabbing" : i >= 0 ? "pointer" : "";
      this.told.hovered(i, x, y);
    }

    listen() {
      const at = (event) => { const box = this.element.getBoundingClientRect(); return [event.clientX - box.left - this.element.clientLeft, event.clientY - box.top - this.element.clientTop]; };
      const on = (name, act) => this.element.addEventListener(name, (event) => act(event, at(event)), { passive: false });
      let pressed = [0, 0];
      on("pointerdown", (event, place) => {
        if (event.button !== 0) return;
        this.element.setPointerCapture(event.pointerId);
        pressed = place;
        if (this.path.length) return;
        if (this.lasso || event.shiftKey) { this.path = [place]; this.pencil = event.pointerId; this.added = event.ctrlKey || event.metaKey; } else this.fingers.set(event.pointerId, place);
      });
      on("pointermove", (event, place) => {
        if (this.path.length) { if (event.pointerId === this.pencil) { this.path.push(place); this.sketch(); } } else if (this.fingers.has(event.pointerId)) this.drag(event.pointerId, place);
        else this.hover(event.buttons ? -1 : this.under(place), ...place);
      });
      on("pointerup", (event) => this.release(event.pointerId, true));
      on("pointercancel", (event) => this.release(event.pointerId, false));
      on("pointerleave", () => this.hover(-1, 0, 0));
      on("wheel", (event, place) => {
        event.preventDefault(); // the page stays where it is
        this.zoomBy(-event.deltaY * [0.002, 0.05, 1][event.deltaMode] * (event.ctrlKey ? 10 : 1), place); // a pinch on a touchpad has Ctrl and small steps
      });
      on("click", (event, place) => {
        const i = this.under(place);
        if (i >= 0 && !this.lasso && !event.shiftKey && Math.hypot(place[0] - pressed[0], place[1] - pressed[1]) < DRAGGED) this.told.clicked(i);
      });
      on("dblclick", (event, place) => { if (!this.lasso) this.zoomBy(event.shiftKey ? -1 : 1, place); });
    }

    /** Move a pointer that holds the map. A second one stays over its place, so that two of them zoom. */
    drag(finger, place) {
      const before = this.fingers.get(finger), [other] = [...this.fingers].filter(([each]) => each !== finger);
      this.fingers.set(finger, place);
      if (!other) return this.panBy(before[0] - place[0], place[1] - before[1]);
      const distance = ([x, y]) => Math.max(1, Math.hypot(x - other[1][0], y - other[1][1]));
      this.zoomBy(Math.log2(distance(place) / distance(before)), other[1]);
    }

    release(finger, finished) {
      this.fingers.delete(finger);
      const path = this.path;
      if (!path.length || finger !== this.pencil) return;
      this.path = []; this.sketch();
      if (finished && path.length > 2) this.told.lassoed(this.within(path), this.added);
    }

    /** Draw what lies over the points: the ring around the image under the pointer, and the lasso. */
    sketch() {
      const pen = this.overlay.getContext("2d");
      pen.clearRect(0, 0, this.overlay.width, this.overlay.height);
      if (this.hovered >= 0) this.ring(pen, this.hovered);
      if (!this.path.length) return;
      pen.beginPath();
      this.path.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.closePath();
      pen.fillStyle = "rgba(0, 114, 178, 0.15)"; pen.strokeStyle = "rgb(0, 114, 178)"; pen.lineWidth = 2;
      pen.fill(); pen.stroke();
    }

    /** Draw a ring around an image; two lines, so that it shows on every colour. */
    ring(pen, i) {
      const x = this.element.clientWidth / 2 + (this.places[2 * i] - this.view.x) * this.scale, y = this.element.clientHeight / 2 - (this.places[2 * i + 1] - this.view.y) * this.scale;
      for (const [width, colour] of [[4, "rgb(255, 255, 255)"], [2, "rgb(0, 0, 0)"]]) {
        pen.beginPath(); pen.arc(x, y, this.radius + 3, 0, 2 * Math.PI);
        pen.lineWidth = width; pen.strokeStyle = colour; pen.stroke();
      }
    }

    /** Return the indices of the images inside a path of positions in the element. */
    within(path) {
      const polygon = path.map((at) => this.placeAt(at)), xs = polygon.map(([x]) => x), ys = polygon.map(([, y]) => y);
      const [left, right, bottom, top] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
      const found = [];
      for (let i = 0; i < this.length; i++) {
        const x = this.places[2 * i], y = this.places[2 * i + 1];
        if (x >= left && x <= right && y >= bottom && y <= top && o.inside(x, y, polygon)) found.push(i);
      }
      return found;
    }

    close() { this.resized.disconnect(); cancelAnimationFrame(this.frame); }
  };
})(octospoon);

"use strict";
/* The points of the map: drawn by deck.gl, with zoom, hover and a lasso. */
(function (o) {
  const SHADES = [45, 130, 220, 255]; // opacity of points that stand back, have no value, have one, and are chosen
  const DRAGGED = 5; // pixels of a press that moves the map

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

  /** Return whether the browser can draw points. */
  o.canDraw = function () {
    return Boolean(document.createElement("canvas").getContext("webgl2"));
  };

  /** A plot that draws nothing. */
  o.NoPlot = class {
    constructor() { this.path = []; this.lasso = false; }
    paint() {}
    zoomBy() {}
    panBy() {}
    reset() {}
    close() {}
  };

  /** A plot in an element. `told` has the functions hovered(i, x, y), clicked(i), lassoed(indices, added), and
      failed(why), when the browser can draw no more. */
  o.Scatter = class {
    constructor(element, places, told) {
      this.element = element; this.places = places; this.told = told;
      this.length = places.length / 2;
      this.colours = new Uint8Array(4 * this.length);
      this.positions = new Float32Array(places.length);
      this.drawn = new Float32Array(places.length); // the positions in the order of drawing
      // an image without a place is drawn nowhere near the others
      for (let i = 0; i < places.length; i++) this.positions[i] = Number.isNaN(places[i]) ? 1e9 : places[i];
      this.path = [];
      this.lasso = false;
      this.canvas = o.h("canvas", { class: "lasso", "aria-hidden": "true" });
      this.stage = o.h("div", { class: "stage" });
      element.replaceChildren(this.stage, this.canvas);
      this.home = this.fitted();
      this.view = this.home;
      this.radius = this.length > 20000 ? 1.5 : this.length > 2000 ? 3 : 5;
      this.hovered = -1;
      this.deck = new deck.Deck({
        parent: this.stage, width: "100%", height: "100%",
        views: new deck.OrthographicView({ flipY: false }),
        viewState: this.view, controller: { keyboard: true, doubleClickZoom: true },
        getCursor: ({ isDragging }) => (isDragging ? "grabbing" : this.hovered >= 0 ? "pointer" : "grab"),
        onViewStateChange: ({ viewState }) => this.look(viewState),
        onError: (error) => told.failed(error.message),
        layers: [],
      });
      this.stage.addEventListener("webglcontextlost", () => told.failed("the graphics card was taken from the page"), true);
      this.listen();
      this.resized = new ResizeObserver(() => { this.canvas.width = element.clientWidth; this.canvas.height = element.clientHeight; });
      this.resized.observe(element);
    }

    fitted() {
      const { left, right, bottom, top } = extent(this.places);
      if (left > right) return { target: [0, 0, 0], zoom: 0 };
      const width = this.element.clientWidth || 600, height = this.element.clientHeight || 400;
      const zoom = Math.log2(0.92 * Math.min(width / (right - left || 1), height / (top - bottom || 1)));
      return { target: [(left + right) / 2, (bottom + top) / 2, 0], zoom };
    }

    look(view) {
      this.view = view;
      this.deck.setProps({ viewState: view });
      this.hover(-1, 0, 0); this.sketch(); // the pointer is over another place now
    }

    zoomBy(steps) { this.look({ ...this.view, zoom: this.view.zoom + steps }); }
    panBy(x, y) {
      const scale = 2 ** this.view.zoom, [cx, cy] = this.view.target;
      this.look({ ...this.view, target: [cx + x / scale, cy + y / scale, 0] });
    }
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
      for (let i = 0; i < this.length; i++) {
        const [r, g, b] = colour(i), at = next[levels[i]]++;
        this.drawn[2 * at] = this.positions[2 * i]; this.drawn[2 * at + 1] = this.positions[2 * i + 1];
        this.colours.set([r, g, b, SHADES[levels[i]]], 4 * at);
      }
      this.draw();
    }

    draw() {
      this.deck.setProps({
        layers: [new o.Points({
          id: "images", radius: this.radius,
          data: { length: this.length, attributes: {
            getPosition: { value: this.drawn.slice(), size: 2 },
            getColour: { value: this.colours.slice(), size: 4, normalized: true },
          } },
        })],
      });
    }

    /** Return the index of the image under a position of the screen; -1 for none. */
    under([x, y]) {
      const scale = 2 ** this.view.zoom, [cx, cy] = this.view.target;
      const px = cx + (x - this.element.clientWidth / 2) / scale, py = cy - (y - this.element.clientHeight / 2) / scale;
      let nearest = -1, least = ((this.radius + 2.5) / scale) ** 2;
      for (let i = 0; i < this.length; i++) {
        const dx = this.positions[2 * i] - px, dy = this.positions[2 * i + 1] - py, squared = dx * dx + dy * dy;
        if (squared <= least) { least = squared; nearest = i; }
      }
      return nearest;
    }

    hover(i, x, y) {
      if (i !== this.hovered) { this.hovered = i; this.sketch(); }
      this.told.hovered(i, x, y);
    }

    listen() {
      const at = (event) => { const box = this.canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
      const begins = (event) => {
        if (event.button !== 0 || !(this.lasso || event.shiftKey)) return;
        event.stopPropagation(); event.preventDefault();
        this.path = [at(event)];
        this.added = event.ctrlKey || event.metaKey;
        this.element.setPointerCapture(event.pointerId);
      };
      const moves = (event) => {
        if (this.path.length) { event.stopPropagation(); this.path.push(at(event)); this.sketch(); return; }
        const place = at(event);
        this.hover(event.buttons ? -1 : this.under(place), ...place);
      };
      const ends = (event) => {
        if (!this.path.length) return;
        event.stopPropagation();
        const path = this.path;
        this.path = []; this.sketch();
        if (path.length > 2) this.told.lassoed(this.within(path), this.added);
      };
      this.element.addEventListener("pointerdown", begins, true);
      this.element.addEventListener("pointermove", moves, true);
      this.element.addEventListener("pointerup", ends, true);
      this.element.addEventListener("pointercancel", () => { this.path = []; this.sketch(); }, true);
      this.element.addEventListener("pointerleave", () => this.hover(-1, 0, 0));
      let pressed = [0, 0];
      this.element.addEventListener("pointerdown", (event) => { pressed = at(event); });
      this.element.addEventListener("click", (event) => {
        const place = at(event), i = this.under(place);
        if (i >= 0 && !this.lasso && !event.shiftKey && Math.hypot(place[0] - pressed[0], place[1] - pressed[1]) < DRAGGED) this.told.clicked(i);
      });
    }

    sketch() {
      const pen = this.canvas.getContext("2d");
      pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
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
      const scale = 2 ** this.view.zoom, [cx, cy] = this.view.target;
      const x = this.element.clientWidth / 2 + (this.positions[2 * i] - cx) * scale, y = this.element.clientHeight / 2 - (this.positions[2 * i + 1] - cy) * scale;
      for (const [width, colour] of [[4, "rgb(255, 255, 255)"], [2, "rgb(0, 0, 0)"]]) {
        pen.beginPath(); pen.arc(x, y, this.radius + 3, 0, 2 * Math.PI);
        pen.lineWidth = width; pen.strokeStyle = colour; pen.stroke();
      }
    }

    /** Return the indices of the images inside a path of screen positions. */
    within(path) {
      const scale = 2 ** this.view.zoom, [cx, cy] = this.view.target;
      const width = this.element.clientWidth, height = this.element.clientHeight;
      const polygon = path.map(([x, y]) => [cx + (x - width / 2) / scale, cy - (y - height / 2) / scale]);
      const xs = polygon.map(([x]) => x), ys = polygon.map(([, y]) => y);
      const [left, right, bottom, top] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
      const found = [];
      for (let i = 0; i < this.length; i++) {
        const x = this.places[2 * i], y = this.places[2 * i + 1];
        if (x >= left && x <= right && y >= bottom && y <= top && o.inside(x, y, polygon)) found.push(i);
      }
      return found;
    }

    close() { this.resized.disconnect(); this.deck.finalize(); }
  };
})(octospoon);

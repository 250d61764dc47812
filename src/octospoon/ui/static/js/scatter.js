"use strict";
/* The points of the map: drawn by deck.gl, with zoom, hover and a lasso. */
(function (o) {
  const FADED = 30, SOLID = 220, MARKED = 255;

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

  /** A plot in an element. `told` has the functions hovered(i, x, y), clicked(i) and lassoed(indices, added). */
  o.Scatter = class {
    constructor(element, places, told) {
      this.element = element; this.places = places; this.told = told;
      this.length = places.length / 2;
      this.colours = new Uint8Array(4 * this.length);
      this.positions = new Float32Array(places.length);
      // an image without a place is drawn nowhere near the others
      for (let i = 0; i < places.length; i++) this.positions[i] = Number.isNaN(places[i]) ? 1e9 : places[i];
      this.path = [];
      this.lasso = false;
      this.canvas = o.h("canvas", { class: "lasso", "aria-hidden": "true" });
      this.stage = o.h("div", { class: "stage" });
      element.replaceChildren(this.stage, this.canvas);
      this.home = this.fitted();
      this.view = this.home;
      this.deck = new deck.Deck({
        parent: this.stage, width: "100%", height: "100%",
        views: new deck.OrthographicView({ flipY: false }),
        viewState: this.view, controller: { keyboard: true, doubleClickZoom: true },
        getCursor: ({ isHovering }) => (isHovering ? "pointer" : "grab"),
        onViewStateChange: ({ viewState }) => this.look(viewState),
        onHover: ({ index, x, y }) => told.hovered(index, x, y),
        onClick: ({ index }) => { if (index >= 0) told.clicked(index); },
        pickingRadius: 3,
        layers: [],
      });
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
    }

    zoomBy(steps) { this.look({ ...this.view, zoom: this.view.zoom + steps }); }
    panBy(x, y) {
      const scale = 2 ** this.view.zoom, [cx, cy] = this.view.target;
      this.look({ ...this.view, target: [cx + x / scale, cy + y / scale, 0] });
    }
    reset() { this.look(this.fitted()); }

    /** Colour every point: `colour(i)` is [r, g, b], `shown(i)` and `chosen` say which stand out. */
    paint(colour, shown, chosen) {
      const any = chosen.size > 0;
      for (let i = 0; i < this.length; i++) {
        const [r, g, b] = colour(i);
        this.colours[4 * i] = r; this.colours[4 * i + 1] = g; this.colours[4 * i + 2] = b;
        this.colours[4 * i + 3] = chosen.has(i) ? MARKED : any || !shown(i) ? FADED : SOLID;
      }
      this.draw();
    }

    draw() {
      const many = this.length > 20000, radius = many ? 1.5 : this.length > 2000 ? 3 : 5;
      this.deck.setProps({
        layers: [new deck.ScatterplotLayer({
          id: "images", pickable: true, autoHighlight: true, highlightColor: [127, 127, 127, 120],
          data: { length: this.length, attributes: {
            getPosition: { value: this.positions, size: 2 },
            getFillColor: { value: this.colours.slice(), size: 4, normalized: true },
          } },
          getRadius: radius, radiusUnits: "pixels", radiusMinPixels: radius, stroked: false, antialiasing: !many,
        })],
      });
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
      const moves = (event) => { if (this.path.length) { event.stopPropagation(); this.path.push(at(event)); this.sketch(); } };
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
    }

    sketch() {
      const pen = this.canvas.getContext("2d");
      pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
      if (!this.path.length) return;
      pen.beginPath();
      this.path.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.closePath();
      pen.fillStyle = "rgba(0, 114, 178, 0.15)"; pen.strokeStyle = "rgb(0, 114, 178)"; pen.lineWidth = 2;
      pen.fill(); pen.stroke();
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

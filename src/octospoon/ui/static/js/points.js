"use strict";
/* Draws many points into a canvas. The pixels are set in memory, because this is as fast on every machine: a point
   is a few of them, and nothing depends on a graphics card or its driver. */
(function (o) {
  const MOST = 4e6; // pixels of a drawing; it is coarser than the screen where that has more

  /** Return the pixels of a disc: the offsets of each from the middle, its distance from which is at most `reach`,
      and the share of it that the disc covers. */
  function disc(radius) {
    const reach = Math.ceil(radius), pixels = [];
    for (let y = -reach; y <= reach; y++) {
      for (let x = -reach; x <= reach; x++) {
        const covered = Math.min(1, radius + 0.5 - Math.hypot(x, y));
        if (covered > 0.1) pixels.push({ x, y, covered });
      }
    }
    return { reach, whole: pixels.filter((each) => each.covered === 1), partly: pixels.filter((each) => each.covered < 1) };
  }

  /** Points in a canvas that fills its element; `radius` is in CSS pixels. */
  o.Points = class {
    constructor(canvas, radius) {
      this.canvas = canvas; this.radius = radius; this.ratio = 0;
      this.pen = canvas.getContext("2d", { willReadFrequently: true }); // its pixels stay in memory
    }

    /** Make room for a drawing of a size in CSS pixels. */
    fit(width, height) {
      const ratio = Math.min(devicePixelRatio, Math.sqrt(MOST / (width * height)));
      const across = Math.round(width * ratio), down = Math.round(height * ratio);
      if (across === this.canvas.width && down === this.canvas.height && ratio === this.ratio) return;
      this.canvas.width = across; this.canvas.height = down; this.ratio = ratio;
      const { reach, whole, partly } = disc(this.radius * ratio);
      this.reach = reach; this.margin = 2 * reach; // so that no disc has to be clipped
      this.image = new ImageData(across + 2 * this.margin, down + 2 * this.margin);
      this.pixels = new Uint32Array(this.image.data.buffer);
      const offset = ({ x, y }) => y * this.image.width + x;
      this.whole = Int32Array.from(whole, offset); this.partly = Int32Array.from(partly, offset);
      this.covered = Float32Array.from(partly, (each) => each.covered);
    }

    /** Draw points, later ones above earlier ones. A point without a place (NaN) is not drawn.

        `places` has x and y of each; `colours` one number for each: opacity, blue, green and red, a byte each, from
        the highest on; `view` the point { x, y } in the middle, and `scale` in CSS pixels. */
    draw(places, colours, { x, y, scale }) {
      const { pixels, whole, partly, covered, reach, ratio } = this, { width, height } = this.image;
      const size = scale * ratio, left = width / 2 - x * size, top = height / 2 + y * size;
      const right = width - reach, bottom = height - reach;
      pixels.fill(0);
      for (let i = 0; i < colours.length; i++) {
        const across = left + places[2 * i] * size, down = top - places[2 * i + 1] * size;
        if (!(across >= reach && across < right && down >= reach && down < bottom)) continue;
        const at = Math.floor(down) * width + Math.floor(across), colour = colours[i];
        for (let j = 0; j < whole.length; j++) pixels[at + whole[j]] = colour;
        for (let j = 0; j < partly.length; j++) {
          const edge = at + partly[j];
          if (pixels[edge] === 0) pixels[edge] = (colour & 0xffffff) | ((colour >>> 24) * covered[j] << 24);
          else if (covered[j] > 0.5) pixels[edge] = colour;
        }
      }
      this.pen.putImageData(this.image, -this.margin, -this.margin);
    }
  };
})(octospoon);

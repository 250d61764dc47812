"use strict";
/* The layer of deck.gl that draws the points of the map. Each point is one vertex: deck.gl's own scatterplot
   draws an instance of a square for each, which takes many times longer without a graphics card. */
(function (o) {
  const VERTEX = (radius) => `#version 300 es
    #define SHADER_NAME octospoon-points
    in vec2 positions;
    in vec4 colours;
    out vec4 colour;
    void main(void) {
      geometry.worldPosition = vec3(positions, 0.0);
      gl_Position = project_position_to_clipspace(geometry.worldPosition, vec3(0.0), vec3(0.0), geometry.position);
      gl_PointSize = 2.0 * ${radius.toFixed(1)} * project.devicePixelRatio;
      colour = colours;
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec4 colour;
    out vec4 fragColor;
    void main(void) {
      if (length(2.0 * gl_PointCoord - 1.0) > 1.0) discard;
      fragColor = colour;
    }`;

  /** Props: `data` as { length, attributes } with `getPosition` (2 floats) and `getColour` (4 bytes), and `radius` in pixels. */
  o.Points = class extends deck.Layer {
    initializeState() {
      const attributes = this.getAttributeManager();
      attributes.remove(["instancePickingColors"]);
      attributes.add({ positions: { size: 2, accessor: "getPosition" }, colours: { size: 4, type: "unorm8", accessor: "getColour" } });
      const shaders = this.getShaders({ vs: VERTEX(this.props.radius), fs: FRAGMENT, modules: [deck.project32] });
      this.setState({ model: new luma.Model(this.context.device, { ...shaders, id: this.props.id, bufferLayout: attributes.getBufferLayouts(), topology: "point-list", isInstanced: false }) });
    }

    draw() {
      const { model } = this.state;
      model.setVertexCount(this.props.data.length);
      // the browser compiles shaders in the background, and deck.gl does not ask again when they are ready
      if (!model.draw(this.context.renderPass)) this.setNeedsRedraw();
    }
  };
  o.Points.layerName = "Points";
  o.Points.defaultProps = { getPosition: { type: "accessor", value: [0, 0] }, getColour: { type: "accessor", value: [0, 0, 0, 255] }, radius: 3 };
})(octospoon);

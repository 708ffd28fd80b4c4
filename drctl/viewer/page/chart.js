// Lines and dots over the iterations of a training, drawn on a canvas.

import { color, element, prepare } from "./element.js";

const EDGE = { left: 44, right: 10, top: 8, bottom: 20 };

export class Chart {
  // series: { name, color, value(iteration) -> number | number[] | null, isDots }
  constructor(parent, title, unit, series, range = {}) {
    this.series = series;
    this.unit = unit;
    this.range = range;
    this.iterations = [];
    this.hovered = null;
    this.keys = series.map((one) => element("span", { class: "key", style: `--color: var(--${one.color})` }));
    this.canvas = element("canvas", { role: "img", "aria-label": title });
    parent.append(
      element("section", { class: "card chart", "data-chart": title },
        element("div", { class: "head" }, element("h2", {}, title), element("span", { class: "gap" }), ...this.keys), this.canvas));
    this.canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.canvas.addEventListener("pointerleave", () => { this.hovered = null; this.draw(); });
  }

  update(iterations) {
    this.iterations = iterations;
    this.canvas.dataset.points = this.points().length;
    this.draw();
  }

  points() {
    return this.series.flatMap((one) => this.iterations.flatMap((item) => [one.value(item)].flat()
      .filter((value) => Number.isFinite(value)).map((value) => [item.iteration, value])));
  }

  hover(event) {
    if (!this.iterations.length || !this.scale) return;
    const at = this.scale.iteration(event.offsetX);
    this.hovered = this.iterations.reduce((best, one) =>
      Math.abs(one.iteration - at) < Math.abs(best.iteration - at) ? one : best);
    this.draw();
  }

  draw() {
    const area = prepare(this.canvas);
    this.label();
    if (!area) return;
    const { pen, width, height } = area;
    const values = this.points().map(([, value]) => value);
    let low = this.range.low ?? Math.min(...values), high = this.range.high ?? Math.max(...values);
    if (!values.length) [low, high] = [this.range.low ?? 0, this.range.high ?? 1];
    if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5];
    else if (this.range.high === undefined) high += 0.06 * (high - low);
    if (this.range.low === undefined && values.length) low -= 0.06 * (high - low);
    const first = this.iterations.length ? this.iterations[0].iteration : 0;
    const last = Math.max(first + 1, this.iterations.length ? this.iterations.at(-1).iteration : 1);
    const inner = { width: width - EDGE.left - EDGE.right, height: height - EDGE.top - EDGE.bottom };
    const x = (iteration) => EDGE.left + (iteration - first) / (last - first) * inner.width;
    const y = (value) => EDGE.top + (high - value) / (high - low) * inner.height;
    this.scale = { iteration: (pixel) => first + (pixel - EDGE.left) / inner.width * (last - first) };

    pen.font = "11px system-ui, sans-serif";
    pen.lineWidth = 1;
    const marks = ticks(low, high, 4), step = marks.length > 1 ? marks[1] - marks[0] : 0;
    for (const tick of marks) {
      pen.strokeStyle = color("line");
      line(pen, [[EDGE.left, y(tick)], [width - EDGE.right, y(tick)]]);
      pen.fillStyle = color("quiet");
      pen.textAlign = "right"; pen.textBaseline = "middle";
      pen.fillText(short(tick, step), EDGE.left - 7, y(tick));
    }
    pen.textAlign = "center"; pen.textBaseline = "alphabetic";
    for (const tick of ticks(first, last, Math.min(6, width / 90)).filter(Number.isInteger)) pen.fillText(String(tick), x(tick), height - 5);
    if (this.hovered) {
      pen.strokeStyle = color("quiet");
      line(pen, [[x(this.hovered.iteration), EDGE.top], [x(this.hovered.iteration), height - EDGE.bottom]]);
    }
    for (const one of this.series) this.drawSeries(pen, one, x, y);
  }

  drawSeries(pen, one, x, y) {
    pen.strokeStyle = pen.fillStyle = color(one.color);
    const path = [];
    for (const item of this.iterations) {
      for (const value of [one.value(item)].flat()) {
        if (!Number.isFinite(value)) continue;
        if (one.isDots) {
          pen.globalAlpha = 0.6;
          pen.beginPath();
          pen.arc(x(item.iteration), y(value), 2.6, 0, 7);
          pen.fill();
        } else path.push([x(item.iteration), y(value)]);
      }
    }
    pen.globalAlpha = 1;
    pen.lineWidth = 1.8;
    pen.lineJoin = "round";
    line(pen, path);
    const marked = path.length === 1 ? path : [];
    for (const [px, py] of marked) { pen.beginPath(); pen.arc(px, py, 3, 0, 7); pen.fill(); }
  }

  label() {
    const shown = this.hovered ?? this.iterations.at(-1);
    this.series.forEach((one, index) => {
      const found = shown ? [one.value(shown)].flat().filter(Number.isFinite) : [];
      const value = found.length ? Math[one.isDots ? "min" : "max"](...found) : null;
      this.keys[index].replaceChildren(`${one.name} `, element("b", {}, value === null ? "–" : `${short(value)}${this.unit}`));
    });
  }
}

function line(pen, points) {
  pen.beginPath();
  points.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
}

export function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
  const found = [];
  for (let tick = Math.ceil(low / step - 1e-9); tick * step <= high + 1e-9 * step; tick++) found.push(Number((tick * step).toPrecision(12)));
  return found;
}

// Writes a number with few digits, but so many that one a step away reads differently.
export function short(value, step = 0) {
  const size = Math.abs(value);
  if (step && step < 0.1 && size < 100) return value.toFixed(Math.min(6, Math.ceil(-Math.log10(step))));
  if (size >= 10000) return `${(value / 1000).toFixed(0)}k`;
  if (size >= 100 || Number.isInteger(value)) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size >= 0.1) return value.toFixed(2);
  return size < 1e-6 ? "0" : value.toPrecision(2);
}

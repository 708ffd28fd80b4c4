// The track with every car at the speed of life and the line of its last episode, coloured by speed.

import { byId, color, prepare } from "./element.js";

const ASK_MS = 2000;
const STORE_MS = 15000;
const PAUSE_S = 1;
const RAMP = [[59, 110, 245], [25, 181, 176], [108, 198, 68], [242, 194, 48], [239, 91, 53]];

export class TrackMap {
  constructor() {
    this.canvas = byId("map");
    this.workers = new Map();
    this.race = null;
    byId("map-back").addEventListener("click", () => this.hideRace());
    setInterval(() => this.ask(), ASK_MS);
    const frame = () => { this.draw(); requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
  }

  update(run) {
    if (this.token !== run.token) {
      this.workers.clear();
      this.hideRace();
      this.track = null; this.box = null; this.stored = ""; this.iteration = null; this.token = run.token;
    }
    this.run = run;
    const before = this.streaming?.join();
    this.streaming = run.parts.filter((part) => part.has_stream).map((part) => part.name);
    for (const name of [...this.workers.keys()]) if (name && !this.streaming.includes(name) && run.is_running) this.workers.delete(name);
    if (before !== this.streaming.join()) this.ask();
    // What no worker tells comes out of the store: of a run that has ended, and of the community images. It is also
    // shown until a worker has answered.
    const wish = run.is_running && run.stack !== "community" ? "first" : `${run.is_running}/${run.facts.iteration}`;
    if (wish !== this.stored) { this.stored = wish; this.askStore(run).catch(() => { this.stored = ""; }); }
  }

  // The cars of workers win: those that were watched to the end of a run stay.
  hasLiveCars() {
    return [...this.workers].some(([name, worker]) => name && worker.cars.size);
  }

  async askStore(run) {
    if (this.hasLiveCars()) return;
    const found = await fetchLaps(run.id);
    if (!found) setTimeout(() => { this.stored = ""; this.update(this.run); }, STORE_MS);
    if (!found || this.token !== run.token || this.hasLiveCars()) return;
    this.iteration = found.iteration;
    this.workers.set("", { setup: 0, cars: carsOf(found.clips) });
    if (found.track || !this.track) this.setTrack(found.track ?? bareTrack(found.clips));
  }

  async showRace(run, stamp, name) {
    const found = await fetchLaps(run.id, stamp);
    if (!found || this.token !== run.token) return;
    const track = found.track ?? bareTrack(found.clips);
    this.race = { stamp, name, track, box: boxOf(track), cars: carsOf(found.clips) };
    this.label();
    this.canvas.closest(".map").scrollIntoView({ block: "nearest" });
  }

  hideRace() {
    this.race = null;
    this.label();
  }

  label() {
    byId("map-label").textContent = (this.race ?? this).track?.name ?? "";
    byId("map-back").hidden = !this.race;
    this.canvas.dataset.race = this.race?.stamp ?? "";
  }

  async ask() {
    if (document.hidden || !this.streaming?.length) return;
    await Promise.all(this.streaming.map((name) => this.askWorker(name).catch(() => {})));
  }

  async askWorker(name) {
    const known = this.workers.get(name) ?? { setup: 0, cars: new Map() };
    if (known.isAsked) return;
    known.isAsked = true;
    try {
      const base = `runs/${this.run.id}/workers/${name}`;
      const seen = Object.fromEntries([...known.cars].map(([car, state]) => [car, state.newest.serial]));
      const query = new URLSearchParams({ setup: known.setup, seen: JSON.stringify(seen) });
      const response = await fetch(`${base}/episodes?${query}`);
      if (response.status !== 200) return;
      const found = await response.json();
      if (found.setup !== known.setup) { known.cars.clear(); known.setup = found.setup; }
      for (const clip of found.clips) {
        const state = known.cars.get(clip.car);
        if (state) state.newest = clip;
        else known.cars.set(clip.car, { newest: clip, clip, began: performance.now() / 1000 - Math.random() * clip.duration_s });
      }
      this.workers.set(name, known);
      if (known.cars.size && this.workers.delete("")) this.track = null;
      if (!this.track && found.worlds.length) {
        const answer = await fetch(`${base}/track?world=0`);
        if (answer.status === 200) this.setTrack(await answer.json());
      }
    } finally {
      known.isAsked = false;
    }
  }

  setTrack(track) {
    this.track = track;
    this.box = boxOf(track);
    this.label();
  }

  // Moves a car on; at its end comes the newest episode, or the same again.
  play(state, now) {
    const first = state.clip.points[0][0], length = state.clip.duration_s - first;
    if (now - state.began > length + PAUSE_S) { state.clip = state.newest; state.began = now; }
    return Math.min(now - state.began, length) + state.clip.points[0][0];
  }

  draw() {
    const { track, box } = this.race ?? this;
    if (document.hidden) return;
    const area = prepare(this.canvas);
    if (!area || !track) return;
    const { pen, width, height } = area, edge = 18;
    const scale = Math.min((width - 2 * edge) / (box.x1 - box.x0), (height - 2 * edge) / (box.y1 - box.y0));
    const left = (width - scale * (box.x1 - box.x0)) / 2, top = (height - scale * (box.y1 - box.y0)) / 2;
    const at = ([x, y]) => [left + (x - box.x0) * scale, top + (box.y1 - y) * scale];
    if (track.inner.length) drawRoad(pen, track, at);
    const states = (this.race ? [this.race] : [...this.workers.values()]).flatMap((worker) => [...worker.cars.values()]);
    const speeds = states.flatMap((state) => speedsOf(state.clip));
    const low = speeds.length ? quantile(speeds, 0.02) : 0, high = Math.max(low + 0.2, speeds.length ? quantile(speeds, 0.98) : 1);
    pen.lineWidth = Math.max(1.4, Math.min(2.4, 0.02 * scale));
    pen.globalAlpha = states.length > 6 ? 0.6 : 0.9;
    for (const state of states) drawLine(pen, state.clip, at, low, high);
    pen.globalAlpha = 1;
    const now = performance.now() / 1000;
    for (const state of states) drawCar(pen, poseAt(state.clip.points, this.play(state, now)), at, Math.max(5, 0.16 * scale));
    byId("slow").textContent = speeds.length ? `${low.toFixed(1)} m/s` : "";
    byId("fast").textContent = speeds.length ? high.toFixed(1) : "";
    byId("map-count").textContent = this.describe(states.length);
    this.canvas.dataset.cars = states.length;
  }

  describe(count) {
    if (!count) return "";
    if (this.race) return `${count} lap${count > 1 ? "s" : ""} of the race of ${this.race.name}`;
    if (this.workers.has("")) return `${count} episode${count > 1 ? "s" : ""} of iteration ${this.iteration}`;
    return `${count} car${count > 1 ? "s" : ""}`;
  }
}

async function fetchLaps(run, stamp) {
  const response = await fetch(`runs/${run}/laps${stamp ? `?race=${stamp}` : ""}`);
  return response.status === 200 ? response.json() : null;
}

function carsOf(clips) {
  const now = performance.now() / 1000;
  return new Map(clips.map((clip) => [clip.car, { newest: clip, clip, began: now - Math.random() * clip.duration_s }]));
}

// In place of a track that is not known: nothing but room for what was driven.
function bareTrack(clips) {
  return { name: "", inner: [], outer: clips.flatMap((clip) => clip.points.map(([, x, y]) => [x, y])), is_closed: false };
}

function boxOf(track) {
  const points = [...track.inner, ...track.outer], xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  return { x0: Math.min(...xs), x1: Math.max(...xs), y0: Math.min(...ys), y1: Math.max(...ys) };
}

function drawRoad(pen, { inner, outer, is_closed: isClosed }, at) {
  const path = (points) => points.forEach((point, index) => (index ? pen.lineTo(...at(point)) : pen.moveTo(...at(point))));
  pen.beginPath();
  if (isClosed) { path(outer); pen.closePath(); path(inner); pen.closePath(); }
  else { path([...outer, ...[...inner].reverse()]); pen.closePath(); }
  pen.fillStyle = color("road");
  pen.fill("evenodd");
  pen.strokeStyle = color("road-edge");
  pen.lineWidth = 1.5;
  for (const border of [inner, outer]) {
    pen.beginPath(); path(border);
    if (isClosed) pen.closePath();
    pen.stroke();
  }
  pen.lineWidth = 2;
  pen.beginPath(); pen.moveTo(...at(inner[0])); pen.lineTo(...at(outer[0])); pen.stroke();
}

// Measured speed at each point but the first, in m/s.
function speedsOf(clip) {
  clip.speeds ??= clip.points.slice(1).map(([time, x, y], index) => {
    const [before, x0, y0] = clip.points[index];
    return Math.hypot(x - x0, y - y0) / Math.max(0.02, time - before);
  });
  return clip.speeds;
}

function drawLine(pen, clip, at, low, high) {
  const speeds = speedsOf(clip);
  for (let index = 1; index < clip.points.length; index++) {
    pen.strokeStyle = ramp((speeds[index - 1] - low) / (high - low));
    pen.beginPath();
    pen.moveTo(...at(clip.points[index - 1].slice(1, 3)));
    pen.lineTo(...at(clip.points[index].slice(1, 3)));
    pen.stroke();
  }
}

function poseAt(points, time) {
  let index = points.findIndex(([t]) => t >= time);
  if (index <= 0) index = index < 0 ? points.length - 1 : 0;
  const after = points[index], before = points[Math.max(0, index - 1)];
  const share = after[0] > before[0] ? (time - before[0]) / (after[0] - before[0]) : 1;
  return [1, 2, 3].map((field) => before[field] + Math.min(1, share) * (after[field] - before[field]));
}

function drawCar(pen, [x, y, yaw], at, size) {
  const [px, py] = at([x, y]);
  pen.save();
  pen.translate(px, py);
  pen.rotate(-yaw);
  pen.beginPath();
  pen.moveTo(size, 0); pen.lineTo(-size * 0.7, size * 0.62); pen.lineTo(-size * 0.4, 0); pen.lineTo(-size * 0.7, -size * 0.62);
  pen.closePath();
  pen.fillStyle = "#ffb02e"; pen.fill();
  pen.strokeStyle = "#11151b"; pen.lineWidth = 1; pen.stroke();
  pen.restore();
}

function ramp(share) {
  const place = Math.min(0.999, Math.max(0, share)) * (RAMP.length - 1), index = Math.floor(place), part = place - index;
  const mixed = RAMP[index].map((value, channel) => Math.round(value + part * (RAMP[index + 1][channel] - value)));
  return `rgb(${mixed})`;
}

function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

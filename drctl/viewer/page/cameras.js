// The workers' pictures. All of them come over one connection: a browser opens six to a server at most.

import { byId, choice, element } from "./element.js";

const LABELS = { overlay: "Overlay", chase: "Chase", top: "Top", onboard: "Onboard", all: "All" };
const FORMER = { kvs_stream: "overlay", camera: "onboard", main_camera: "chase", sub_camera: "top", all: "all" };
const STALE_MS = 8000;
const RETRY_MS = 1500;

export class Cameras {
  constructor(query) {
    // The parameters that DeepRacer-for-Cloud's page knows.
    this.camera = FORMER[query.get("camera")] ?? query.get("camera") ?? localStorage.getItem("camera") ?? "overlay";
    this.only = query.get("robo") && query.get("robo") !== "all" ? query.get("robo") : null;
    const width = Number(query.get("width")), quality = Number(query.get("quality"));
    this.size = { width: width >= 80 ? width : window.innerWidth < 700 ? 360 : 480, quality: quality >= 1 ? quality : 70 };
    this.tiles = new Map();
    this.cars = {};
    this.wanted = "";
    this.offered = [];
    document.addEventListener("visibilitychange", () => this.connect());
    setInterval(() => this.age(), 1000);
  }

  update(run, offered) {
    const names = [...offered, ...(offered.length > 1 ? ["all"] : [])];
    if (!names.includes(this.camera)) this.camera = offered[0];
    this.offered = offered;
    if (this.shownChoice !== `${names}|${this.camera}`) {
      this.shownChoice = `${names}|${this.camera}`;
      choice(byId("camera-choice"), names.map((name) => [name, LABELS[name]]), this.camera, (name) => {
        this.camera = name;
        localStorage.setItem("camera", name);
        this.update(this.run, this.offered);
      });
    }
    this.run = run;
    const workers = run.parts.filter((part) => hasPictures(part) && (!this.only || part.name === this.only));
    const shown = new Map();
    for (const worker of workers) {
      for (const camera of this.camera === "all" ? offered : [this.camera]) {
        shown.set(`${run.id}/${worker.name}/${camera}`, { worker, camera });
      }
    }
    for (const [key, tile] of this.tiles) if (!shown.has(key)) { tile.figure.remove(); this.tiles.delete(key); }
    for (const [key, { worker, camera }] of shown) {
      const tile = this.tiles.get(key) ?? this.addTile(key, worker, camera);
      this.describe(tile, worker);
    }
    if (this.order !== [...shown.keys()].join()) {
      this.order = [...shown.keys()].join();
      byId("tiles").append(...[...shown.keys()].map((key) => this.tiles.get(key).figure));
    }
    byId("tiles").style.setProperty("--columns", columnsFor(shown.size, workers.length, offered.length));
    byId("cameras").hidden = !shown.size;
    byId("main").classList.toggle("solo", !shown.size);
    this.connect();
  }

  addTile(key, worker, camera) {
    const canvas = element("canvas", { width: 480, height: 360, "data-frames": 0 });
    const cars = element("select", { "aria-label": "Car", onchange: () => { this.cars[key] = Number(cars.value); this.connect(); } });
    const dot = element("span", { class: "dot" }), away = element("div", { class: "away" }, "waiting for pictures");
    const figure = element("figure", { class: `tile ${camera}`, "data-worker": worker.name, "data-camera": camera },
      canvas, away, element("figcaption", {}, dot, worker.name, element("span", { class: "quiet" }, LABELS[camera]), element("span", { class: "gap" }), cars));
    const tile = { key, figure, canvas, cars, dot, away, seen: 0 };
    this.tiles.set(key, tile);
    return tile;
  }

  describe(tile, worker) {
    tile.worker = worker;
    const options = Math.max(1, worker.cars);
    if (tile.cars.length !== options) {
      tile.cars.replaceChildren(...Array.from({ length: options }, (_, car) => element("option", { value: car }, `car ${car}`)));
      tile.cars.value = String(Math.min(this.cars[tile.key] ?? 0, options - 1));
    }
    tile.cars.hidden = options === 1;
    this.judge(tile);
  }

  judge(tile) {
    const worker = tile.worker, isFresh = Date.now() - tile.seen < STALE_MS;
    const isThere = ["alive", "elsewhere"].includes(worker.condition);
    tile.dot.className = `dot ${isThere ? (isFresh ? "good" : "wait") : "bad"}`;
    let text = "";
    if (!isThere) text = `${worker.name} is ${worker.condition === "late" ? "starting" : worker.condition}${worker.doing ? `: ${worker.doing}` : ""}`;
    else if (!worker.has_stream) text = worker.condition === "elsewhere" ? "on another machine: no pictures" : "no pictures yet";
    else if (!isFresh) text = "waiting for pictures";
    tile.away.textContent = text;
    tile.away.hidden = !text;
  }

  age() {
    for (const tile of this.tiles.values()) if (tile.worker) this.judge(tile);
  }

  // One request for all tiles; a new one whenever they change, none while nobody looks.
  connect() {
    const tiles = document.hidden ? [] : [...this.tiles.values()].filter((tile) => tile.worker?.has_stream);
    const views = tiles.map((tile) => `${tile.key}/${this.cars[tile.key] ?? 0}`);
    if (views.join() === this.wanted) return;
    this.wanted = views.join();
    this.stop?.abort();
    clearTimeout(this.retry);
    if (!views.length) return;
    this.stop = new AbortController();
    this.receive(tiles, views, this.stop).catch(() => {}).finally(() => {
      if (this.wanted === views.join()) this.retry = setTimeout(() => { this.wanted = ""; this.connect(); }, RETRY_MS);
    });
  }

  async receive(tiles, views, stop) {
    const query = new URLSearchParams(this.size);
    views.forEach((view) => query.append("view", view));
    const response = await fetch(`frames?${query}`, { signal: stop.signal });
    if (!response.ok) return;
    const reader = response.body.getReader();
    let held = new Uint8Array(0);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      held = join(held, value);
      for (;;) {  // two bytes: which view; four bytes: how long the picture is
        if (held.length < 6) break;
        const head = new DataView(held.buffer, held.byteOffset, 6);
        const length = head.getUint32(2);
        if (held.length < 6 + length) break;
        show(tiles[head.getUint16(0)], held.slice(6, 6 + length));
        held = held.subarray(6 + length);
      }
    }
  }
}

// Several workers with all their cameras have a row each.
function columnsFor(tiles, workers, cameras) {
  if (tiles > workers && workers > 1) return cameras;
  return tiles < 3 ? tiles : tiles < 5 ? 2 : 3;
}

// Those of a run that has ended are gone; drctl's own races are over sooner than anybody could watch them.
function hasPictures(part) {
  return part.kind === "evaluation" ? part.has_stream : part.kind === "worker" && part.condition !== "ended";
}

function join(first, second) {
  if (!first.length) return second;
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

async function show(tile, jpeg) {
  if (tile.isDrawing) return;
  tile.isDrawing = true;
  try {
    const picture = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    if (tile.canvas.width !== picture.width) { tile.canvas.width = picture.width; tile.canvas.height = picture.height; }
    tile.canvas.getContext("2d").drawImage(picture, 0, 0);
    picture.close();
    tile.canvas.dataset.frames = Number(tile.canvas.dataset.frames) + 1;
    tile.seen = Date.now();
    tile.away.hidden = true;
  } finally {
    tile.isDrawing = false;
  }
}

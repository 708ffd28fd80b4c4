// Puts the page together: listens to the viewer and hands each panel what it shows.

import { Cameras } from "./cameras.js";
import { Chart } from "./chart.js";
import { byId, choice } from "./element.js";
import { TrackMap } from "./map.js";
import { showFigures, showModels, showNotices, showParts, showPhase, showRaces } from "./panels.js";

const query = new URLSearchParams(location.search);
const cameras = new Cameras(query);
const map = new TrackMap();
const charts = [
  new Chart(byId("charts"), "Progress", " %", [
    { name: "training", color: "blue", value: (one) => one.progress_mean },
    { name: "evaluation", color: "green", value: (one) => one.evaluation?.progress_mean }], { low: 0, high: 100 }),
  new Chart(byId("charts"), "Reward", "", [
    { name: "training", color: "blue", value: (one) => one.reward_mean },
    { name: "evaluation", color: "green", value: (one) => one.evaluation?.reward_mean }]),
  new Chart(byId("charts"), "Lap times", " s", [
    { name: "training", color: "blue", isDots: true, value: (one) => one.lap_times_s },
    { name: "evaluation", color: "green", isDots: true, value: (one) => one.evaluation?.lap_times_s }]),
  new Chart(byId("charts"), "Entropy", "", [{ name: "", color: "violet", value: (one) => one.entropy }]),
  new Chart(byId("charts"), "Policy loss", "", [{ name: "", color: "orange", value: (one) => one.policy_loss }]),
  new Chart(byId("charts"), "Value loss", "", [{ name: "", color: "orange", value: (one) => one.value_loss }]),
];

let state = null;
let chosen = query.has("run") ? Number(query.get("run")) : null;
let isConnected = true;
let clockOffset = 0;
const iterations = new Map();
const files = new Map();

const clock = () => Date.now() / 1000 - clockOffset;

function currentRun() {
  return state?.runs.find((run) => run.id === chosen) ?? state?.runs[0] ?? null;
}

function show() {
  const run = currentRun();
  byId("nothing").hidden = !state || Boolean(run);
  byId("main").hidden = !run?.parts;
  showNotices(run, isConnected);
  if (!run) return;
  const runs = state.runs.map((one) => [one.id, `run ${one.id}${one.is_running ? "" : " · ended"}`]);
  if (byId("runs").dataset.shown !== JSON.stringify([runs, run.id])) {
    byId("runs").dataset.shown = JSON.stringify([runs, run.id]);
    choice(byId("runs"), runs.length > 1 ? runs : [], run.id, (id) => { chosen = id; show(); showCharts(); });
  }
  if (!run.parts) return;
  byId("title").textContent = run.prefix;
  document.title = `${run.is_running ? run.phase.replaceAll("_", " ") : "ended"} · ${run.prefix} · drctl`;
  showPhase(run, clock);
  showFigures(run);
  showParts(run, clock);
  showRaces(run, files.get(run.id));
  showModels(run, files.get(run.id));
  cameras.update(run, state.cameras);
  map.update(run);
}

function showCharts() {
  const run = currentRun();
  const known = run ? iterations.get(run.id)?.items : null;
  const items = known ? [...known.values()].sort((a, b) => a.iteration - b.iteration) : [];
  charts.forEach((chart) => chart.update(items));
}

function listen() {
  const events = new EventSource("events");
  events.addEventListener("open", () => { isConnected = true; show(); });
  events.addEventListener("error", () => { isConnected = false; show(); });
  events.addEventListener("state", (event) => {
    state = JSON.parse(event.data);
    clockOffset = Date.now() / 1000 - state.time;
    show();
  });
  events.addEventListener("iterations", (event) => {
    const news = JSON.parse(event.data);
    let known = iterations.get(news.run);
    if (!known || known.token !== news.token) { known = { token: news.token, items: new Map() }; iterations.set(news.run, known); }
    for (const item of news.iterations) known.items.set(item.iteration, item);
    showCharts();
  });
  events.addEventListener("files", (event) => {
    const news = JSON.parse(event.data);
    files.set(news.run, news);
    show();
  });
}

function chooseTheme(theme) {
  document.documentElement.dataset.theme = theme;
  charts.forEach((chart) => chart.draw());
}

const wish = window.matchMedia("(prefers-color-scheme: dark)");
const theme = () => localStorage.getItem("theme") ?? (wish.matches ? "dark" : "light");
wish.addEventListener("change", () => chooseTheme(theme()));
byId("theme").addEventListener("click", () => {
  localStorage.setItem("theme", theme() === "dark" ? "light" : "dark");
  chooseTheme(theme());
});
window.addEventListener("resize", () => charts.forEach((chart) => chart.draw()));
document.addEventListener("race", ({ detail }) => map.showRace(currentRun(), detail.stamp, detail.name).catch(() => {}));
chooseTheme(theme());
setInterval(() => { const run = currentRun(); if (run?.parts) { showPhase(run, clock); showParts(run, clock); } }, 1000);
listen();

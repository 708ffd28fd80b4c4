// Figures, parts, races and checkpoints.

import { byId, count, duration, element, fill } from "./element.js";

const CONDITIONS = { alive: "good", elsewhere: "good", late: "wait", suspended: "wait", restarting: "bad", gone: "bad", ended: "" };
const VIDEOS = { "camera-pip": "with overlay", "camera-45degree": "chase", "camera-topview": "from above" };
const CHECKPOINTS_SHOWN = 12;

export function showPhase(run, clock) {
  const isTrouble = run.phase === "dead" || run.waits.some((wait) => wait.is_trouble);
  const look = isTrouble ? "bad" : !run.is_running ? "" : run.phase === "collecting" || run.phase === "updating" ? "busy" : "good";
  const age = run.heartbeat && run.is_running ? `heard ${duration(clock() - run.heartbeat)} ago` : "";
  const since = run.is_running ? ` ${duration(clock() - run.phase_since)}` : "";
  fill(byId("phase"), element("span", { class: `dot ${look}` }), element("span", {}, run.phase.replaceAll("_", " ") + since), element("small", {}, age));
  byId("phase").hidden = false;
}

export function showFigures(run) {
  const facts = run.facts, evaluation = facts.evaluation;
  const share = run.phase === "updating" ? facts.update_fraction ?? 0 : (facts.episodes_done ?? 0) / Math.max(1, facts.episodes_wanted ?? 1);
  const figures = [
    ["iteration", facts.iteration, share],
    ["episodes", count(facts.episodes_total)],
    ["steps", count(facts.steps_total)],
    ["steps/s", count(facts.steps_per_s)],
    ["progress, training", percent(facts.progress_mean)],
    ["progress, evaluation", percent(evaluation?.progress_mean)],
    ["evaluation laps", evaluation ? `${evaluation.laps}/${evaluation.trials}` : "–"],
    ["best lap", facts.best_lap_s ? `${facts.best_lap_s.toFixed(2)} s` : "–"],
  ];
  fill(byId("figures"), figures.map(([name, value, meter]) =>
    element("div", { class: "figure" }, element("b", {}, String(value ?? "–")), element("span", {}, name),
      meter !== undefined && run.is_running ? element("div", { class: "meter" }, element("i", { style: `width:${Math.round(100 * meter)}%` })) : null)));
}

function percent(value) {
  return value === undefined || value === null ? "–" : `${Math.round(value)} %`;
}

export function showParts(run, clock) {
  fill(byId("parts").tBodies[0], run.parts.map((part) => {
    const heard = part.last_heard && run.is_running ? `heard ${duration(clock() - part.last_heard)} ago` : "";
    const restarts = part.restarts ? `restarted ${part.restarts}×` : "";
    return element("tr", { "data-part": part.name, "data-condition": part.condition },
      element("td", {}, element("span", { class: `dot ${CONDITIONS[part.condition] ?? ""}` }), part.name),
      element("td", {}, part.condition === "alive" ? part.doing : `${part.condition}${part.doing ? `: ${part.doing}` : ""}`),
      element("td", { class: "quiet" }, [heard, restarts].filter(Boolean).join(", ")));
  }));
  const about = [run.facts.physics, run.facts.precision, run.facts.device].filter(Boolean).join(" · ");
  byId("about").textContent = [about, run.is_running && run.rule && `stop rule: ${run.rule}`].filter(Boolean).join(" · ");
}

export function showNotices(run, isConnected) {
  const notices = isConnected ? [] : [["bad", "The viewer does not answer; trying again"]];
  for (const wait of run?.waits ?? []) if (wait.is_trouble) notices.push(["", wait.text]);
  if (run?.trouble) notices.push(["bad", `run ${run.id}: ${run.trouble}`]);
  if (run?.phase === "dead" || (run?.parts && !run.is_running && run.message)) notices.push(["", `The run has ended: ${run.message}`]);
  fill(byId("notices"), notices.map(([look, text]) => element("div", { class: `notice ${look}` }, text)));
}

export function showRaces(run, files) {
  const races = files?.evaluations ?? [];
  byId("races-label").textContent = races.length ? `${races.length}` : "";
  if (!races.length) {
    fill(byId("races"), element("p", { class: "quiet" }, "None yet. ", element("code", {}, "drctl eval --mp4"), " races the best checkpoint and makes videos."));
    return;
  }
  const text = JSON.stringify(races);
  if (byId("races").dataset.shown === text) return;  // open races stay open
  byId("races").dataset.shown = text;
  byId("races").replaceChildren(...races.map((race, index) => describeRace(run, race, index === 0)));
}

function describeRace(run, race, isOpen) {
  const complete = race.laps.filter((lap) => lap.status === "Lap complete");
  const best = complete.length ? `best ${Math.min(...complete.map((lap) => lap.time_s)).toFixed(3)} s` : "no complete lap";
  const [, year, month, day, hour, minute, second] = race.stamp.match(/(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)/);
  const rows = race.laps.map((lap) => element("tr", {},
    element("td", {}, lap.lap), element("td", { class: "number" }, `${lap.time_s.toFixed(3)} s`),
    element("td", { class: "number" }, `${lap.progress} %`), element("td", { class: "number" }, lap.off_track),
    element("td", { class: "number" }, lap.crashes), element("td", {}, lap.status)));
  const heads = ["lap", "time", "progress", "off track", "crashes", ""];
  const links = Object.entries(race.videos).map(([camera, key]) =>
    element("button", { type: "button", "data-video": camera, onclick: () => play(run, key) }, VIDEOS[camera] ?? camera));
  const name = `${year}-${month}-${day} ${hour}:${minute}:${second}`;
  const showOnMap = () => document.dispatchEvent(new CustomEvent("race", { detail: { stamp: race.stamp, name } }));
  links.unshift(element("button", { type: "button", "data-map": race.stamp, onclick: showOnMap }, "on the map"));
  return element("details", { open: isOpen ? "" : undefined },
    element("summary", {}, element("b", {}, name),
      element("span", { class: "quiet" }, `${complete.length}/${race.laps.length} laps, ${best}`)),
    element("div", { class: "choice" }, ...links),
    element("table", {}, element("tbody", {},
      element("tr", {}, heads.map((name, index) => element("th", { class: index > 0 && index < 5 ? "number" : "" }, name))), rows)));
}

function play(run, key) {
  const video = element("video", { src: `runs/${run.id}/files/${encodeURI(key)}`, controls: "", playsinline: "" });
  video.muted = true;
  byId("player").replaceChildren(video);
  video.play().catch(() => {});
}

export function showModels(run, files) {
  const checkpoints = files?.checkpoints ?? [];
  const marks = run.facts.checkpoint ?? {};
  const shown = checkpoints.filter((one, index) => index < CHECKPOINTS_SHOWN || one.number === marks.best);
  fill(byId("models"), checkpoints.length ? element("div", { class: "scroll" }, element("table", {}, element("tbody", {}, shown.map((one) =>
    element("tr", {},
      element("td", {}, element("a", { href: `runs/${run.id}/files/${encodeURI(one.key)}`, download: "" }, `model_${one.number}.pb`),
        one.number === marks.best ? element("span", { class: "badge best" }, "best") : null,
        one.number === marks.last ? element("span", { class: "badge" }, "last") : null),
      element("td", { class: "quiet number" }, `${(one.bytes / 1e6).toFixed(1)} MB`),
      element("td", { class: "quiet" }, new Date(one.modified * 1000).toLocaleTimeString())))))) : element("p", { class: "quiet" }, "None yet."));
}

"use strict";

// Light or dark: as the system has it, until the button says otherwise.
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const dress = () => { root.dataset.theme = system.matches ? "dark" : "light"; };
dress();
system.addEventListener("change", dress);
document.getElementById("theme").addEventListener("click", () => {
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
});

function short(value) {
  const size = Math.abs(value);
  if (size >= 10000) return `${(value / 1000).toFixed(0)}k`;
  if (size >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return size >= 10 ? value.toFixed(1) : size >= 0.1 ? value.toFixed(2) : value.toPrecision(2);
}

// Values of a chart under the pointer.
for (const svg of document.querySelectorAll("svg.chart")) {
  const data = JSON.parse(svg.dataset.chart);
  const [first, last, left, right] = data.x;
  const cursor = svg.querySelector(".cursor");
  const keys = [...(svg.parentElement.querySelector(".keys")?.children ?? [])];
  const nearest = (points, at) =>
    points.reduce((best, one) => (Math.abs(one[0] - at) < Math.abs(best[0] - at) ? one : best));
  const show = (event) => {
    const box = svg.getBoundingClientRect();
    const column = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    const at = Math.min(last, Math.max(first, first + (column - left) / (right - left) * (last - first)));
    const found = data.series.map((one) => nearest(one.points, at));
    const shown = found.reduce((best, one) => (Math.abs(one[0] - at) < Math.abs(best[0] - at) ? one : best))[0];
    cursor.setAttribute("transform", `translate(${left + (shown - first) / (last - first) * (right - left)} 0)`);
    cursor.style.visibility = "visible";
    data.series.forEach((one, index) => {
      const [x, y] = found[index];
      const value = Math.abs(x - shown) < Math.max(1, (last - first) / 60) ? ` ${short(y)}${data.unit}` : "";
      keys[index].replaceChildren(one.name, Object.assign(document.createElement("b"), { textContent: value }));
    });
  };
  svg.addEventListener("pointermove", show);
  svg.addEventListener("pointerdown", show);
  svg.addEventListener("pointerleave", () => {
    cursor.style.visibility = "hidden";
    data.series.forEach((one, index) => keys[index].replaceChildren(one.name));
  });
}

// Laps, driven again.
for (const card of document.querySelectorAll(".replay")) {
  const laps = JSON.parse(card.querySelector("script").textContent);
  const total = Math.max(...laps.map((lap) => lap.time));
  const cars = [...card.querySelectorAll(".car")];
  const rows = [...card.querySelectorAll(".standing li")];
  const clock = card.querySelector(".clock b"), slider = card.querySelector("input"), button = card.querySelector(".play");
  let now = 0, running = false, previous = 0;

  function at(lap, time) {
    let low = 0, high = lap.t.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (lap.t[middle] <= time) low = middle; else high = middle;
    }
    const share = Math.min(1, Math.max(0, (time - lap.t[low]) / (lap.t[high] - lap.t[low] || 1)));
    const mix = (values) => values[low] + (values[high] - values[low]) * share;
    const ahead = Math.min(lap.t.length - 1, high + 1), behind = Math.max(0, low - 1);
    const angle = Math.atan2(lap.y[ahead] - lap.y[behind], lap.x[ahead] - lap.x[behind]) * 180 / Math.PI;
    return { x: mix(lap.x), y: mix(lap.y), speed: mix(lap.speed), angle };
  }

  function draw() {
    clock.textContent = now.toFixed(2);
    slider.value = now / total;
    laps.forEach((lap, index) => {
      const place = at(lap, now);
      cars[index].setAttribute("transform", `translate(${place.x} ${place.y}) rotate(${place.angle})`);
      rows[index].querySelector(".now").textContent = now >= lap.time ? "finished" : `${place.speed.toFixed(1)} m/s`;
    });
  }

  function tick(time) {
    if (!running) return;
    now = Math.min(total, now + (time - previous) / 1000);
    previous = time;
    draw();
    if (now >= total) set(false); else requestAnimationFrame(tick);
  }

  function set(state) {
    running = state;
    button.textContent = state ? "❚❚" : "▶";
    if (!state) return;
    if (now >= total) now = 0;
    previous = performance.now();
    requestAnimationFrame(tick);
  }

  button.addEventListener("click", () => set(!running));
  slider.addEventListener("input", () => { now = slider.value * total; draw(); });
  draw();
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
    // The first time it is seen it drives by itself.
    const watcher = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) { watcher.disconnect(); set(true); }
    }, { threshold: 0.5 });
    watcher.observe(card);
  }
}

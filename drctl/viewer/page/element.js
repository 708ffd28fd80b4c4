// Elements from plain data. Text is always set as text, never as markup: names come from users.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

// Replaces what an element holds, but only when it would differ: selections and open menus survive.
export function fill(target, ...children) {
  const holder = document.createElement("div");
  holder.append(...children.flat().filter(Boolean));
  if (holder.innerHTML !== target.innerHTML) target.replaceChildren(...holder.childNodes);
}

export function choice(target, options, chosen, onChoose) {
  target.replaceChildren(
    ...options.map(([value, label]) =>
      element("button", { type: "button", "aria-pressed": String(value === chosen), onclick: () => onChoose(value) }, label)),
  );
}

export function duration(seconds) {
  if (seconds < 0) seconds = 0;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")} min`;
}

export function count(value) {
  if (value === undefined || value === null) return "–";
  if (value >= 1e6) return `${(value / 1e6).toFixed(value < 1e7 ? 2 : 1)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)} k`;
  return String(Math.round(value));
}

export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// A canvas that is as fine as the screen; returns its context in CSS pixels, or null while it is not shown.
export function prepare(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width || !height) return null;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

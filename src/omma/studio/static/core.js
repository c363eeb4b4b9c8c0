// What every page stands on: elements without markup, sentences, questions to the server, time.

const root = document.documentElement;
let words = {};

// An element; children are elements or text, never markup: what comes from files and labels stays text.
export function h(tag, props = {}, ...children) {
  const svg = ["svg", "path", "circle", "line", "polyline", "polygon", "rect", "text", "g", "title"].includes(tag) && (props.svg || tag !== "title");
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false || key === "svg") continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.setAttribute("class", value);
    else if (key === "value" || key === "checked" || key === "disabled" || key === "selected" || key === "indeterminate") made[key] = value;
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  add(made, children);
  return made;
}

export function add(parent, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
  return parent;
}

export function fill(parent, ...children) {
  parent.replaceChildren();
  return add(parent, children);
}

export const tongue = () => root.dataset.lang || "en";

export async function speak(next) {
  if (next) {
    root.dataset.lang = root.lang = next;
    try { localStorage.setItem("omma-lang", next); } catch (e) { /* not kept */ }
  }
  words = await ask(`/api/words/${tongue()}`);
}

export function toggleTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("omma-theme", root.dataset.theme); } catch (e) { /* not kept */ }
}

// A sentence by its key, its {places} filled.
export function t(key, values = {}) {
  const sentence = words[key];
  if (sentence === undefined) return key;
  return sentence.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export class Refusal extends Error {
  constructor(text, status) { super(text); this.status = status; }
}

// A question to the server: JSON in, JSON out; an error is one line to read.
export async function ask(path, body, options = {}) {
  const raw = body instanceof Blob;
  let reply;
  try {
    reply = await fetch(path, {
      method: options.method || (body === undefined ? "GET" : "POST"),
      headers: { "x-omma-language": tongue(), ...(body !== undefined && !raw ? { "content-type": "application/json" } : {}) },
      body: body === undefined ? undefined : raw ? body : JSON.stringify(body),
      signal: options.signal, credentials: "same-origin", cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(t("unreachable"), 0);
  }
  if (reply.status === 204) return null;
  const found = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Refusal(found.error || t("unreachable"), reply.status);
  return found;
}

export const number = (value) => Number(value).toLocaleString(tongue() === "zh" ? "zh-CN" : "en-US");

export function score(value) {
  return value === null || value === undefined ? "–" : Number(value).toFixed(4);
}

export function clock(seconds) {
  if (seconds === null || seconds === undefined || !isFinite(seconds)) return "–";
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  return whole < 3600 ? `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s` : `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}

export function bytes(count) {
  return count >= 1e6 ? `${(count / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(count / 1e3))} kB`;
}

let told;
// One line that goes by itself; errors stay until they are read.
export function tell(text, kind = "") {
  if (!told) { told = h("div", { class: "told", role: "status", "aria-live": "polite" }); document.body.append(told); }
  const line = h("div", { class: `line ${kind}` }, h("span", {}, text),
    h("button", { type: "button", class: "quiet-button", "aria-label": t("close"), onclick: () => line.remove() }, "×"));
  told.append(line);
  while (told.children.length > 3) told.firstChild.remove();
  if (kind !== "bad") setTimeout(() => line.remove(), 5000);
}

// Does something and tells what went wrong.
export async function attempt(work, button) {
  if (button) button.disabled = true;
  try { return await work(); } catch (error) {
    if (error.name !== "AbortError") tell(error.message, "bad");
    return undefined;
  } finally { if (button) button.disabled = false; }
}

// What ends with a page: timers, streams, listeners on the window.
export class Life {
  constructor() { this.ends = []; this.over = false; this.cut = new AbortController(); }
  end() { this.over = true; this.cut.abort(); for (const one of this.ends.splice(0)) one(); }
  on(target, kind, listener, options) { target.addEventListener(kind, listener, options); this.ends.push(() => target.removeEventListener(kind, listener, options)); }
  later(milliseconds, work) { const timer = setTimeout(() => { if (!this.over) work(); }, milliseconds); this.ends.push(() => clearTimeout(timer)); return timer; }
  ask(path, body) { return ask(path, body, { signal: this.cut.signal }); }
}

export function watchJob(life, job, look) {
  const again = async () => {
    if (life.over) return;
    try {
      const now = await life.ask(`/api/jobs/${job}`);
      look(now);
      if (now.state === "begins" || now.state === "works") life.later(900, again);
    } catch (error) { if (error.name !== "AbortError" && error.status === 0) life.later(2000, again); else if (error.name !== "AbortError") tell(error.message, "bad"); }
  };
  again();
}

export function go(hash) { location.hash = hash; }

export function empty(title, text, ...more) {
  return h("div", { class: "empty" }, h("h2", {}, title), text && h("p", {}, text), ...more);
}

export function working(text) {
  return h("p", { class: "working", role: "status" }, h("span", { class: "spin", "aria-hidden": "true" }), text);
}

export function select(options, value, onchange, label) {
  return h("select", { onchange: (event) => onchange(event.target.value), "aria-label": label },
    options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
}

export function copyable(text) {
  return h("div", { class: "copy" }, h("pre", {}, text),
    h("button", { type: "button", onclick: async () => { try { await navigator.clipboard.writeText(text); tell(t("copied")); } catch (e) { tell(t("not_copied"), "bad"); } } }, t("copy")));
}

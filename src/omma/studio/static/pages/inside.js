// Inside: a network with a picture before it, taken apart on demand; the page itself is that of `omma look`, in a frame.

import { ask, attempt, fill, h, t, working } from "../core.js";
import { droppable } from "./projects.js";

let carried = null; // a picture that another page hands over
export function carry(file) { carried = file; }

export async function inside(body, { life, id, rest, query }) {
  body.classList.add("inside-page");
  const shown = h("div", { class: "look" });
  const field = (name, props) => h("input", { type: "text", name, value: query.get(name) || "", autocomplete: "off", spellcheck: "false", ...props });
  const model = field("model", { list: "networks", id: "model", placeholder: t("inside_model_hint"), "aria-label": t("model") });
  const list = h("datalist", { id: "networks" });
  const input = h("input", { type: "file", accept: "image/*,video/*", id: "picture", class: "hidden-input", onchange: () => { if (input.files[0]) take(input.files[0]); } });
  const path = field("picture", { placeholder: t("path_hint"), "aria-label": t("inside_path") });
  const size = field("size", { type: "number", min: 8, max: 2048, placeholder: "224" });
  const weights = field("weights", { placeholder: "/path/to/weights.safetensors" });
  const peaks = h("input", { type: "checkbox", name: "peaks" }), course = h("input", { type: "checkbox", name: "course" });
  const more = h("details", { class: "save" }, h("summary", { class: "button" }, t("more")), h("div", { class: "popover" },
    h("label", { class: "field" }, h("span", {}, t("inside_path")), path),
    h("label", { class: "field" }, h("span", {}, t("inside_size")), size),
    h("label", { class: "field" }, h("span", {}, t("inside_weights")), weights),
    id ? h("label", { class: "tick" }, peaks, t("inside_peaks")) : null,
    h("label", { class: "tick" }, course, t("inside_course"))));
  const chosen = h("label", { class: "button", for: "picture", tabindex: "0", onkeydown: (event) => { if (event.key === "Enter") input.click(); } }, t("inside_choose"), input);
  const form = h("form", { class: "look-form", onsubmit: (event) => { event.preventDefault(); begin(last, event.submitter); } },
    h("h1", {}, t("nav_inside")), model, list, chosen, h("button", { type: "submit", class: "main-button", id: "look" }, t("inside_look")), more);
  body.append(form, shown);
  let last = carried, round = 0, item = query.get("item"); // a picture of the project, by its place
  carried = null;
  droppable(life, body, (found) => { if (found[0]) take(found[0].file); });
  life.on(window, "paste", (event) => { const file = [...event.clipboardData.files][0]; if (file) take(file); });

  function take(file) {
    last = file;
    item = null;
    path.value = "";
    begin(file);
  }

  function words(more = {}) {
    const found = new URLSearchParams();
    for (const one of [model, path, size, weights]) if (one.value.trim()) found.set(one.name, one.value.trim());
    for (const [key, value] of Object.entries(more)) found.set(key, value);
    return found;
  }

  async function begin(file, button) {
    if (!model.value.trim()) await known;
    const mine = (round += 1), sent = path.value.trim() ? null : file, asked = words();
    more.open = false;
    if (id) asked.set("project", id);
    if (sent) asked.set("name", sent.name || "picture.png");
    else if (id && item) asked.set("item", item);
    for (const box of [peaks, course]) if (box.checked) asked.set(box.name, "1");
    fill(shown, working(t("inside_works")));
    const found = await attempt(() => ask(`/api/inside?${asked}`, sent || undefined, { method: "POST", signal: life.cut.signal }), button);
    if (life.over || mine !== round) return;
    if (!found) { welcome(); return; }
    // The address names this look: a reload, or another language, shows it again without computing it.
    history.replaceState(null, "", `#${id ? `/${id}` : ""}/inside/${found.key}?${words()}`);
    show(found);
  }

  function welcome(note) {
    fill(shown, note ? h("p", { class: "note" }, note) : null, h("label", { class: "drop", for: "picture" }, h("strong", {}, t("inside_drop")), h("span", {}, id ? t("inside_text_project") : t("inside_text"))));
  }

  function show(found) {
    const frame = h("iframe", { class: "look-frame", title: `${found.title} · ${found.picture}`, src: `/api/inside/${encodeURIComponent(found.key)}/frame` });
    frame.addEventListener("load", () => follow(frame, life));
    fill(shown, frame);
  }

  welcome();
  const known = life.ask("/api/networks").then((found) => {
    fill(list, [...found.runs, ...found.names].map((name) => h("option", { value: name })));
    if (!model.value && document.activeElement !== model) model.value = found.runs[0] || "";
  }).catch(() => { /* names can be typed */ });
  if (rest[0]) {
    fill(shown, working(t("reading")));
    const found = await life.ask(`/api/inside/${encodeURIComponent(rest[0])}`).catch((error) => { if (error.name === "AbortError") throw error; return null; });
    if (life.over) return;
    if (found && !query.get("model")) model.value = found.title;
    if (found) show(found); else welcome(t("inside_gone"));
    return;
  }
  await known;
  if (!life.over && (last || item) && model.value) begin(last);
}

// The studio's theme and language are the frame's.
function follow(frame, life) {
  const theirs = frame.contentDocument && frame.contentDocument.documentElement, root = document.documentElement;
  if (!theirs) return;
  const same = () => {
    if (root.dataset.theme && theirs.dataset.theme !== root.dataset.theme) theirs.dataset.theme = root.dataset.theme;
    if (theirs.dataset.lang !== root.dataset.lang) theirs.dataset.lang = theirs.lang = root.dataset.lang;
  };
  same();
  const change = new MutationObserver(same);
  change.observe(root, { attributes: true });
  life.ends.push(() => change.disconnect());
}

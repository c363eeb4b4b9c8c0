// Try: a picture dropped, pasted, chosen or photographed; the answer on it, and why. Two models side by side.

import { ask, attempt, fill, go, h, select, t, tell, working } from "../core.js";
import { carry } from "./inside.js";
import { chooser } from "./runs.js";
import { droppable } from "./projects.js";

const MOST = 500; // pictures of one go; for more there is omma predict

export async function trial(body, context) {
  const { life, id } = context;
  const head = h("div", { class: "title" }, h("h1", {}, t("nav_try")));
  body.append(head);
  const chosen = await chooser(body, context);
  if (!chosen || life.over) return;
  const { rows, here, control } = chosen;
  let other = "", last = null, round = 0;
  const beside = rows.length > 1 ? select([["", t("beside_none")], ...rows.filter((row) => row.name !== here.name).map((row) => [row.name, t("beside", { name: row.name })])], "", (name) => { other = name; if (last) answer(last); }, t("beside_none")) : null;
  head.append(h("div", { class: "buttons" }, control, beside));
  const about = await life.ask(`/api/runs/${encodeURIComponent(here.name)}/about`).catch((error) => { if (error.name !== "AbortError") tell(error.message, "bad"); return null; });
  if (!about || life.over) return;
  const shown = h("div", { class: "answers" });
  if (about.asks === "seed") { seeds(body, here, about, shown); return; }

  const input = h("input", { type: "file", accept: about.frames > 1 ? "image/*,video/*" : "image/*", multiple: true, id: "picture", class: "hidden-input", onchange: () => take([...input.files]) });
  const camera = h("input", { type: "file", accept: "image/*", capture: "environment", id: "camera", class: "hidden-input", onchange: () => camera.files[0] && answer(camera.files[0]) });
  const zone = h("label", { class: "drop", for: "picture", tabindex: "0", onkeydown: (event) => { if (event.key === "Enter") input.click(); } }, h("strong", {}, t("try_drop")), h("span", {}, t("try_text")), input);
  droppable(life, zone, (found) => take(found.map((row) => row.file)));
  life.on(window, "paste", (event) => { const file = [...event.clipboardData.files][0]; if (file) answer(file); });
  const threshold = about.threshold === null || typeof about.threshold !== "number" ? null : h("label", { class: "field slide-field" }, h("span", {}, t("threshold")),
    h("input", { type: "range", min: 0, max: 1, step: 0.01, value: about.threshold, onchange: () => last && answer(last), id: "threshold" }));
  body.append(h("p", { class: "quiet" }, `${about.task} · ${about.model}`), zone,
    h("p", { class: "buttons" }, h("label", { class: "button", for: "camera" }, t("camera")), camera, threshold), shown);

  function take(files) {
    if (files.length > 1) many(files); else if (files[0]) answer(files[0]);
  }

  // A folder, or several at once: one after the other, as a gallery of answers.
  async function many(files) {
    last = null;
    const mine = (round += 1), wall = h("div", { class: "pictures" }), line = h("p", { class: "quiet", role: "status" });
    fill(shown, h("section", { class: "all" }, line, wall));
    for (const [place, file] of files.slice(0, MOST).entries()) {
      line.textContent = t("answered", { done: place, all: Math.min(files.length, MOST) });
      const found = await ask(`/api/runs/${encodeURIComponent(here.name)}/answer?name=${encodeURIComponent(file.name)}`, file, { signal: life.cut.signal }).catch((error) => ({ text: error.message, failed: true, stop: error.name === "AbortError" }));
      if (life.over || mine !== round || found.stop) return;
      wall.append(h("figure", {}, found.failed ? null : h("button", { type: "button", class: "cell", onclick: () => answer(file) }, h("img", { src: found.drawn, alt: file.name })), h("figcaption", { class: found.failed ? "bad-text" : "" }, h("strong", {}, found.text || "–"), h("br"), file.name)));
    }
    line.textContent = t("answered", { done: Math.min(files.length, MOST), all: files.length });
  }

  async function answer(file) {
    last = file;
    round += 1;
    const models = other ? [here.name, other] : [here.name];
    fill(shown, models.map(() => h("section", {}, working(t("asking")))));
    await Promise.all(models.map((name, i) => one(shown.children[i], name, file, models.length > 1)));
  }

  async function one(box, name, file, several) {
    const safe = encodeURIComponent(name), known = `name=${encodeURIComponent(file.name || "picture.png")}`;
    const level = threshold ? `&threshold=${threshold.querySelector("input").value}` : "";
    try {
      const found = await ask(`/api/runs/${safe}/answer?${known}${several ? "" : level}`, file, { signal: life.cut.signal });
      const map = h("div", { class: "why" });
      const explain = h("button", { type: "button", class: "main-button", onclick: async () => {
        fill(map, working(t("explaining")));
        const made = await attempt(() => ask(`/api/runs/${safe}/why?${known}`, file), explain);
        if (made) fill(map, h("img", { src: made.drawn, alt: t("why") }), made.lines.map((line) => h("p", { class: "quiet" }, line))); else fill(map);
      } }, t("why"));
      fill(box, several ? h("h2", {}, name) : null, h("p", { class: "says", id: several ? null : "says" }, found.text || "–"),
        h("div", { class: "said-of" }, h("img", { src: found.drawn, alt: found.text, class: "drawn" }), shares(found.json)), h("p", { class: "buttons" }, explain, h("button", { type: "button", onclick: () => { carry(file); go(`#/${id}/inside?model=${safe}`); } }, t("nav_inside"))), map,
        h("details", {}, h("summary", {}, t("raw")), h("pre", {}, JSON.stringify(found.json, null, 1))));
    } catch (error) { if (error.name !== "AbortError") fill(box, h("p", { class: "warn" }, error.message)); }
  }
}

// Every probability as a bar, the surest first.
function shares(json) {
  if (!json.probabilities || Array.isArray(json.probabilities)) return null;
  const rows = Object.entries(json.probabilities).sort((a, b) => b[1] - a[1]).slice(0, 8);
  return h("div", { class: "shares" }, rows.map(([name, share]) => { const bar = h("i"); bar.style.width = `${(share * 100).toFixed(1)}%`; return h("div", {}, h("span", {}, name), h("b", {}, bar), h("em", {}, `${(share * 100).toFixed(1)} %`)); }));
}

function seeds(body, here, about, shown) {
  const seed = h("input", { type: "number", min: 0, value: 0, "aria-label": t("seed") });
  const names = about.names.length > 1 ? select([["", t("every_class")], ...about.names.map((name) => [name, name])], "", () => draw(), t("label")) : null;
  const draw = async (button) => {
    fill(shown, working(t("asking")));
    const made = await attempt(() => ask(`/api/runs/${encodeURIComponent(here.name)}/draw`, { seed: Number(seed.value) || 0, class: names ? names.value : "" }), button);
    fill(shown, made ? h("div", { class: "pictures" }, made.pictures.map((source, i) => h("img", { src: source, alt: `${seed.value}/${i}` }))) : null);
  };
  body.append(h("p", { class: "quiet" }, `${about.task} · ${about.model}`),
    h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); draw(event.submitter); } }, seed, names, h("button", { type: "submit", class: "main-button" }, t("draw"))), shown);
  draw();
}

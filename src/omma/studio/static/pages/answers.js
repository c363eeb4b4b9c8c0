// The answers of a run taken apart: the confusion matrix and the pictures behind each cell, precision and recall at any threshold.

import { ask, attempt, fill, h, number, score, select, t, watchJob, working } from "../core.js";
import { curves } from "../chart.js";
import { gallery } from "../gallery.js";

export async function answers(room, { life, id }, run) {
  const base = `/api/runs/${encodeURIComponent(run)}`, own = `/api/p/${id}/answers/${encodeURIComponent(run)}`;
  const about = await life.ask(own);
  if (life.over) return;
  if (about.state === "unable") { fill(room, h("p", { class: "quiet", id: "no-threshold" }, about.why)); return; }
  if (about.state !== "there") { missing(about); return; }
  const wall = h("div", { class: "behind" }), matrix = h("section"), slider = h("section");
  fill(room, h("p", { class: "quiet" }, t("answers_there", { count: number(about.count), split: ["train", "val", "test", "all"].includes(about.split) ? t(`split_${about.split}`) : about.split })),
    h("div", { class: "two" }, about.confusion ? matrix : null, about.classes.length || about.alone ? slider : null), about.why ? h("p", { class: "quiet", id: "no-threshold" }, about.why) : null, wall);
  if (about.confusion) confusion(matrix, about.confusion, (true_, named, count) => behind(wall, about.confusion, true_, named, count));
  if (about.classes.length || about.alone) await threshold(slider, about.classes, about.alone);

  function missing(found) {
    const line = h("p", { class: "quiet" }, found.error || t("answers_none"));
    const follow = (job) => { fill(room, working(t("answers_works"))); watchJob(life, job, (now) => { if (now.state === "done") answers(room, { life, id }, run); else if (now.state !== "begins" && now.state !== "works") missing({ error: now.error || t(`state_${now.state}`) }); }); };
    if (found.state === "works") { follow(found.job); return; }
    fill(room, h("section", {}, line, h("button", { type: "button", onclick: async (event) => { const made = await attempt(() => ask(own, {}), event.target); if (made) follow(made.job); } }, t("answers_ask"))));
  }

  function confusion(box, table, open) {
    const cell = (true_, named, count, text) => {
      const made = h("button", { type: "button", class: true_ === named ? "count-of right" : "count-of", disabled: !count, "aria-label": t("cell", { true: table.names[true_], named: table.names[named], count: number(count), unit: t(`unit_${table.unit}`) }), onclick: () => { for (const one of box.querySelectorAll(".chosen")) one.classList.remove("chosen"); made.classList.add("chosen"); open(true_, named, count); } }, text || number(count));
      return made;
    };
    fill(box, h("h2", {}, t("confusion")), h("p", { class: "quiet" }, t("confusion_text", { unit: t(`unit_${table.unit}`) })));
    if (table.counts) {
      const sums = table.counts.map((row) => Math.max(1, row.reduce((a, b) => a + b, 0)));
      box.append(h("div", { class: "confusion" }, h("table", {},
        h("thead", {}, h("tr", {}, h("td"), table.names.map((name) => h("th", { scope: "col", title: name }, h("span", {}, name))))),
        h("tbody", {}, table.counts.map((row, i) => h("tr", {}, h("th", { scope: "row", title: table.names[i] }, table.names[i]), row.map((count, j) => {
          const made = h("td", {}, cell(i, j, count));
          made.style.setProperty("--share", `${Math.round((78 * count) / sums[i])}%`);
          made.className = i === j ? "right" : "";
          return made;
        })))))));
    } else if (!table.pairs.length) box.append(h("p", { class: "good" }, t("confusion_none")));
    else box.append(h("div", { class: "pairs" }, table.pairs.map(([i, j, count]) => cell(i, j, count, `${table.names[i]} → ${table.names[j]} · ${number(count)}`))));
  }

  async function behind(box, table, true_, named, count) {
    const asked = `true=${true_}&named=${named}`, found = await attempt(() => life.ask(`${base}/cell?${asked}`));
    if (found && !life.over) pictured(box, t("cell", { true: table.names[true_], named: table.names[named], count: number(count), unit: t(`unit_${table.unit}`) }), found.rows, asked);
  }

  function pictured(box, title, rows, asked = "") {
    fill(box, h("section", {}, h("h2", {}, title), h("p", { class: "quiet" }, t("cell_pictures", { count: number(rows.length) }))));
    const pictures = viewer(life, (row) => `${base}/said/${row}/shown?${asked}`);
    const shown = gallery(box.firstChild, { life, sheet: (rows) => life.ask(`${base}/thumbs?rows=${rows.join(",")}&${asked}`), items: (rows) => life.ask(`${base}/said?rows=${rows.join(",")}&${asked}`), open: (i) => pictures(shown.places, i, shown.about) });
    shown.show(rows);
    box.scrollIntoView({ block: "start", behavior: "smooth" });
  }

  // `alone`: one thing told from the rest by a number ({name, counts}), which has no classes to choose from.
  async function threshold(box, classes, alone) {
    let about = "", now = null, at = null;
    const kinds = h("div", { class: "row" }), room = h("div", { class: "cards" }), line = h("p", { class: "quiet" }), chart = h("div"), range = h("input", { type: "range", min: 0, max: 100, step: 1, id: "level", "aria-label": t("threshold"), oninput: () => { at = Number(range.value); paint(); } }), level = h("output", { for: "level" });
    fill(box, h("h2", {}, t("threshold")), alone ? null : select([["", t("every_class")], ...classes.map((name) => [name, name])], "", (name) => { about = name; load(); }, t("every_class")),
      h("div", { class: "row level" }, range, level), room, kinds, line, chart);
    const told = () => ({ said: number(now.said[at]), right: number(now.right[at]), true: number(now.true) });
    const digits = () => (now.levels[1] - now.levels[0] < 0.0099 ? 4 : 2);

    async function load() {
      now = await attempt(() => life.ask(`${base}/threshold${about ? `?class=${encodeURIComponent(about)}` : ""}`));
      if (!now || life.over) return;
      if (at === null) at = nearest(now.levels, now.own ?? (now.levels[0] + now.levels.at(-1)) / 2);
      range.max = now.levels.length - 1;
      range.value = at;
      const drawn = curves(["precision", "recall"].filter((key) => now[key]).map((key) => ({ name: now.named[key], points: now.levels.map((x, i) => [x, now[key][i]]) })), t("threshold"), "", now.levels[at]);
      fill(chart, drawn);
      paint();
    }

    function paint() {
      level.textContent = now.levels[at].toFixed(digits());
      fill(room, Object.entries(now.named).map(([key, name]) => h("div", {}, h("b", {}, name), h("strong", { "data-score": key }, score(now[key][at])))));
      const counts = { right: now.right[at], invented: now.said[at] - now.right[at], missed: now.true - now.right[at] };
      fill(kinds, about || alone ? Object.entries(counts).map(([what, count]) => h("button", { type: "button", disabled: !count, "data-what": what, onclick: (event) => open(event.target, what, count) }, `${t(`what_${what}`)} · ${number(count)}`)) : null);
      line.textContent = [alone ? t(`level_${alone.counts}`, { name: alone.name }) : about ? t("level_class", { name: about }) : t("level_all"),
        alone ? t("level_counts_of", { unit: t(`unit_${alone.counts}`), ...told() }) : t("level_counts", told()),
        now.own !== null ? t("level_own", { level: now.own.toFixed(digits()) }) : now.several ? t("level_several") : ""].join(" ");
      chart.firstChild?.mark?.(now.levels[at]);
    }

    async function open(button, what, count) {
      const asked = about, place = at, words = alone ? `level=${now.levels[place]}` : `class=${encodeURIComponent(asked)}&level=${now.levels[place]}`;
      const found = await attempt(() => life.ask(`${base}/apart?${words}`), button);
      if (!found || life.over) return;
      const values = { name: alone ? alone.name : asked, level: now.levels[place].toFixed(digits()), count: number(count) };
      pictured(wall, alone && alone.counts === "pixels" ? t(`apart_pixels_${what}`, values) : t(`apart_${what}`, values), found[what], alone ? words : "");
    }
    await load();
  }
}

function nearest(levels, wanted) {
  return levels.reduce((best, one, i) => (Math.abs(one - wanted) < Math.abs(levels[best] - wanted) ? i : best), 0);
}

// Pictures one after the other in a dialog: truth beside answer.
function viewer(life, address) {
  const image = h("img", { alt: "" }), name = h("h2"), text = h("p", { class: "quiet" });
  const box = h("dialog", { class: "viewer" });
  let list = [], at = 0, about = () => null;
  const step = (by) => { at = Math.min(list.length - 1, Math.max(0, at + by)); show(); };
  const show = () => { const row = about(at); image.src = address(list[at]); name.textContent = row ? row.id : ""; text.textContent = row ? t("said_true", { said: row.text, true: row.true }) : ""; };
  fill(box, h("div", { class: "title" }, name, h("button", { type: "button", class: "quiet-button", "aria-label": t("close"), onclick: () => box.close() }, "×")),
    h("div", { class: "stage" }, h("button", { type: "button", class: "step", "aria-label": t("before"), onclick: () => step(-1) }, "‹"), image, h("button", { type: "button", class: "step", "aria-label": t("after"), onclick: () => step(1) }, "›")), text);
  box.addEventListener("keydown", (event) => { if (event.key === "ArrowRight") step(1); else if (event.key === "ArrowLeft") step(-1); });
  document.body.append(box);
  life.ends.push(() => box.remove());
  return (rows, i, tell) => { list = rows; at = i; about = tell; show(); box.showModal(); };
}

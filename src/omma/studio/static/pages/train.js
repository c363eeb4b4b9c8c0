// Train: set out, watch it learn, stop, go on, compare.

import { add, ask, attempt, clock, empty, fill, go, h, number, score, select, t, tell, working } from "../core.js";
import { curves, dots } from "../chart.js";

export async function train(body, { life, id, rest }) {
  const hold = h("div", {}, working(t("reading")));
  body.append(hold);
  const [about, tasks, labels] = await Promise.all([life.ask(`/api/p/${id}/data`), life.ask(`/api/p/${id}/tasks`), life.ask(`/api/p/${id}/labels`)]);
  if (life.over) return;
  const one = h("div"), all = h("div");
  fill(body, h("div", { class: "title" }, h("h1", {}, t("nav_train"))),
    h("div", { class: rest[0] ? "two uneven with-run" : "two uneven" }, form(about, tasks, labels, { life, id }), h("div", {}, one, all)));
  if (rest[0]) watch(one, rest[0], { life, id, refresh });
  async function refresh() {
    const found = await attempt(() => life.ask(`/api/p/${id}/runs`));
    if (!found) return;
    compare(all, found, { id, here: rest[0] });
    if (!rest[0] && !found.runs.length && !found.waiting.length) fill(all, empty(t("no_runs"), t("no_runs_text")));
    const busy = found.runs.some((row) => row.state === "works") || found.waiting.some((row) => row.state !== "failed" && row.state !== "lost");
    life.later(busy ? 4000 : 15000, refresh);
  }
  refresh();
}

function form(about, tasks, labels, { life, id }) {
  const wish = { task: tasks.proposed || "", preset: "fast", budget: "2min", model: "", seed: "", clean: Boolean(about.clean), labels: labels.count > 0 };
  const settings = h("textarea", { rows: 3, placeholder: "rate=0.01\nflip=no", spellcheck: "false", "aria-label": t("settings") });
  const own = h("input", { type: "text", class: "hidden", placeholder: "45min, 20 epochs, 3000 steps", "aria-label": t("budget") });
  const field = (name, control, note) => h("label", { class: "field" }, h("span", {}, name), control, note ? h("small", {}, note) : null);
  const taught = h("small", {}, "");
  const say = () => { taught.textContent = (tasks.tasks.find((row) => row.name === wish.task) || { text: t("task_open") }).text; };
  say();
  const budgets = ["2min", "10min", "30min", "1h", "3h"].map((text) => [text, t(`budget_${text}`)]).concat([["", t("budget_own")]]);
  const begin = h("button", { type: "submit", class: "main-button" }, t("begin"));
  return h("form", { class: "card-form", onsubmit: async (event) => {
    event.preventDefault();
    const budget = wish.budget === "" ? own.value.trim() : wish.budget === "1h" ? "60min" : wish.budget === "3h" ? "180min" : wish.budget;
    const made = await attempt(() => ask(`/api/p/${id}/train`, { ...wish, budget, settings: settings.value.split(/\s+/).filter(Boolean) }), begin);
    if (made) go(`#/${id}/train/${encodeURIComponent(made.run)}`);
  } },
    h("h2", {}, t("new_run")),
    h("p", { class: "quiet" }, about.clean ? t("learns_clean") : t("learns_all", { count: number(about.labelled) })),
    labels.count ? h("label", { class: "tick" }, h("input", { type: "checkbox", checked: true, onchange: (event) => { wish.labels = event.target.checked; } }), t(about.clean ? "with_labels_clean" : "with_labels", { count: labels.count })) : null,
    h("label", { class: "field" }, h("span", {}, t("task")), select([["", t("task_auto")], ...tasks.tasks.map((row) => [row.name, row.name + (row.name === tasks.proposed ? ` (${t("proposed")})` : "")])], wish.task, (value) => { wish.task = value; say(); }, t("task")), taught),
    field(t("preset"), select([["fast", t("preset_fast")], ["balanced", t("preset_balanced")], ["best", t("preset_best")]], wish.preset, (value) => { wish.preset = value; }, t("preset"))),
    field(t("budget"), h("div", {}, select(budgets, wish.budget, (value) => { wish.budget = value; own.classList.toggle("hidden", value !== ""); if (value === "") own.focus(); }, t("budget")), own)),
    h("details", {}, h("summary", {}, t("more")),
      field(t("model"), h("input", { type: "text", placeholder: t("model_hint"), spellcheck: "false", oninput: (event) => { wish.model = event.target.value; } })),
      field(t("seed"), h("input", { type: "number", min: 0, placeholder: "0", oninput: (event) => { wish.seed = event.target.value === "" ? "" : Number(event.target.value); } })),
      field(t("settings"), settings, t("settings_text"))),
    begin);
}

// One run as it learns: server-sent events, so that a closed tab costs nothing and a new one sees everything.
function watch(parent, name, { life, id, refresh }) {
  const rows = [], safe = encodeURIComponent(name);
  const head = h("div", { class: "title" }), bar = h("progress", { max: 1, value: 0 }), left = h("p", { class: "quiet", role: "status" }), drawn = h("div", { class: "pair" }), sample = h("div"), said = h("details", { class: "log", hidden: true }), error = h("div");
  fill(parent, h("section", { class: "run" }, head, error, bar, left, drawn, sample, said));
  let state = "waits", job = null, seen = 0, shownAt = -1, ticking = false;
  const since = performance.now();

  async function facts() {
    const found = await life.ask(`/api/p/${id}/runs`).catch(() => null);
    if (!found || life.over) return;
    const row = found.runs.find((one) => one.name === name) || found.waiting.find((one) => one.name === name);
    if (!row) { fill(head, h("h2", {}, name)); return; }
    job = row.job;
    state = row.state;
    fill(head, h("h2", {}, name, " ", h("span", { class: `state ${row.state}` }, t(`state_${row.state}`))),
      h("div", { class: "buttons" },
        row.state === "works" && job ? h("button", { type: "button", onclick: (event) => attempt(() => ask(`/api/jobs/${job}/stop`, {}), event.target) }, t("stop")) : null,
        row.state === "stopped" ? h("button", { type: "button", class: "main-button", onclick: async (event) => { if (await attempt(() => ask(`/api/p/${id}/resume`, { run: name }), event.target)) { life.later(500, facts); } } }, t("resume")) : null,
        row.state === "done" ? [h("a", { class: "main-button", href: `#/${id}/results/${safe}` }, t("nav_results")), h("a", { class: "button", href: `#/${id}/try/${safe}` }, t("nav_try"))] : null));
    fill(error, row.error ? h("p", { class: "warn" }, row.error) : null, (row.notes || []).map((note) => h("p", { class: "note" }, note)));
    if (job) {
      const told = await life.ask(`/api/jobs/${job}/said`).catch(() => null);
      if (told && told.log.length) {
        const open = said.open;
        fill(said, h("summary", {}, t("said")), h("pre", {}, told.log.filter((line) => !line.startsWith("{")).join("\n")));
        said.open = open;
        said.hidden = false;
        if (!rows.length && state !== "failed") left.textContent = told.log.at(-1);
      }
    }
    if (state === "works" || state === "begins") life.later(rows.length ? 5000 : 1500, facts);
  }

  function paint() {
    ticking = false;
    if (life.over) return;
    const start = rows.findLast((row) => row.event === "start"), last = rows.at(-1), total = last && (rows.findLast((row) => row.total)?.total || start?.total);
    const step = last ? Math.max(...rows.slice(-3).map((row) => row.step || 0)) : 0;
    const steps = rows.filter((row) => row.event === "step"), looks = rows.filter((row) => row.event === "eval");
    const over = rows.some((row) => row.event === "bundle");
    if (total) bar.value = over ? 1 : Math.min(1, step / total); else bar.removeAttribute("value");
    if (total) {
      const first = steps[0], now = steps.at(-1);
      const pace = first && now && now.step > first.step ? (now.seconds - first.seconds) / (now.step - first.step) : null;
      const waits = state === "works" && pace !== null && !over ? ` · ${t("left", { time: clock(pace * (total - step)) })}` : "";
      const judging = state === "works" && step >= total && !over ? ` · ${t("judging")}` : "";
      left.textContent = `${t("steps", { step: number(step), total: number(total) })} · ${t("passed", { time: clock(last.seconds ?? now?.seconds) })}${judging || waits}`;
    }
    const lossOf = (row) => row.loss ?? Object.entries(row).filter(([key, value]) => typeof value === "number" && !["step", "epoch", "total", "rate", "norm", "seconds", "event"].includes(key)).reduce((sum, [, value]) => sum + value, 0);
    const held = looks.map((row) => [row.step, row.val_loss]).filter(([, value]) => typeof value === "number");
    const key = looks.length ? Object.keys(looks[0]).find((one) => one.startsWith("val_") && one !== "val_loss") : null;
    const loss = curves([{ name: t("loss_train"), points: steps.map((row) => [row.step, lossOf(row)]) }, { name: t("loss_val"), points: held }], t("step"), t("loss"));
    const value = key ? curves([{ name: key, points: looks.map((row) => [row.step, row[key]]) }], t("step"), key.replace("val_", "")) : null;
    fill(drawn, loss, value);
    if (looks.length && looks.at(-1).step !== shownAt) {
      shownAt = looks.at(-1).step;
      show(shownAt);
    }
  }

  async function show(step) {
    const image = new Image();
    image.onload = () => fill(sample, h("h3", {}, t("sample", { step })), h("div", { class: "wide" }, image));
    image.alt = t("sample", { step });
    image.className = "sample";
    const there = await fetch(`/api/runs/${safe}/sample?step=${step}`).catch(() => null);
    if (there && there.status === 200 && !life.over) image.src = URL.createObjectURL(await there.blob());
  }

  const stream = new EventSource(`/api/runs/${safe}/stream`);
  life.ends.push(() => stream.close());
  stream.addEventListener("rows", (event) => {
    const more = JSON.parse(event.data);
    rows.push(...more);
    if (seen === 0 || more.some((row) => row.event === "bundle" || row.event === "stopped")) { life.later(300, facts); refresh(); }
    seen += more.length;
    if (!ticking) { ticking = true; setTimeout(paint, performance.now() - since < 3000 ? 50 : 700); }
  });
  stream.addEventListener("again", () => { rows.length = 0; });
  stream.addEventListener("state", () => facts());
  facts();
}

function compare(parent, found, { id, here }) {
  const rows = found.runs;
  const waiting = found.waiting.map((row) => h("p", { class: row.state === "failed" || row.state === "lost" ? "warn" : "note" }, h("strong", {}, row.name), " ", row.error || t(`state_${row.state}`)));
  if (!rows.length) { fill(parent, waiting); return; }
  const scored = rows.filter((row) => row.score);
  const metrics = [...new Set(scored.map((row) => row.metric))];
  const chosen = scored.find((row) => row.mine)?.metric || metrics[0];
  const points = scored.filter((row) => row.metric === chosen).map((row) => ({ name: row.name, x: row.seconds / 60, y: row.score.value, low: row.score.low, high: row.score.high, on: row.name === here }));
  fill(parent, waiting, h("section", {}, h("h2", {}, t("runs")),
    points.length ? dots(points, t("minutes"), scored.find((row) => row.metric === chosen)?.named?.[chosen] || chosen, (point) => go(`#/${id}/train/${encodeURIComponent(point.name)}`)) : null,
    h("div", { class: "wide" }, h("table", { class: "runs" },
      h("thead", {}, h("tr", {}, [t("run"), t("score"), t("task"), t("model"), t("budget"), t("time"), ""].map((text) => h("th", {}, text)))),
      h("tbody", {}, rows.map((row) => h("tr", { class: row.name === here ? "here" : "" },
        h("td", {}, h("a", { href: `#/${id}/train/${encodeURIComponent(row.name)}` }, row.name), row.mine ? null : h("small", {}, row.data || "")),
        h("td", {}, row.score ? [h("strong", {}, score(row.score.value)), h("small", {}, `${row.named?.[row.metric] || row.metric} [${score(row.score.low)}, ${score(row.score.high)}]`)] : "–"),
        h("td", {}, row.task || "–"), h("td", {}, row.model || "–"), h("td", {}, row.budget || "–"), h("td", {}, clock(row.seconds)),
        h("td", {}, h("span", { class: `state ${row.state}` }, t(`state_${row.state}`))))))))));
}

// Label: one picture at a time, every stroke kept before the next; classes by keyboard, the model's proposal with one key.

import { ask, attempt, empty, fill, go, h, number, select, t, tell, watchJob, working } from "../core.js";
import { Canvas, colourOf } from "../canvas.js";

const TOOLS = { select: ["v", "M5 3l14 8-6 2-3 6z"], box: ["b", "M4 6h16v12H4z"], polygon: ["p", "M12 3l9 7-4 11H7L3 10z"], brush: ["r", "M4 20c3 0 4-2 4-4l9-9 3 3-9 9c-2 2-4 1-7 1z"], erase: ["e", "M8 20h12M5 15l8-9 6 6-7 8H8z"], pan: ["h", "M12 3v18M3 12h18M12 3l-2 2M12 3l2 2M12 21l-2-2M12 21l2-2M3 12l2-2M3 12l2 2M21 12l-2-2M21 12l-2 2"] };

export async function label(body, { life, id, query }) {
  body.append(working(t("reading")));
  let about = await life.ask(`/api/p/${id}/labels`);
  const [ordered, known] = await Promise.all([life.ask(`/api/p/${id}/labels/order`), life.ask(`/api/p/${id}/runs`)]);
  if (life.over) return;
  if (!about.pictures) { fill(body, empty(t("nothing"), t("nothing_text"))); return; }
  body.dataset.keys = "yes";
  body.classList.add("label-page");
  let places = ordered.places, sure = ordered.sure, at = 0, state = null, queue = Promise.resolve(), left = 0, told = 0, run = known.runs.find((row) => row.bundle && row.mine)?.name || known.runs.find((row) => row.bundle)?.name || "";
  const start = Number(query.get("at"));
  if (query.get("at") !== null && places.includes(start)) at = places.indexOf(start);

  const kept = unsent(id);
  const flat = () => about.tools.includes("tag");
  const board = h("canvas", { class: "board", tabindex: "0", "aria-label": t("nav_label") });
  const canvas = new Canvas(board, { stroke: send, chosen: (thing, quiet) => { if (!thing && !quiet) tell(t("class_first")); if (thing) pick(thing.label, false); side(); } });
  life.ends.push(() => canvas.end());
  const top = h("div", { class: "label-top" }), classes = h("div", { class: "classes" }), tools = h("div", { class: "tools-bar", role: "toolbar" }), facts = h("div", { class: "label-facts" }), things = h("ul", { class: "things" });
  fill(body, top, h("div", { class: "label-room" }, h("div", { class: "label-main" }, tools, h("div", { class: "board-room" }, board), facts), h("aside", { class: "label-side" }, classes, things)));

  // Strokes go out one after the other; while the server is away they wait and are sent again under the same mark, after a reload too.
  function send(stroke) {
    const row = { place: places[at], sample: state && state.id, stroke, mark: crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2) };
    kept.put(row);
    return deliver(row);
  }

  function deliver({ place, sample, stroke, mark }) {
    left += 1;
    saved();
    queue = queue.then(async () => {
      for (;;) {
        try {
          const now = await ask(`/api/p/${id}/label/${place}`, { stroke, mark, sample });
          left -= 1;
          kept.drop(mark);
          if (now.place === places[at]) take(now);
          saved();
          return;
        } catch (error) {
          if (error.status !== 0 && error.status !== 401 && error.status < 500) { left -= 1; kept.drop(mark); tell(error.message, "bad"); if (place === places[at]) load(); saved(); return; }
          saved(true);
          await new Promise((done) => setTimeout(done, 800));
        }
      }
    });
    return queue;
  }

  function saved(away = false) {
    const mark = facts.querySelector(".saved");
    if (mark) { mark.textContent = away ? t("saving_away", { count: left }) : left ? t("saving") : t("saved"); mark.classList.toggle("bad", away); }
  }
  life.on(window, "beforeunload", (event) => { if (left) event.preventDefault(); });

  function take(now) {
    state = now;
    told += 1;
    canvas.things = now.things; canvas.waiting = [];
    if (canvas.selected && !now.things.some((thing) => thing.key === canvas.selected)) canvas.selected = null;
    canvas.draw();
    side();
  }

  async function load() {
    const place = places[at], before = told;
    history.replaceState(null, "", `#/${id}/label?at=${place}`); // a reload comes back to this picture
    head();
    const now = await attempt(() => life.ask(`/api/p/${id}/label/${place}`));
    if (!now || place !== places[at]) return;
    const image = new Image();
    image.onload = () => { if (place !== places[at]) return; canvas.show(image, now.width, now.height); take(told === before ? now : state); }; // a stroke may have been answered meanwhile
    image.onerror = () => tell(t("unreadable"), "bad");
    image.src = `/api/p/${id}/picture/${place}?v=${now.v}`;
    if (places[at + 1] !== undefined) new Image().src = `/api/p/${id}/picture/${places[at + 1]}`;
  }

  async function move(step) {
    const next = at + step;
    if (next < 0 || next >= places.length) { tell(t(next < 0 ? "first_picture" : "last_picture")); return; }
    at = next;
    await load();
  }

  async function step(which) { await queue; const place = places[at], now = await attempt(() => ask(`/api/p/${id}/label/${place}/${which}`, {})); if (now && place === places[at]) take(now); }

  function pick(name, act = true) {
    if (flat() && act) {
      const had = (state && state.tags) || [], single = about.kind === "label";
      const names = single ? [name] : had.includes(name) ? had.filter((one) => one !== name) : [...had, name];
      if (state) state.tags = names;
      send({ do: "tag", names });
      side();
      if (single) move(1);
      return;
    }
    canvas.label = name;
    const thing = canvas.one();
    if (act && thing && thing.label !== name) send({ do: "set", of: thing.key, label: name });
    side();
  }

  async function more(name) {
    const found = await attempt(() => ask(`/api/p/${id}/labels/class`, { name }));
    if (found) { about.classes = found.classes; canvas.names = about.classes; if (!flat()) canvas.label = name; side(); }
  }

  async function guess() {
    if (!run) { tell(t("no_model"), "bad"); return; }
    const place = places[at], found = await attempt(() => life.ask(`/api/p/${id}/label/${place}/guess?run=${encodeURIComponent(run)}`));
    if (!found || place !== places[at]) return;
    if (!found.strokes.length) { tell(t("guess_nothing", { text: found.text })); return; }
    if (flat()) { fill(facts.querySelector(".guess"), t("guess", { text: found.text }), " ", h("button", { type: "button", onclick: () => { for (const one of found.strokes) send(one); if (about.kind === "label") move(1); } }, t("take"))); return; }
    canvas.guesses = found.strokes;
    canvas.draw();
    fill(facts.querySelector(".guess"), t("guess", { text: found.text }), " ", h("button", { type: "button", onclick: accept }, t("take")), " ", h("button", { type: "button", onclick: () => { canvas.guesses = []; canvas.draw(); fill(facts.querySelector(".guess")); } }, t("leave")));
  }

  function accept() { for (const one of canvas.guesses.splice(0)) send(one); fill(facts.querySelector(".guess")); }

  function sort(button) {
    attempt(async () => {
      const made = await ask(`/api/p/${id}/labels/sort`, { run });
      tell(t("sorting"));
      watchJob(life, made.job, async (now) => {
        if (now.state === "done") {
          const found = await life.ask(`/api/p/${id}/labels/order`);
          places = found.places; sure = found.sure; at = 0;
          tell(t("sorted"));
          load();
        } else if (now.state === "failed") tell(now.error, "bad");
      });
    }, button);
  }

  function head() {
    const place = places[at];
    fill(top, h("h1", {}, t("nav_label")),
      h("div", { class: "buttons" },
        select(about.kinds.map((kind) => [kind, t(`kind_${kind}`)]), about.kind, async (kind) => { const found = await attempt(() => ask(`/api/p/${id}/labels/kind`, { kind })); if (found) { about = found; ready(); } }, t("kind")),
        run ? h("button", { type: "button", onclick: (event) => sort(event.target), title: t("sort_text", { run }) }, t("sort")) : null,
        saveBox()),
      h("div", { class: "pager" }, h("button", { type: "button", "aria-label": t("before"), onclick: () => move(-1) }, "‹"),
        h("span", {}, `${number(at + 1)} / ${number(places.length)}`, sure[place] !== undefined ? h("small", {}, ` · ${t("sure", { share: Math.round(sure[place] * 100) })}`) : null),
        h("button", { type: "button", "aria-label": t("after"), onclick: () => move(1) }, "›")));
    fill(facts, h("span", { class: "saved quiet", role: "status" }, t("saved")), h("span", { class: "guess" }), h("span", { class: "name quiet" }, ""));
  }

  function saveBox() {
    return h("details", { class: "save" }, h("summary", { class: "button" }, t("save")), h("div", { class: "popover" }, h("p", { class: "quiet" }, t("save_text")),
      about.formats.map((format) => h("button", { type: "button", onclick: async (event) => {
        await queue;
        const made = await attempt(() => ask(`/api/p/${id}/labels/save`, { format }), event.target);
        if (made) tell(t("saved_at", { path: made.path }) + (made.lost.length ? ` — ${made.lost.join(" ")}` : ""), "good");
      } }, format))));
  }

  function side() {
    if (!state) return;
    const field = h("input", { type: "text", placeholder: t("new_class"), "aria-label": t("new_class"), id: "new-class", autocomplete: "off" });
    const on = (name) => (flat() ? (state.tags || []).includes(name) : canvas.label === name);
    fill(classes, h("h2", {}, t("classes")), about.classes.map((name, i) => { const spot = h("i"); spot.style.background = colourOf(about.classes, name); return h("button", { type: "button", class: on(name) ? "class on" : "class", "aria-pressed": on(name) ? "true" : "false", onclick: () => pick(name) }, spot, h("span", {}, name), i < 9 ? h("kbd", {}, i + 1) : null); }),
      h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); if (field.value.trim()) more(field.value.trim()); } }, field, h("button", { type: "submit", "aria-label": t("new_class") }, "+")),
      about.kind === "labels" ? h("button", { type: "button", class: (state.tags && !state.tags.length) ? "class on" : "class", onclick: () => { state.tags = []; send({ do: "tag", names: [] }); side(); } }, t("none_of_them")) : null);
    fill(things, flat() ? null : state.things.map((thing) => h("li", { class: canvas.selected === thing.key ? "on" : "" },
      h("button", { type: "button", onclick: () => { canvas.choose(thing); } }, thing.label), thing.fixed ? null : h("button", { type: "button", class: "quiet-button", "aria-label": `${t("remove")}: ${thing.label}`, onclick: () => send({ do: "drop", of: thing.key }) }, "×"))));
    facts.querySelector(".name").textContent = state.id + (state.was ? ` · ${state.was}` : "");
    bar();
  }

  function bar() {
    const mine = flat() ? [] : ["select", ...about.tools, "pan"];
    const width = h("input", { type: "range", min: 1, max: 120, value: canvas.width, "aria-label": t("brush_width"), title: t("brush_width"), oninput: (event) => { canvas.width = Number(event.target.value); canvas.draw(); } });
    fill(tools, mine.map((name) => h("button", { type: "button", class: canvas.tool === name ? "tool on" : "tool", "aria-pressed": canvas.tool === name ? "true" : "false", title: `${t(`tool_${name}`)} (${TOOLS[name][0].toUpperCase()})`, "aria-label": t(`tool_${name}`), onclick: () => use(name) },
      h("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, h("path", { d: TOOLS[name][1] })))),
      ["brush", "erase"].includes(canvas.tool) && !flat() ? width : null, h("span", { class: "gap" }),
      h("button", { type: "button", class: "tool", id: "undo", disabled: !state?.undo, title: `${t("undo")} (Ctrl+Z)`, "aria-label": t("undo"), onclick: () => step("undo") }, "↶"),
      h("button", { type: "button", class: "tool", id: "redo", disabled: !state?.redo, title: `${t("redo")} (Ctrl+Y)`, "aria-label": t("redo"), onclick: () => step("redo") }, "↷"),
      h("button", { type: "button", class: "tool", title: `${t("zoom_in")} (+)`, "aria-label": t("zoom_in"), onclick: () => canvas.zoom(1.4) }, "+"),
      h("button", { type: "button", class: "tool", title: `${t("zoom_out")} (-)`, "aria-label": t("zoom_out"), onclick: () => canvas.zoom(1 / 1.4) }, "−"),
      h("button", { type: "button", class: "tool", title: `${t("zoom_fit")} (0)`, "aria-label": t("zoom_fit"), onclick: () => canvas.fit() }, "⤢"),
      run ? h("button", { type: "button", class: "tool wide-tool", title: t("guess_text", { run }), onclick: guess }, t("assist")) : null);
  }

  function use(name) { canvas.close(); canvas.tool = name; canvas.draw(); bar(); }

  function ready() {
    canvas.names = about.classes;
    canvas.tool = flat() ? "pan" : about.tools[0];
    canvas.label = flat() ? "" : canvas.label && about.classes.includes(canvas.label) ? canvas.label : about.classes[0] || "";
    load();
  }

  life.on(window, "keydown", (event) => {
    if (event.target.matches("input[type=text], textarea, select")) return;
    const key = event.key.toLowerCase(), control = event.ctrlKey || event.metaKey;
    const tool = Object.entries(TOOLS).find(([name, [letter]]) => letter === key && !flat() && ["select", "pan", ...about.tools].includes(name));
    if (control && key === "z") step(event.shiftKey ? "redo" : "undo");
    else if (control && key === "y") step("redo");
    else if (control || event.altKey) return;
    else if (/^[1-9]$/.test(key) && about.classes[Number(key) - 1]) pick(about.classes[Number(key) - 1]);
    else if (key === "arrowright" || key === "d") move(1);
    else if (key === "arrowleft" || key === "a") move(-1);
    else if (key === "enter") { if (canvas.ring.length) canvas.close(); else if (canvas.guesses.length) accept(); else return; }
    else if (key === "escape") canvas.cancel();
    else if ((key === "delete" || key === "backspace") && canvas.selected) send({ do: "drop", of: canvas.selected });
    else if (key === "g") guess();
    else if (key === "+" || key === "=") canvas.zoom(1.4);
    else if (key === "-") canvas.zoom(1 / 1.4);
    else if (key === "0") canvas.fit();
    else if (key === " ") canvas.panning = true;
    else if (tool) use(tool[0]);
    else return;
    event.preventDefault();
  });
  life.on(window, "keyup", (event) => { if (event.key === " ") canvas.panning = false; });
  ready();
  for (const row of kept.read()) deliver(row);
}

// Strokes that the server has not acknowledged yet, in the browser's own memory: a reload, or a closed tab, loses none.
function unsent(id) {
  const key = `omma-unsent-${id}`;
  const read = () => { try { return JSON.parse(localStorage.getItem(key)) || []; } catch (e) { return []; } };
  const write = (rows) => { try { if (rows.length) localStorage.setItem(key, JSON.stringify(rows)); else localStorage.removeItem(key); } catch (e) { /* not kept */ } };
  return { read, put: (row) => write([...read(), row]), drop: (mark) => write(read().filter((row) => row.mark !== mark)) };
}

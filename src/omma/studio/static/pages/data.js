// Data: what there is, every picture, what is wrong and what to do about it.

import { ask, attempt, empty, fill, go, h, number, select, t, tell, watchJob, working } from "../core.js";
import { gallery } from "../gallery.js";
import { droppable, send } from "./projects.js";

export async function data(body, { life, id, query }) {
  const hold = h("div", {}, working(t("reading")));
  body.append(hold);
  const about = await life.ask(`/api/p/${id}/data`);
  if (life.over) return;
  hold.remove();
  const filter = { class: query.get("class"), split: query.get("split"), finding: query.get("finding"), labelled: query.get("labelled"), text: query.get("text") };
  let drawn = false, wall;

  const dropped = h("div");
  const count = h("p", { class: "quiet count", role: "status" });
  const side = h("section", { class: "check" });
  const bar = h("div", { class: "filters" });
  const room = h("div");
  const picture = viewer(life, id, () => wall, () => drawn);
  body.append(
    h("div", { class: "title" }, h("div", {}, h("h1", {}, t("nav_data")), h("p", { class: "quiet" }, about.lines.slice(0, 1))),
      h("a", { class: "main-button", href: `#/${id}/train` }, t("go_train"))),
    summary(about), about.lines.length > 1 ? h("details", { class: "notes" }, h("summary", {}, t("notes", { count: about.lines.length - 1 })), about.lines.slice(1).map((line) => h("p", {}, line))) : "",
    side, dropped, bar, count, room);
  if (!about.count) { room.append(empty(t("nothing"), t("nothing_text"))); }
  wall = gallery(room, {
    life,
    sheet: (places) => life.ask(`/api/p/${id}/thumbs?places=${places.join(",")}${drawn ? "&drawn" : ""}`),
    items: (places) => life.ask(`/api/p/${id}/items?places=${places.join(",")}`),
    open: (i) => picture.open(i),
  });

  async function refresh(push = true) {
    const asked = new URLSearchParams(Object.entries(filter).filter(([, value]) => value !== null && value !== undefined && value !== ""));
    if (push) history.replaceState(null, "", `#/${id}/data${[...asked].length ? `?${asked}` : ""}`);
    const found = await attempt(() => life.ask(`/api/p/${id}/places?${asked}`));
    if (!found) return;
    wall.show(found.places, found.groups);
    const groups = found.groups ? new Set(found.groups).size : 0;
    count.textContent = groups ? t("shown_groups", { count: number(found.places.length), groups: number(groups) }) : t("shown", { count: number(found.places.length), all: number(about.count) });
    controls();
  }

  function controls() {
    const any = [["", t("every_class")]], parts = [["", t("every_split")]];
    const on = Object.values(filter).some((value) => value);
    fill(bar,
      about.classes.length ? select([...any, ...about.classes.map((one) => [one.name, `${one.name} (${number(one.count)})`])], filter.class || "", (value) => { filter.class = value || null; refresh(); }, t("every_class")) : null,
      Object.keys(about.splits).length ? select([...parts, ...Object.entries(about.splits).map(([name, n]) => [name, `${t(`split_${name}`)} (${number(n)})`])], filter.split || "", (value) => { filter.split = value || null; refresh(); }, t("every_split")) : null,
      about.labelled && about.labelled < about.count ? select([["", t("labelled_any")], ["yes", t("labelled_yes")], ["no", t("labelled_no")]], filter.labelled || "", (value) => { filter.labelled = value || null; refresh(); }, t("labelled_any")) : null,
      h("input", { type: "search", placeholder: t("search"), "aria-label": t("search"), value: filter.text || "", onchange: (event) => { filter.text = event.target.value; refresh(); } }),
      about.labelled ? h("label", { class: "tick" }, h("input", { type: "checkbox", checked: drawn, onchange: (event) => { drawn = event.target.checked; wall.forget(); } }), t("draw_labels")) : null,
      on ? h("button", { type: "button", onclick: () => { for (const key of Object.keys(filter)) filter[key] = null; refresh(); } }, t("clear_filter")) : null);
  }

  const check = () => checks(side, about, { life, id, show: (finding) => { filter.finding = finding; refresh(); room.scrollIntoView({ block: "start" }); } });
  check();
  await refresh(false);
  if (about.files) {
    droppable(life, body, async (rows) => { await send(id, rows, dropped); tell(t("added", { count: rows.length })); go(`#/${id}/data?`); location.reload(); });
  }
}

function summary(about) {
  const facts = [[t("pictures"), number(about.count)], [t("classes"), number(about.classes.length)], [t("labelled"), number(about.labelled)], [t("format"), about.format]];
  for (const [name, n] of Object.entries(about.splits)) facts.push([t(`split_${name}`), number(n)]);
  return h("div", { class: "cards" }, facts.map(([name, value]) => h("div", {}, h("b", {}, name), h("strong", {}, value))));
}

function checks(side, about, { life, id, show }) {
  const state = about.check.state;
  const begin = (fix) => async (event) => {
    const made = await attempt(() => ask(`/api/p/${id}/check`, { fix }), event.target);
    if (made) follow(made.job);
  };
  const follow = (job) => {
    watchJob(life, job, async (now) => {
      if (now.state === "begins" || now.state === "works") {
        fill(side, h("h2", {}, t("check")), working(t("checking")), h("p", { class: "quiet" }, now.log.at(-1) || ""),
          h("button", { type: "button", onclick: () => attempt(() => ask(`/api/jobs/${job}/stop`, {})) }, t("stop")));
      } else {
        const fresh = await life.ask(`/api/p/${id}/data`);
        about.check = fresh.check;
        about.clean = fresh.clean;
        checks(side, about, { life, id, show });
      }
    });
  };
  if (state === "begins" || state === "works") { follow(about.check.job); return; }
  if (state !== "done" || !about.check.findings) {
    fill(side, h("h2", {}, t("check")), h("p", { class: "quiet" }, state === "failed" ? about.check.error : t("check_text")),
      h("button", { type: "button", class: "main-button", onclick: begin(false), disabled: !about.count }, t("check_now")));
    return;
  }
  const { findings, notes, clean } = about.check, faults = findings.filter((one) => one.severity === "fault").length;
  fill(side,
    h("div", { class: "title" }, h("h2", {}, t("check")), h("button", { type: "button", onclick: begin(false) }, t("check_again"))),
    findings.length ? h("ul", { class: "findings" }, findings.map((one, place) => finding(one, place, show)))
      : h("p", { class: "good" }, t("all_well")),
    about.files && (faults || about.clean) ? (clean || about.clean
      ? h("div", { class: about.clean ? "good" : "note" }, h("p", {}, about.clean ? t("clean_used") : t("clean_made")), notes.map((line) => h("p", { class: "quiet" }, line)),
        h("button", { type: "button", class: about.clean ? "" : "main-button", onclick: async (event) => {
          const now = await attempt(() => ask(`/api/p/${id}/clean`, { use: !about.clean }), event.target);
          if (now) { about.clean = now.clean; checks(side, about, { life, id, show }); }
        } }, about.clean ? t("clean_off") : t("clean_use")))
      : h("p", {}, h("button", { type: "button", class: "main-button", onclick: begin(true) }, t("fix")), " ", h("span", { class: "quiet" }, t("fix_text")))) : null);
}

function finding(one, place, show) {
  return h("li", { class: one.severity },
    h("span", {}, h("strong", {}, one.what), h("em", {}, one.do), one.files.length ? h("small", {}, one.files.join(", ")) : null),
    one.shown ? h("button", { type: "button", onclick: () => show(String(place)) }, t("show_me")) : null);
}

// One picture, large; arrows go on.
function viewer(life, id, wall, drawnFirst) {
  let at = 0, drawn = true;
  const image = h("img", { alt: "" }), facts = h("dl"), title = h("h2");
  const box = h("dialog", { class: "viewer" },
    h("div", { class: "title" }, title, h("button", { type: "button", onclick: () => box.close(), "aria-label": t("close") }, "×")),
    h("div", { class: "stage" }, h("button", { type: "button", class: "step", "aria-label": t("before"), onclick: () => turn(-1) }, "‹"), image, h("button", { type: "button", class: "step", "aria-label": t("after"), onclick: () => turn(1) }, "›")),
    h("label", { class: "tick" }, h("input", { type: "checkbox", checked: true, onchange: (event) => { drawn = event.target.checked; paint(); } }), t("draw_labels")),
    h("button", { type: "button", onclick: () => { box.close(); go(`#/${id}/inside?item=${wall().places[at]}`); } }, t("inside_link")), facts);
  box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
  box.addEventListener("keydown", (event) => { if (event.key === "ArrowRight") turn(1); if (event.key === "ArrowLeft") turn(-1); });
  document.body.append(box);
  life.ends.push(() => box.remove());
  function turn(step) { const next = at + step; if (next >= 0 && next < wall().places.length) { at = next; paint(); } }
  async function paint() {
    const place = wall().places[at];
    const about = await attempt(() => life.ask(`/api/p/${id}/one/${place}`));
    if (!about) return;
    title.textContent = about.id;
    image.alt = about.id;
    image.classList.toggle("dots", Math.max(about.width, about.height) < 96);
    image.src = `/api/p/${id}/picture/${place}?v=${about.v}${drawn ? "&drawn" : ""}`;
    const rows = [[t("label"), about.text || "–"], [t("size"), about.width ? `${about.width} × ${about.height}` : "–"], [t("split"), about.split ? t(`split_${about.split}`) : "–"], [t("record"), about.record], [t("group"), about.group], [t("problem"), about.problem]];
    fill(facts, rows.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }
  return { open(i) { at = i; paint(); box.showModal(); } };
}

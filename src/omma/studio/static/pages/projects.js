// The first page: projects, a folder to open, pictures to drop.

import { ask, attempt, fill, go, h, t, tell, working } from "../core.js";

const PICTURES = /\.(jpe?g|png|webp|tiff?|bmp|gif|p[bgpn]m)$/i;

export async function projects(body, { life }) {
  const known = await life.ask("/api/projects");
  const path = h("input", { type: "text", id: "path", placeholder: t("path_hint"), autocomplete: "off", spellcheck: "false", "aria-label": t("path") });
  const open = async (data, button) => { const made = await attempt(() => ask("/api/projects", { data }), button); if (made) go(`#/${made.id}/data`); };
  const list = h("div", { class: "browse" });
  const form = h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); if (path.value.trim()) open(path.value.trim(), event.submitter); } },
    path, h("button", { type: "submit", class: "main-button" }, t("open")),
    h("button", { type: "button", onclick: () => browse(list, path, open, known.cwd, life) }, t("browse")));
  const progress = h("div");
  const input = h("input", { type: "file", multiple: true, accept: "image/*", id: "files", class: "hidden-input", onchange: () => receive([...input.files].map((file) => ({ file, name: file.name })), progress) });
  const zone = h("label", { class: "drop", for: "files", tabindex: "0", onkeydown: (event) => { if (event.key === "Enter") input.click(); } },
    h("strong", {}, t("drop_title")), h("span", {}, t("drop_text", { cwd: known.cwd })), input);
  droppable(life, zone, (rows) => receive(rows, progress));
  fill(body,
    h("div", { class: "welcome" }, h("h1", {}, t("welcome")), h("p", {}, t("welcome_text"))),
    h("div", { class: "two" },
      h("section", {}, h("h2", {}, t("open_title")), h("p", { class: "quiet" }, t("open_text")), form, list,
        h("p", { class: "quiet examples" }, t("examples"), " ", known.examples.map((name) => h("button", { type: "button", onclick: (event) => open(name, event.target) }, name)))),
      h("section", {}, h("h2", {}, t("new_title")), zone, progress)),
    h("p", { class: "quiet look-link" }, h("a", { href: "#/inside" }, t("inside_link"))),
    known.projects.length ? h("section", {}, h("h2", {}, t("projects")), h("div", { class: "cards-list" }, known.projects.map((one) => card(one)))) : null);
  path.focus();
}

function card(one) {
  const made = h("div", { class: "project" },
    h("a", { href: `#/${one.id}/data` }, h("strong", {}, one.name), h("span", { class: "quiet" }, one.data)),
    h("button", { type: "button", class: "quiet-button", title: t("forget"), "aria-label": `${t("forget")}: ${one.name}`, onclick: async () => {
      if (!confirm(t("forget_sure", { name: one.name }))) return;
      if (await attempt(() => ask(`/api/p/${one.id}/forget`, {}))) made.remove();
    } }, "×"));
  return made;
}

async function browse(list, path, open, under, life) {
  const found = await attempt(() => life.ask(`/api/folders?under=${encodeURIComponent(under)}`));
  if (!found) return;
  path.value = found.path;
  const inside = (name) => (found.path.endsWith("/") ? found.path : `${found.path}/`) + name;
  fill(list, h("p", { class: "quiet" }, t("in_folder", { folders: found.folders.length, pictures: found.pictures })),
    h("ul", {},
      found.above ? h("li", {}, h("button", { type: "button", onclick: () => browse(list, path, open, found.above, life) }, "↑ ..")) : null,
      found.folders.map((name) => h("li", {}, h("button", { type: "button", onclick: () => browse(list, path, open, inside(name), life) }, name))),
      found.tables.map((name) => h("li", {}, h("button", { type: "button", class: "table", onclick: () => { path.value = inside(name); } }, name)))));
}

// Files and whole folders that are dropped on an element.
export function droppable(life, zone, receive) {
  life.on(zone, "dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  life.on(zone, "dragleave", () => zone.classList.remove("over"));
  life.on(zone, "drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
    const files = [...event.dataTransfer.files];
    const rows = entries.length ? (await Promise.all(entries.map((entry) => inside(entry, "")))).flat() : files.map((file) => ({ file, name: file.name }));
    receive(rows.filter((row) => PICTURES.test(row.name)));
  });
}

async function inside(entry, before) {
  if (entry.isFile) return new Promise((done) => entry.file((file) => done([{ file, name: before + entry.name }]), () => done([])));
  const reader = entry.createReader(), found = [];
  for (;;) {
    const some = await new Promise((done) => reader.readEntries(done, () => done([])));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map((one) => inside(one, `${before}${entry.name}/`)))).flat();
}

async function receive(rows, progress) {
  const pictures = rows.filter((row) => PICTURES.test(row.name));
  if (!pictures.length) { tell(t("no_pictures_dropped"), "bad"); return; }
  // One folder dropped: its name is the project's, and does not stand before every picture.
  const top = pictures[0].name.split("/")[0], folder = pictures.every((row) => row.name.startsWith(`${top}/`));
  const made = await attempt(() => ask("/api/projects/new", { name: folder ? top : t("new_name") }));
  if (made) await send(made.id, pictures.map((row) => ({ file: row.file, name: folder ? row.name.slice(top.length + 1) : row.name })), progress);
  if (made) go(`#/${made.id}/data`);
}

export async function send(project, rows, progress) {
  const bar = h("progress", { max: rows.length, value: 0 });
  const line = working(t("sending", { count: rows.length }));
  fill(progress, line, bar);
  let refused = 0, next = 0;
  const worker = async () => {
    while (next < rows.length) {
      const row = rows[next++];
      try { await ask(`/api/p/${project}/drop?name=${encodeURIComponent(row.name)}`, row.file); } catch (error) { refused += 1; }
      bar.value += 1;
    }
  };
  await Promise.all([worker(), worker()]);
  fill(progress);
  if (refused) tell(t("some_refused", { count: refused }), "bad");
}

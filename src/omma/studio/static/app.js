// The frame around the pages: where we are, which page, language, theme, keyboard.

import { Life, add, ask, attempt, empty, fill, go, h, speak, t, tell, tongue, toggleTheme } from "./core.js";
import { projects } from "./pages/projects.js";
import { data } from "./pages/data.js";
import { label } from "./pages/label.js";
import { train } from "./pages/train.js";
import { results } from "./pages/results.js";
import { trial } from "./pages/trial.js";
import { out } from "./pages/out.js";
import { inside } from "./pages/inside.js";

const PAGES = [
  ["data", data, "M4 5h7v7H4zM13 5h7v7h-7zM4 14h7v5H4zM13 14h7v5h-7z"],
  ["label", label, "M4 4h8l8 8-8 8-8-8zM8 8h.01"],
  ["train", train, "M4 19V5M4 19h16M7 15l4-5 3 3 5-7"],
  ["results", results, "M6 4h9l4 4v12H6zM9 12h7M9 16h7"],
  ["try", trial, "M3 12c4-6 14-6 18 0-4 6-14 6-18 0zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6"],
  ["out", out, "M12 4v11M8 11l4 4 4-4M5 20h14"],
  ["inside", inside, "M12 3l9 5-9 5-9-5zM3 12.5l9 5 9-5M3 16.5l9 5 9-5"],
];
const app = document.getElementById("app");
let life = new Life(), project = null;

function where() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [id, page, ...rest] = path.split("/").map(decodeURIComponent);
  const values = new URLSearchParams(query || "");
  // A network can be looked into without a project.
  if (id === "inside") return { id: null, page: "inside", rest: page ? [page, ...rest] : [], query: values };
  return { id: /^\d+$/.test(id) ? Number(id) : null, page: page || "data", rest, query: values };
}

function icon(path) {
  return h("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, h("path", { d: path }));
}

function frame(here, body) {
  const links = PAGES.map(([name, , path], place) => h("a", {
    href: `#/${here.id}/${name}`, class: name === here.page ? "here" : "", "aria-current": name === here.page ? "page" : null, title: `${t(`nav_${name}`)} (${place + 1})`,
  }, icon(path), h("span", {}, t(`nav_${name}`))));
  const tools = h("div", { class: "tools" },
    h("button", { type: "button", id: "tongue", lang: tongue() === "zh" ? "en" : "zh", onclick: other }, tongue() === "zh" ? "English" : "中文"),
    h("button", { type: "button", id: "theme", onclick: toggleTheme, "aria-label": t("theme"), title: t("theme") }, "◐"));
  return h("div", { class: here.id ? "shell" : "shell alone" },
    h("a", { class: "skip", href: "#main" , onclick: (event) => { event.preventDefault(); body.focus(); } }, t("skip")),
    h("header", { class: "top" },
      h("a", { class: "brand", href: "#/" }, h("img", { src: "/static/omma.svg", alt: "", width: 26, height: 26 }), "omma"),
      here.id && project ? h("a", { class: "where", href: "#/", title: project.data }, project.name) : h("span", { class: "where" }),
      tools),
    here.id ? h("nav", { class: "side", "aria-label": t("pages") }, links) : null,
    body);
}

async function other() {
  await speak(tongue() === "zh" ? "en" : "zh");
  show();
}

async function show() {
  life.end();
  life = new Life();
  const mine = life, here = where();
  const body = h("main", { id: "main", tabindex: "-1" });
  if (here.id && (!project || project.id !== here.id)) {
    const known = await attempt(() => ask("/api/projects"));
    if (mine.over) return;
    project = known && known.projects.find((one) => one.id === here.id) || null;
    if (!project) { if (known) tell(t("no_project"), "bad"); go("#/"); if (known) return; }
  }
  document.title = here.id && project ? `${project.name} · omma` : "omma";
  fill(app, frame(here, body));
  window.scrollTo(0, 0);
  const page = here.id ? (PAGES.find(([name]) => name === here.page) || PAGES[0])[1] : here.page === "inside" ? inside : projects;
  try { await page(body, { life: mine, project, ...here }); } catch (error) {
    if (error.name === "AbortError" || mine.over) return;
    add(body, empty(t("went_wrong"), error.message, h("button", { type: "button", onclick: show }, t("again"))));
  }
}

function typing(target) {
  return target.closest && target.closest("input, textarea, select, dialog, [data-keys]");
}

window.addEventListener("hashchange", show);
window.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const here = where(), place = Number(event.key) - 1;
  // On the label page digits are classes.
  if (here.id && here.page !== "label" && PAGES[place]) go(`#/${here.id}/${PAGES[place][0]}`);
});

try {
  await speak();
  show();
} catch (error) {
  fill(app, h("div", { class: "empty" }, h("h2", {}, "omma"), h("p", {}, error.message)));
}

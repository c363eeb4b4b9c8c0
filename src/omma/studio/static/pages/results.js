// Results: what a run reached, and its whole report in place.

import { clock, h, score, t } from "../core.js";
import { answers } from "./answers.js";
import { chooser } from "./runs.js";

export async function results(body, context) {
  const head = h("div", { class: "title" }, h("h1", {}, t("nav_results")));
  body.append(head);
  const chosen = await chooser(body, context, "report");
  if (!chosen || context.life.over) return;
  const { here, control } = chosen, { id } = context, safe = encodeURIComponent(here.name);
  head.append(h("div", { class: "buttons" }, control, h("a", { class: "button", href: `/api/runs/${safe}/report`, target: "_blank", rel: "noopener" }, t("report_alone"))));
  const cards = Object.entries(here.scores || {}).slice(0, 4).map(([name, one]) => h("div", {}, h("b", {}, here.named?.[name] || name), h("strong", {}, score(one.value)), h("i", {}, `[${score(one.low)}, ${score(one.high)}] · n\u00a0${one.n}`)));
  const frame = h("iframe", { class: "report", title: t("report"), src: `/api/runs/${safe}/report` });
  // The report is as high as what it says: one scroll bar, the page's own.
  frame.addEventListener("load", () => {
    const inside = frame.contentDocument;
    if (!inside || !inside.body) return;
    const fit = () => { frame.style.height = `${inside.documentElement.scrollHeight + 4}px`; };
    // Its own switches say what ours say already.
    const switches = inside.querySelector("header .tools");
    if (switches) switches.style.display = "none";
    fit();
    const sees = new ResizeObserver(fit);
    sees.observe(inside.body);
    context.life.ends.push(() => sees.disconnect());
    // The studio's theme and language are the report's.
    const root = document.documentElement, theirs = inside.documentElement;
    const follow = () => {
      if (root.dataset.theme) theirs.dataset.theme = root.dataset.theme;
      theirs.dataset.lang = theirs.lang = root.dataset.lang;
    };
    follow();
    const change = new MutationObserver(follow);
    change.observe(root, { attributes: true });
    context.life.ends.push(() => change.disconnect());
  });
  const apart = h("div");
  body.append(cards.length ? h("div", { class: "cards scores-of" }, cards) : "",
    h("p", { class: "quiet" }, [here.task, here.model, clock(here.seconds), here.data].filter(Boolean).join(" · ")),
    h("p", { class: "buttons" }, h("a", { class: "main-button", href: `#/${id}/try/${safe}` }, t("go_try")), h("a", { class: "button", href: `#/${id}/out/${safe}` }, t("go_out"))),
    apart, frame);
  await answers(apart, context, here.name);
}

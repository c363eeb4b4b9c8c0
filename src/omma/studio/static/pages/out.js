// Out: a file that is proven, a smaller copy, a server.

import { ask, attempt, bytes, copyable, fill, h, select, t, watchJob, working } from "../core.js";
import { chooser } from "./runs.js";

export async function out(body, context) {
  const { life, id } = context;
  const head = h("div", { class: "title" }, h("h1", {}, t("nav_out")));
  body.append(head);
  const chosen = await chooser(body, context);
  if (!chosen || life.over) return;
  const { here, control } = chosen, base = `/api/p/${id}/out/${encodeURIComponent(here.name)}`;
  head.append(h("div", { class: "buttons" }, control));
  const room = h("div");
  body.append(room);
  await paint();

  async function paint() {
    const about = await life.ask(base);
    let to = about.exporters.includes("onnx") ? "onnx" : about.exporters[0], drop = 0.5;
    const of = (verb) => about.made.filter((job) => job.verb === verb);
    fill(room,
      h("section", {}, h("h2", {}, t("export")), h("p", { class: "quiet" }, t("export_text")),
        h("div", { class: "row" }, select(about.exporters.map((name) => [name, name]), to, (value) => { to = value; }, t("format")),
          h("button", { type: "button", class: "main-button", id: "export", onclick: (event) => begin("export", { to }, event.target) }, t("export_now"))),
        of("export").map(job), about.files.length ? h("ul", { class: "files" }, about.files.map((file) => h("li", {}, h("code", {}, `${about.folder}/out/${file.name}`), " ", h("span", { class: "quiet" }, bytes(file.bytes))))) : null),
      h("section", {}, h("h2", {}, t("compress")), h("p", { class: "quiet" }, t("compress_text")),
        about.copy ? h("p", { class: "good" }, t("copy_there", { folder: `${about.folder}/compressed` })) : h("div", { class: "row" },
          h("label", { class: "field inline" }, h("span", {}, t("drop")), h("input", { type: "number", min: 0, max: 100, step: 0.1, value: drop, oninput: (event) => { drop = Number(event.target.value); } })),
          h("button", { type: "button", class: "main-button", id: "compress", onclick: (event) => begin("compress", { drop }, event.target) }, t("compress_now"))),
        of("compress").map(job)),
      h("section", {}, h("h2", {}, t("serve")), h("p", { class: "quiet" }, t("serve_text")), copyable(about.serve), h("p", { class: "quiet" }, t("serve_ask")), copyable(about.ask)));
  }

  async function begin(verb, words, button) {
    const made = await attempt(() => ask(`${base}/${verb}`, words), button);
    if (made) await paint();
  }

  function job(one) {
    const box = h("div", { class: "job" });
    const show = (now) => {
      const works = now.state === "begins" || now.state === "works", good = now.state === "done";
      fill(box, h("p", { class: works ? "note" : good ? "good" : "warn" },
        works ? working(t(`${one.verb}_works`)) : good ? (now.printed || []).map((line) => h("span", { class: "said" }, line)) : now.error || t(`state_${now.state}`)),
        works ? h("button", { type: "button", onclick: () => attempt(() => ask(`/api/jobs/${one.id}/stop`, {})) }, t("stop")) : null);
    };
    show(one);
    if (one.state === "begins" || one.state === "works") {
      let before = one.state;
      watchJob(life, one.id, (now) => { show(now); if (now.state !== before && now.state !== "works") paint(); before = now.state; });
    }
    return box;
  }
}

// Choosing one of the finished runs, for every page that speaks of a model.

import { empty, go, h, select, t } from "../core.js";

export async function chooser(body, { life, id, page, rest }, needs = "bundle") {
  const found = await life.ask(`/api/p/${id}/runs`);
  const rows = found.runs.filter((row) => row[needs]);
  if (!rows.length) {
    body.append(empty(t("no_model"), t("no_model_text"), h("a", { class: "main-button", href: `#/${id}/train` }, t("go_train"))));
    return null;
  }
  const wanted = rest[0] && rows.find((row) => row.name === rest[0]);
  const here = wanted || rows.find((row) => row.mine) || rows[0];
  const control = select(rows.map((row) => [row.name, row.name + (row.score ? ` · ${row.named?.[row.metric] || row.metric} ${row.score.value.toFixed(3)}` : "")]), here.name, (name) => go(`#/${id}/${page}/${encodeURIComponent(name)}`), t("run"));
  return { rows, here, control };
}

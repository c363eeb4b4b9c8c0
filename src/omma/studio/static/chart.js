// Curves and dots with axes, in the colours of the reports.

import { h } from "./core.js";

const WIDE = 500, HIGH = 260, LEFT = 80, RIGHT = 16, TOP = 12, BELOW = 44;

export function ticks(low, high, about = 5) {
  if (!(high > low)) { const room = Math.abs(low) * 0.1 || 0.5; low -= room; high += room; }
  const rough = (high - low) / about, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((k) => power * k).find((one) => one >= rough * 0.999);
  const first = Math.floor(low / step + 1e-9), last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

function short(value, step) {
  if (Math.abs(value) >= 1e6 || step < 1e-4) return value.toPrecision(3);
  const digits = Math.max(0, Math.min(4, -Math.floor(Math.log10(step) + 1e-9) + (/^2\.5/.test(step.toExponential()) ? 1 : 0)));
  return (value + 0).toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function axes(xs, ys, xname, yname) {
  const x = (value) => LEFT + ((value - xs[0]) / (xs.at(-1) - xs[0] || 1)) * (WIDE - LEFT - RIGHT);
  const y = (value) => HIGH - BELOW - ((value - ys[0]) / (ys.at(-1) - ys[0] || 1)) * (HIGH - TOP - BELOW);
  const text = (at, high, words, anchor, more = {}) => h("text", { x: at.toFixed(1), y: high.toFixed(1), "text-anchor": anchor, ...more }, words);
  const parts = [
    ...ys.flatMap((value) => [h("line", { class: "grid", x1: LEFT, x2: WIDE - RIGHT, y1: y(value).toFixed(1), y2: y(value).toFixed(1) }), text(LEFT - 8, y(value) + 4.5, short(value, ys[1] - ys[0]), "end")]),
    ...xs.map((value) => text(x(value), HIGH - BELOW + 19, short(value, xs[1] - xs[0]), "middle")),
    h("line", { class: "axis", x1: LEFT, x2: WIDE - RIGHT, y1: HIGH - BELOW, y2: HIGH - BELOW }),
    text((LEFT + WIDE - RIGHT) / 2, HIGH - 6, xname, "middle", { class: "ink" }),
    yname ? text(13, (TOP + HIGH - BELOW) / 2, yname, "middle", { class: "ink", transform: `rotate(-90 13 ${(TOP + HIGH - BELOW) / 2})` }) : null,
  ];
  return { x, y, parts };
}

// series: [{name, points: [[x, y]…]}], at most four; every line is thinned to what can be seen. Where `at` is given, a line stands there,
// and the figure's `mark` moves it.
export function curves(series, xname, yname, at) {
  const lines = series.map((one) => ({ name: one.name, points: thin(one.points.filter(([a, b]) => isFinite(a) && b !== null && isFinite(b))) })).filter((one) => one.points.length);
  const all = lines.flatMap((one) => one.points);
  if (!all.length) return null;
  const xs = ticks(Math.min(...all.map(([a]) => a)), Math.max(...all.map(([a]) => a))), ys = ticks(Math.min(...all.map(([, b]) => b)), Math.max(...all.map(([, b]) => b)));
  const { x, y, parts } = axes(xs, ys, xname, yname);
  const drawn = lines.map((one, i) => [
    h("polyline", { class: `l${i % 4}`, points: one.points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ") }),
    one.points.length < 30 ? one.points.map(([a, b]) => h("circle", { class: `f${i % 4}`, cx: x(a).toFixed(1), cy: y(b).toFixed(1), r: 3 })) : null,
  ]);
  const here = at === undefined ? null : h("line", { class: "whisker", y1: TOP, y2: HIGH - BELOW });
  const figure = h("figure", { class: "chart" }, h("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": yname || xname }, parts, drawn, here),
    lines.length > 1 ? h("div", { class: "key" }, lines.map((one, i) => h("span", {}, h("svg", { class: "mark", viewBox: "0 0 10 10" }, h("circle", { class: `f${i % 4}`, cx: 5, cy: 5, r: 5 })), one.name))) : null);
  figure.mark = (value) => { for (const side of ["x1", "x2"]) here.setAttribute(side, x(value).toFixed(1)); };
  if (here) figure.mark(at);
  return figure;
}

// points: [{name, x, y, low, high, on}]: dots with their intervals and names.
export function dots(points, xname, yname, open) {
  const shown = points.filter((one) => isFinite(one.x) && isFinite(one.y));
  if (!shown.length) return null;
  const ends = shown.flatMap((one) => [one.low ?? one.y, one.high ?? one.y]).filter(isFinite);
  const { x, y, parts } = axes(ticks(0, Math.max(...shown.map((one) => one.x))), ticks(Math.min(...ends), Math.max(...ends)), xname, yname);
  const drawn = shown.map((one) => {
    const left = x(one.x) > WIDE * 0.7;
    return h("g", { class: "dot-of", tabindex: 0, role: "link", onclick: () => open(one), onkeydown: (event) => { if (event.key === "Enter") open(one); } },
      h("title", { svg: true }, `${one.name}: ${one.y.toFixed(4)}`),
      isFinite(one.low) && isFinite(one.high) ? h("line", { class: "whisker", x1: x(one.x).toFixed(1), x2: x(one.x).toFixed(1), y1: y(one.low).toFixed(1), y2: y(one.high).toFixed(1) }) : null,
      h("circle", { class: one.on ? "f1" : "f0", cx: x(one.x).toFixed(1), cy: y(one.y).toFixed(1), r: 6 }),
      h("text", { x: (x(one.x) + (left ? -10 : 10)).toFixed(1), y: (y(one.y) + 4).toFixed(1), "text-anchor": left ? "end" : "start", class: "ink" }, one.name.length > 22 ? `${one.name.slice(0, 21)}…` : one.name));
  });
  return h("figure", { class: "chart" }, h("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": yname }, parts, drawn));
}

function thin(line, most = 400) {
  if (line.length <= most) return line;
  return Array.from({ length: most }, (_, i) => {
    const part = line.slice(Math.floor((line.length * i) / most), Math.floor((line.length * (i + 1)) / most));
    return [part.reduce((sum, [a]) => sum + a, 0) / part.length, part.reduce((sum, [, b]) => sum + b, 0) / part.length];
  });
}

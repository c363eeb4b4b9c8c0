// Arithmetic: one number of a layer, taken apart into window, kernel, products and sum.
var OTHERS = 3; // inputs that are shown at once; the rest is unfolded
async function account(place, channel, y, x, every) {
  var step = STEPS[place], sums = step.sums, row = sums.outs.indexOf(channel), total, asked = null;
  if (window.ommaUnit) {
    try { asked = await window.ommaUnit(place, channel, y, x, every); } catch (error) { return el("p", { "class": "warn" }, error.message); }
    sums = asked.sums; row = asked.row; total = asked.total;
  } else {
    if (row < 0) return el("p", { "class": "quiet" }, t("page.not_kept"));
    total = (await lookup({ step: place }))(channel, y, x);
    if (total === undefined) return el("p", { "class": "quiet" }, t("page.outside"));
  }
  var made = { conv: weighted, deconv: weighted, max: pooled, avg: pooled, adaptive: pooled, batch: normed, layer: normed, group: normed, act: acted, join: joinedUp,
    softmax: shared, attention: attended, heads: headed, matmul: multiplied, resize: resized, gates: gated, moved: putHere }[sums.kind];
  var body = made ? await made(step, sums, row, channel, y, x, total) : el("p", { "class": "quiet" }, t("page.no_sum"));
  var holder = el("div", { "class": "account" }, body || el("p", { "class": "quiet" }, t("page.outside")));
  if (asked && !every && sums.ins.length && sums.inputs > sums.ins[0].length) {
    holder.append(el("button", { type: "button", onclick: function () { account(place, channel, y, x, true).then(function (all) { holder.replaceWith(all); }); } }, t("page.every_input", { count: sums.inputs })));
  }
  return holder;
}
function value(v, at) { return el("td", { "data-at": at }, num(v)); }
function grid(rows, name) { return el("figure", null, el("table", { "class": "grid" }, rows), el("figcaption", null, name)); }
function result(parts, total, channel, y, x) {
  return el("p", { "class": "result" }, parts, " = ", el("strong", { "data-total": [channel, y, x].join() }, num(total)));
}
async function weighted(step, sums, row, channel, y, x, total) {
  var n = sums.numbers, look = await lookup(sums.reads[0]), weights = await numbers(sums.weight), bias = sums.bias ? (await numbers(sums.bias))[row] : 0;
  var ins = sums.ins[row], taps = n.k[0] * n.k[1], told = 0, blocks = [], lost = false;
  ins.forEach(function (input, at) {
    var windows = [], kernels = [], products = [], sum = 0;
    for (var i = 0; i < n.k[0]; i++) {
      var a = el("tr"), b = el("tr"), c = el("tr");
      for (var j = 0; j < n.k[1]; j++) {
        var place = readAt(sums.kind, n, y, x, i, j), tap = i * n.k[1] + j, weight = weights[(row * ins.length + at) * taps + tap], inside = place && place[0] >= 0 && place[1] >= 0 && place[0] < n.shape[0] && place[1] < n.shape[1];
        var v = inside ? look(input, place[0], place[1]) : 0;
        if (v === undefined) { lost = true; v = NaN; }
        a.append(inside ? value(v, [input, place[0], place[1]].join()) : el("td", { "class": "beyond" }, place ? "0" : "·"));
        b.append(el("td", { "data-tap": [channel, input, tap].join() }, num(weight)));
        c.append(el("td", null, num(v * weight)));
        sum += v * weight;
      }
      windows.push(a); kernels.push(b); products.push(c);
    }
    told += sum;
    blocks.push(el("div", { "class": "input" }, el("h5", null, t("page.input", { n: input })), el("div", { "class": "grids" }, grid(windows, t("page.window")), el("b", null, "×"),
      grid(kernels, t("page.kernel")), el("b", null, "="), grid(products, t("page.products")), el("span", { "class": "sum" }, el("b", null, "Σ "), el("strong", null, num(sum))))));
  });
  if (lost) return null;
  var rest = total - bias - told, more = sums.inputs - ins.length;
  return el("div", null, blocks.slice(0, OTHERS), folded(t("page.more_inputs", { count: blocks.length - OTHERS }), blocks.slice(OTHERS)),
    result([el("span", null, num(told)), " ", t("page.told", { count: ins.length }), sums.bias ? [" + ", el("span", { "data-bias": channel }, num(bias)), " ", t("page.bias")] : null,
      " + ", el("span", { "data-rest": channel }, num(rest)), " ", more ? t("page.rest", { count: more }) : t("page.rounding")], total, channel, y, x));
}
function folded(name, rows) { return rows.length ? el("details", null, el("summary", null, name), rows) : null; }
// Where a tap of the kernel reads; nothing where a transposed convolution has no unit.
function readAt(kind, n, y, x, i, j) {
  if (kind === "conv") return [y * n.s[0] - n.p[0] + i * n.d[0], x * n.s[1] - n.p[1] + j * n.d[1]];
  var a = y + n.p[0] - i * n.d[0], b = x + n.p[1] - j * n.d[1];
  return a % n.s[0] || b % n.s[1] ? null : [a / n.s[0], b / n.s[1]];
}
async function pooled(step, sums, row, channel, y, x, total) {
  var n = sums.numbers, look = await lookup(sums.reads[0]), ys, xs, all = [], rows = [], lost = false;
  if (sums.kind === "adaptive") {
    ys = [Math.floor(y * n.shape[0] / n.to[0]), Math.ceil((y + 1) * n.shape[0] / n.to[0])];
    xs = [Math.floor(x * n.shape[1] / n.to[1]), Math.ceil((x + 1) * n.shape[1] / n.to[1])];
  }
  var tall = ys ? ys[1] - ys[0] : n.k[0], wide = xs ? xs[1] - xs[0] : n.k[1];
  for (var i = 0; i < tall; i++) {
    var line = el("tr");
    for (var j = 0; j < wide; j++) {
      var at = ys ? [ys[0] + i, xs[0] + j] : [y * n.s[0] - n.p[0] + i * n.d[0], x * n.s[1] - n.p[1] + j * n.d[1]];
      var inside = at[0] >= 0 && at[1] >= 0 && at[0] < n.shape[0] && at[1] < n.shape[1], v = inside ? look(channel, at[0], at[1]) : undefined;
      if (inside && v === undefined) lost = true;
      if (inside) all.push(v);
      line.append(inside ? value(v, [channel, at[0], at[1]].join()) : el("td", { "class": "beyond" }, "·"));
    }
    rows.push(line);
  }
  if (lost) return null;
  var most = sums.kind === "max" || n.most, sum = all.reduce(function (a, b) { return a + b; }, 0), over = n.divisor || (n.count_padding ? tall * wide : all.length);
  var shown = rows.length * wide <= 150 ? grid(rows, t("page.window")) : el("details", null, el("summary", null, t("page.window")), el("div", { "class": "wide" }, grid(rows, "")));
  return el("div", null, el("div", { "class": "grids" }, shown), result([most ? t("page.largest", { count: all.length }) : [num(sum), " ÷ ", over]], total, channel, y, x));
}
async function normed(step, sums, row, channel, y, x, total) {
  var v = (await lookup(sums.reads[0]))(channel, y, x), mean = await numbers(sums.mean), spread = await numbers(sums["var"]);
  var weight = sums.weight ? (await numbers(sums.weight))[row] : 1, bias = sums.bias ? (await numbers(sums.bias))[row] : 0, at = sums.kind === "layer" ? y * step.w + x : row;
  if (v === undefined) return null;
  return el("div", null, el("p", null, t("page.norm." + sums.kind)),
    result(["(", el("span", { "data-at": [channel, y, x].join() }, num(v)), " − ", num(mean[at]), ") ÷ √(", num(spread[at]), " + ", num(sums.numbers.eps), ")",
      sums.weight ? [" × ", num(weight)] : null, sums.bias ? [" + ", num(bias)] : null], total, channel, y, x));
}
async function acted(step, sums, row, channel, y, x, total) {
  var v = (await lookup(sums.reads[0]))(channel, y, x), o = sums.numbers, slope = sums.weight ? (await numbers(sums.weight))[row] : o.slope;
  if (v === undefined) return null;
  return result([o.name, "(", el("span", { "data-at": [channel, y, x].join() }, num(v)), slope != null ? [", ", num(slope)] : null, ")"], total, channel, y, x);
}
async function joinedUp(step, sums, row, channel, y, x, total) {
  var sign = { add: " + ", sub: " − ", mul: " × ", div: " ÷ " }[sums.numbers.name], parts = [];
  for (var i = 0; i < sums.reads.length; i++) {
    var v = (await lookup(sums.reads[i]))(channel, y, x);
    if (v === undefined) return null;
    parts.push(i ? sign : "", el("span", { "data-at": [channel, y, x, i].join() }, num(v)));
  }
  if (sums.reads.length === 1 && sums.numbers.number != null) parts.push(sign, num(sums.numbers.number));
  return result(parts, total, channel, y, x);
}

// Arithmetic of what mixes numbers by numbers: softmax, attention, products of matrices, interpolation, gates of a recurrence.
// A share of a sum: e to the value, beside all others along the axis.
async function shared(step, sums, row, channel, y, x, total) {
  var n = sums.numbers, look = await lookup(sums.reads[0]), v = look(channel, y, x), most = await numbers(sums.most), all = await numbers(sums.total), line = sums.line || [];
  var at = n.axis === "c" ? y * step.w + x : row * (n.axis === "y" ? step.w : step.h) + (n.axis === "y" ? x : y), here = n.axis === "c" ? channel : n.axis === "y" ? y : x;
  if (v === undefined) return null;
  for (var i = 0; i < n.count && !sums.line; i++) line.push(n.axis === "c" ? look(i, y, x) : n.axis === "y" ? look(channel, i, x) : look(channel, y, i));
  var order = line.map(function (_, i) { return i; }).filter(function (i) { return line[i] !== undefined; }).sort(function (a, b) { return line[b] - line[a]; });
  var rows = order.slice(0, MOST).map(function (i) {
    return el("tr", { "class": i === here ? "here" : null }, el("td", null, i), value(line[i], n.axis === "c" ? [i, y, x].join() : n.axis === "y" ? [channel, i, x].join() : [channel, y, i].join()), el("td", null, num(Math.exp(line[i] - most[at]))));
  });
  return el("div", null, el("p", null, t("page.softmax", { count: n.count })),
    rows.length > 1 ? el("div", { "class": "wide" }, table([["#"], t("page.value"), ["e^(v − ", num(most[at]), ")"]], rows), order.length > MOST ? el("p", { "class": "quiet" }, t("page.smaller_ones", { count: order.length - MOST })) : null) : null,
    result(["e^(", el("span", { "data-at": [channel, y, x].join() }, num(v)), " − ", num(most[at]), ") ÷ ", num(all[at])], total, channel, y, x));
}
var MOST = 8; // rows of a table that are shown
function table(names, rows) { return el("table", { "class": "grid" }, el("tr", null, names.map(function (one) { return el("th", null, one); })), rows); }
// Query · key for every key, the shares the softmax makes of them, and the values they are shares of.
async function attended(step, sums, row, channel, y, x, total) {
  var n = sums.numbers, wide = n.wide, alone = n.asks != null, token = n.prefix + y * n.across + x, q = await numbers(sums.q), k = await numbers(sums.k), v = await numbers(sums.v), mask = await numbers(sums.mask);
  var from = alone ? 0 : token * wide, scores = [], top = -Infinity, all = 0, sum = 0, keys = [];
  for (var t2 = 0; t2 < n.keys; t2++) {
    var dot = 0, more = mask ? mask[(alone ? 0 : token * n.keys) + t2] : 0;
    for (var i = 0; i < wide; i++) dot += q[from + i] * k[t2 * wide + i];
    scores.push((n.causal && t2 > token) || more == null || more < -1e29 ? -Infinity : dot * n.scale + more);
    top = Math.max(top, scores[t2]);
  }
  scores.forEach(function (score) { all += Math.exp(score - top); });
  scores.forEach(function (score, key) {
    var share = Math.exp(score - top) / all, one = v[row * n.keys + key];
    if (share > 0) { keys.push({ key: key, score: score, share: share, value: one, product: share * one }); sum += share * one; }
  });
  keys.sort(function (a, b) { return Math.abs(b.product) - Math.abs(a.product); });
  var told = 0, few = keys.slice(0, MOST);
  few.forEach(function (one) { told += one.product; });
  var rows = few.map(function (one) {
    return el("tr", null, el("td", null, one.key), el("td", { "data-score": [n.head, token, one.key].join() }, num(one.score)), el("td", { "data-share": [n.head, token, one.key].join() }, num(one.share)),
      el("td", { "data-value": [n.head, one.key, channel].join() }, num(one.value)), el("td", null, num(one.product)));
  });
  var first = few[0], lines = [0, 1, 2].map(function () { return []; });
  for (var d = 0; first && d < wide; d += 8) {
    var cells = [el("tr"), el("tr"), el("tr")];
    for (var j = d; j < Math.min(wide, d + 8); j++) {
      cells[0].append(el("td", { "data-query": [n.head, token, j].join() }, num(q[from + j])));
      cells[1].append(el("td", { "data-key": [n.head, first.key, j].join() }, num(k[first.key * wide + j])));
      cells[2].append(el("td", null, num(q[from + j] * k[first.key * wide + j])));
    }
    cells.forEach(function (one, i) { lines[i].push(one); });
  }
  return el("div", null, el("p", null, t("page.attends_how", { head: n.head, token: token, scale: brief(n.scale) })),
    el("div", { "class": "wide" }, table([t("page.key"), t("page.score"), t("page.share"), t("page.value"), t("page.product")], rows)),
    first ? el("details", null, el("summary", null, t("page.query_key", { key: first.key })), el("div", { "class": "wide grids" }, grid(lines[0], t("page.query")), el("b", null, "×"), grid(lines[1], t("page.key")), el("b", null, "="), grid(lines[2], t("page.products")))) : null,
    result([num(told), " ", t("page.of_keys", { count: few.length }), keys.length > few.length ? [" + ", num(sum - told), " ", t("page.of_other_keys", { count: keys.length - few.length })] : null,
      " + ", num(total - sum), " ", t("page.rounding")], total, channel, y, x));
}
// All heads at once, behind the weights that join them.
async function headed(step, sums, row, channel, y, x, total) {
  var n = sums.numbers, alone = n.asks != null, token = n.prefix + y * n.across + x, many = alone ? 1 : step.attention.queries.length, scores = await numbers(sums.scores), shares = await numbers(sums.shares);
  var through = await numbers(sums.through), bias = sums.bias ? (await numbers(sums.bias))[row] : 0, pairs = [], all = 0, told = 0;
  for (var head = 0; head < n.heads; head++) for (var key = 0; key < n.keys; key++) {
    var at = (head * many + (alone ? 0 : token)) * n.keys + key, one = through[(row * n.heads + head) * n.keys + key];
    pairs.push({ head: head, key: key, score: scores[at], share: shares[at], value: one, product: shares[at] * one });
    all += shares[at] * one;
  }
  pairs.sort(function (a, b) { return Math.abs(b.product) - Math.abs(a.product); });
  var rows = pairs.slice(0, MOST).map(function (one) {
    var place = [one.head, token, one.key].join();
    told += one.product;
    return el("tr", null, el("td", null, one.head), el("td", null, one.key), el("td", { "data-score": place }, num(one.score)), el("td", { "data-share": place }, num(one.share)), el("td", { "data-through": [channel, one.head, one.key].join() }, num(one.value)), el("td", null, num(one.product)));
  });
  return el("div", null, el("p", null, t("page.heads_how", { token: token, heads: n.heads })),
    el("div", { "class": "wide" }, table([t("page.which_head"), t("page.key"), t("page.score"), t("page.share"), t("page.value"), t("page.product")], rows)),
    result([num(told), " ", t("page.of_pairs", { count: rows.length }), pairs.length > rows.length ? [" + ", num(all - told), " ", t("page.of_other_pairs", { count: pairs.length - rows.length })] : null,
      sums.bias ? [" + ", num(bias), " ", t("page.bias")] : null, " + ", num(total - bias - all), " ", t("page.rounding")], total, channel, y, x));
}
// A row of one matrix with a column of the other.
async function multiplied(step, sums, row, channel, y, x, total) {
  var n = sums.numbers, left = await numbers(sums.left), right = await numbers(sums.right), rows = [], sum = 0;
  for (var i = 0; i < n.wide; i++) {
    var a = n.alone ? left[i] : left[(row * step.h + y) * n.wide + i], b = n.alone ? right[i] : right[(row * n.wide + i) * step.w + x];
    sum += a * b;
    rows.push(el("tr", null, el("td", null, i), el("td", { "data-left": [channel, y, i].join() }, num(a)), el("td", { "data-right": [channel, i, x].join() }, num(b)), el("td", null, num(a * b))));
  }
  return el("div", null, el("p", null, t("page.matmul", { count: n.wide })), table(["#", t("page.left_row"), t("page.right_column"), t("page.products")], rows.slice(0, MOST)),
    folded(t("page.more_products", { count: rows.length - MOST }), rows.length > MOST ? [table([], rows.slice(MOST))] : []),
    result([num(sum), " + ", num(total - sum), " ", t("page.rounding")], total, channel, y, x));
}
// Neighbours by their weights.
async function resized(step, sums, row, channel, y, x, total) {
  var down = sums.numbers.down[y], across = sums.numbers.across[x], look = await lookup(sums.reads[0]), windows = [], weights = [], products = [], sum = 0, lost = false;
  down[0].forEach(function (atY, i) {
    var a = el("tr"), b = el("tr"), c = el("tr");
    across[0].forEach(function (atX, j) {
      var v = look(channel, atY, atX), weight = down[1][i] * across[1][j];
      if (v === undefined) lost = true;
      sum += v * weight;
      a.append(value(v, [channel, atY, atX].join())); b.append(el("td", null, num(weight))); c.append(el("td", null, num(v * weight)));
    });
    windows.push(a); weights.push(b); products.push(c);
  });
  if (lost) return null;
  return el("div", null, el("div", { "class": "grids" }, grid(windows, t("page.window")), el("b", null, "×"), grid(weights, t("page.by_weight")), el("b", null, "="), grid(products, t("page.products"))),
    result([num(sum), " + ", num(total - sum), " ", t("page.rounding")], total, channel, y, x));
}
// The gates of a recurrent layer at one step: sums of the input and of the state before, their functions, and the new state.
var GATES = { lstm: [["i", "sigmoid"], ["f", "sigmoid"], ["g", "tanh"], ["o", "sigmoid"]], gru: [["r", "sigmoid"], ["z", "sigmoid"], ["n", "tanh"]], tanh: [["h", "tanh"]], relu: [["h", "relu"]] };
async function gated(step, sums, row, channel, y, x, total) {
  var n = sums.numbers, gates = await numbers(sums.gates), before = (await numbers(sums.before))[row * n.steps + x], cell = sums.cell ? await numbers(sums.cell) : null, names = GATES[n.cell], got = {};
  var rows = names.map(function (one, g) {
    var p = [0, 1, 2, 3].map(function (i) { return gates[((row * n.steps + x) * n.gates + g) * 4 + i]; }), reset = n.cell === "gru" && g === 2;
    var sum = reset ? p[0] + p[1] + got.r * (p[2] + p[3]) : p[0] + p[1] + p[2] + p[3];
    got[one[0]] = ACTS[one[1]](sum);
    return el("tr", null, el("td", null, one[0]), p.map(function (v, i) { return el("td", { "data-gate": [channel, x, g, i].join() }, num(v)); }), el("td", null, num(sum)), el("td", null, one[1]), el("td", null, num(got[one[0]])));
  });
  var last = cell ? cell[row * n.steps + x] : null, now = cell ? got.f * last + got.i * got.g : null, made;
  if (n.cell === "lstm") made = ["c = f × c₋₁ + i × g = ", num(got.f), " × ", num(last), " + ", num(got.i), " × ", num(got.g), " = ", num(now), el("br"), "h = o × tanh(c) = ", num(got.o), " × ", num(Math.tanh(now))];
  else if (n.cell === "gru") made = ["h = (1 − z) × n + z × h₋₁ = (1 − ", num(got.z), ") × ", num(got.n), " + ", num(got.z), " × ", el("span", { "data-before": [channel, x].join() }, num(before))];
  else made = ["h = ", names[0][1], "(…)"];
  return el("div", null, el("p", null, t("page.gates"), n.cell === "gru" ? [" ", t("page.gates_gru")] : null, channel >= n.forwards ? [" ", t("page.gates_back")] : null), el("div", { "class": "wide" }, table([t("page.gate"), "W x", t("page.bias"), "U h₋₁", t("page.bias"), "Σ", "", t("page.value")], rows)), result(made, total, channel, y, x));
}

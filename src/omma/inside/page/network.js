// The network as a map to walk: blocks that fold and unfold, layers with shape, parameters, multiply-adds and time.
var ROOT = grow(), open = new Set([""]);
function grow() {
  var root = { path: "", name: "", kids: [], steps: [] }, known = { "": root };
  STEPS.forEach(function (step, place) {
    var node = root, path = "";
    (step.path ? step.path.split(".") : []).forEach(function (name) {
      path = path ? path + "." + name : name;
      if (!known[path]) { known[path] = { path: path, name: name, kids: [], steps: [] }; node.kids.push(known[path]); }
      node = known[path];
    });
    node.kids.push({ place: place });
  });
  (function total(node) {
    node.first = Infinity; node.seconds = 0; node.macs = 0; node.count = 0;
    node.kids.forEach(function (kid) {
      if (kid.place !== undefined) { kid.first = kid.place; kid.seconds = STEPS[kid.place].seconds; kid.macs = STEPS[kid.place].macs; kid.count = 1; } else total(kid);
      node.seconds += kid.seconds; node.macs += kid.macs; node.count += kid.count; node.first = Math.min(node.first, kid.first);
    });
  })(root);
  return root;
}
function single(node) { return node.place === undefined && node.count === 1 ? single(node.kids[0]) : node; }
// Unfold from the top while the map stays short.
(function () {
  for (var depth = 1; depth < 8; depth++) {
    var found = [];
    (function walk(node, down) {
      node.kids.forEach(function (kid) {
        if (kid.place === undefined && kid.count > 1) { if (down < depth) found.push(kid.path); walk(kid, down + 1); }
      });
    })(ROOT, 0);
    var rows = found.length + STEPS.length;
    if (depth > 1 && shownRows(new Set(found.concat([""]))) > 40) return;
    open = new Set(found.concat([""]));
    if (rows === 0) return;
  }
})();
function shownRows(set) {
  var rows = 0;
  (function walk(node) { node.kids.forEach(function (kid) { rows++; if (kid.place === undefined && set.has(kid.path)) walk(kid); }); })(ROOT);
  return rows;
}
function renderMap() {
  var most = Math.max.apply(null, STEPS.map(function (step) { return step.seconds; })) || 1, rows = [];
  (function walk(node, depth) {
    node.kids.forEach(function (kid) {
      var one = single(kid), step = one.place === undefined ? null : STEPS[one.place];
      if (step) rows.push(layerRow(kid, one.place, depth, most));
      else {
        rows.push(blockRow(kid, depth));
        if (open.has(kid.path)) walk(kid, depth + 1);
      }
    });
  })(ROOT, 0);
  if (state.seek) {
    rows = STEPS.map(function (step, place) { return place; }).filter(function (place) {
      return (STEPS[place].key + " " + STEPS[place].word).toLowerCase().indexOf(state.seek.toLowerCase()) >= 0;
    }).map(function (place) { return layerRow({ path: STEPS[place].key }, place, 0, most); });
  }
  put("map", [el("div", { "class": "rows", role: "tree" }, rows)]);
}
function facts(macs, seconds, parameters) {
  return el("span", { "class": "facts" }, parameters ? [el("i", null, count(parameters)), " ", t("page.par"), " · "] : null,
    macs ? [el("i", null, count(macs)), " ", t("page.macs"), " · "] : null, el("i", null, brief(seconds * 1000)), " ms");
}
function blockRow(node, depth) {
  var about = DATA.modules[node.path] || ["", 0], here = open.has(node.path);
  return el("button", {
    "class": "row block", type: "button", role: "treeitem", "aria-expanded": String(here), style: "--depth:" + depth,
    onclick: function () { if (here) open["delete"](node.path); else open.add(node.path); renderMap(); }
  }, el("b", null, here ? "▾ " : "▸ ", node.name), el("em", null, about[0]), el("small", null, t("page.layers", { count: node.count })),
    facts(node.macs, node.seconds, about[1]));
}
function layerRow(node, place, depth, most) {
  var step = STEPS[place], name = state.seek ? step.key : node.place === undefined ? node.path.split(".").pop() : step.word, ill = step.health && (step.health.word || step.health.dead.length);
  var row = el("button", {
    "class": "row layer" + (state.step === place ? " here" : ""), type: "button", role: "treeitem", "data-step": place, style: "--depth:" + depth,
    onclick: function () { choose(place); }
  }, el("b", null, name), node.place === undefined ? el("em", null, step.word) : null, el("small", null, sides(step)),
    facts(step.macs, step.seconds, step.parameters), ill ? el("u", { "class": "ill" }, "!") : null,
    el("s", { "class": "time", style: "width:" + (100 * step.seconds / most).toFixed(1) + "%" }));
  return row;
}
function reveal(place) {
  var path = "";
  (STEPS[place].path ? STEPS[place].path.split(".") : []).forEach(function (name) { path = path ? path + "." + name : name; open.add(path); });
}

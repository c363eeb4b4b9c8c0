// One layer: its maps, one unit of it with what it sees and how it is made, its gradient, and what else it has.
function choose(place, channel, keep) {
  var step = STEPS[place];
  state.step = place; state.shown = 48;
  state.channel = channel != null ? channel : step.sums.outs[0];
  if (!keep) { state.y = Math.floor(step.h / 2); state.x = Math.floor(step.w / 2); }
  reveal(place); renderMap();
  return renderLayer();
}
function ordered(step) {
  var from = state.sort === "slope" && step.slopes[0] ? step.slopes[0].strength : step.strength, all = step.strength.map(function (_, i) { return i; });
  if (state.sort !== "number") all.sort(function (a, b) { return (from[b] || 0) - (from[a] || 0) || a - b; });
  var wanted = state.find.trim();
  return wanted ? all.filter(function (i) { return String(i) === wanted || (wanted.length > 1 && String(i).startsWith(wanted)); }) : all;
}
function links(places) {
  return places.map(function (place, i) {
    return [i ? ", " : "", place < 0 ? t("page.the_picture") : el("a", { href: "#layer", onclick: function (event) { event.preventDefault(); choose(place); } }, STEPS[place].key)];
  });
}
async function renderLayer() {
  var place = state.step, step = STEPS[place], readers = [];
  STEPS.forEach(function (other, i) { if (other.reads.indexOf(place) >= 0) readers.push(i); });
  put("layer", [
    el("h2", null, step.key), el("p", { "class": "quiet" }, step.word, " · ", sides(step), " · ", facts(step.macs, step.seconds, step.parameters)),
    el("p", { "class": "quiet" }, step.reads.length ? [t("page.reads"), " ", links(step.reads)] : null, step.reads.length && readers.length ? " · " : null, readers.length ? [t("page.read_by"), " ", links(readers)] : null),
    healthOf(step),
    el("div", { id: "unit" }), el("h3", null, t("page.maps")), el("div", { id: "maps" }),
    step.slopes[state.ask] ? [el("h3", null, t("page.gradient")), el("div", { id: "back" })] : null,
    step.attention ? [el("h3", null, t("page.attention")), el("div", { id: "heads" })] : null,
    step.states ? [el("h3", null, t("page.states")), el("div", { id: "states" })] : null,
    step.peaks ? [el("h3", null, t("page.peaks")), el("div", { id: "peaks" })] : null,
    DATA.course ? [el("h3", null, t("page.through")), el("div", { id: "through" })] : null
  ]);
  renderMaps();
  var waits = [renderUnit()];
  if (step.slopes[state.ask]) waits.push(renderBack());
  if (step.attention) waits.push(renderHeads());
  if (step.states) waits.push(renderStates());
  if (step.peaks) waits.push(renderPeaks());
  if (DATA.course) waits.push(renderThrough());
  await Promise.all(waits);
  document.getElementById("layer").dataset.done = place;
}
function healthOf(step) {
  var h = step.health, rows = [];
  if (!h) return null;
  if (h.dead.length) rows.push(el("p", { "class": "warn" }, t("page.dead", { count: h.dead.length, of: step.c }), step.dead_always ? [" ", t("page.dead_always", { count: step.dead_always.length })] : null));
  if (h.flat != null) rows.push(el("p", { "class": h.flat > 0.5 ? "warn" : "note" }, t("page.flat", { share: (100 * h.flat).toFixed(1) })));
  if (h.word) rows.push(el("p", { "class": "warn" }, t("page.word." + h.word)));
  return rows;
}
function renderMaps() {
  var step = STEPS[state.step], all = ordered(step), few = all.slice(0, state.shown);
  var find = label(el("input", { type: "search", inputmode: "numeric", value: state.find, oninput: function () { state.find = find.value; state.shown = 48; tiles(); } }), "placeholder", "page.find");
  label(find, "aria-label", "page.find");
  var sort = el("select", { onchange: function () { state.sort = sort.value; tiles(); } }, ["strength", "slope", "number"].filter(function (one) { return one !== "slope" || step.slopes[0]; }).map(function (one) {
    return label(el("option", { value: one, selected: state.sort === one }), "text", "page.sort." + one);
  }));
  label(sort, "aria-label", "page.sorted");
  var holder = el("div", { "class": "tiles" }), more = el("div");
  put("maps", [el("div", { "class": "bar" }, find, sort, el("span", { "class": "quiet" }, t("page.channels", { count: step.c }))), holder, more]);
  function tiles() {
    all = ordered(step); few = all.slice(0, state.shown);
    holder.replaceChildren(); more.replaceChildren();
    few.forEach(function (channel) {
      var canvas = el("canvas"), known = !window.ommaUnit && step.sums.outs.indexOf(channel) >= 0;
      drawMap(canvas, step.pic, channel);
      holder.append(el("button", {
        type: "button", "class": "tile" + (channel === state.channel ? " here" : ""), "data-channel": channel,
        onclick: function () { state.channel = channel; tiles(); again(); }
      }, canvas, el("span", null, channel, known ? " •" : ""), el("small", null, brief(step.strength[channel]))));
    });
    if (!few.length) holder.append(el("p", { "class": "quiet" }, t("page.none")));
    if (all.length > few.length) more.append(el("button", { type: "button", onclick: function () { state.shown += 192; tiles(); } }, t("page.more", { count: all.length - few.length })));
  }
  tiles();
}
// Whatever depends on the channel or the unit that is looked at.
function again() {
  var step = STEPS[state.step], waits = [renderUnit()];
  if (step.peaks) waits.push(renderPeaks());
  if (step.slopes[state.ask]) waits.push(renderBack());
  return Promise.all(waits);
}
async function renderUnit() {
  var place = state.step, step = STEPS[place], channel = state.channel, y = state.y = Math.min(state.y, step.h - 1), x = state.x = Math.min(state.x, step.w - 1);
  var map = el("canvas", { "class": "large", tabindex: "0" }), picture = el("canvas", { "class": "large" });
  await drawMap(map, step.pic, channel);
  var times = Math.max(1, Math.round(320 / Math.max(map.width, map.height))), small = el("canvas"), tall = map.height, wide = map.width;
  small.width = wide; small.height = tall; small.getContext("2d").drawImage(map, 0, 0);
  map.width = wide * times; map.height = tall * times;
  if (tall > 1.5 * wide) map.style.cssText = "width:auto;max-width:100%;max-height:420px";
  var drawing = map.getContext("2d"), cell = [map.height / step.h, map.width / step.w];
  drawing.imageSmoothingEnabled = false; drawing.drawImage(small, 0, 0, map.width, map.height);
  if (step.h * step.w > 1) {
    drawing.lineWidth = 3; drawing.strokeStyle = "#000"; drawing.strokeRect(x * cell[1] - 1, y * cell[0] - 1, cell[1] + 2, cell[0] + 2);
    drawing.lineWidth = 1.5; drawing.strokeStyle = "#ffd400"; drawing.strokeRect(x * cell[1] - 1, y * cell[0] - 1, cell[1] + 2, cell[0] + 2);
  }
  function to(row, column) {
    state.y = Math.max(0, Math.min(step.h - 1, row)); state.x = Math.max(0, Math.min(step.w - 1, column));
    return renderUnit().then(function () { var here = document.querySelector("#unit canvas.large"); if (here) here.focus({ preventScroll: true }); });
  }
  map.addEventListener("click", function (event) {
    var box = map.getBoundingClientRect();
    to(Math.floor((event.clientY - box.top) / box.height * step.h), Math.floor((event.clientX - box.left) / box.width * step.w));
  });
  map.addEventListener("keydown", function (event) {
    var move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (move) { event.preventDefault(); to(state.y + move[0], state.x + move[1]); }
  });
  function field(name, key, most) {
    var input = el("input", { type: "number", min: 0, max: most - 1, value: state[name], onchange: function () { state[name] = Math.max(0, Math.min(most - 1, Number(input.value) || 0)); renderUnit(); } });
    return el("label", null, t(key), " ", input);
  }
  var seen = DATA.picture.rgb != null ? sees(step.field, y, x, DATA.picture.of) : null, sum = await account(place, channel, y, x);
  if (DATA.picture.rgb != null) await drawPicture(picture, DATA.picture, seen ? [seen] : []);
  if (state.step !== place || state.channel !== channel) return;
  label(map, "aria-label", "page.map_label", { channel: channel });
  put("unit", [el("div", { "class": "sides" },
    el("figure", null, map, el("figcaption", null, t("page.channel", { n: channel }), step.h * step.w > 1 ? [" · ", t("page.pick")] : null,
      step.h * step.w > 1 ? el("div", { "class": "bar" }, field("y", "page.row", step.h), field("x", "page.column", step.w)) : null)),
    DATA.picture.rgb != null ? el("figure", null, picture, el("figcaption", { id: "seen" }, seenWords(step, seen))) : null),
    el("h3", null, t("page.arithmetic")), sum]);
}
function seenWords(step, seen) {
  if (!step.field) return t("page.field.unknown");
  if (step.field.whole) return t("page.field.whole");
  return [t("page.field.box", { tall: seen.bottom - seen.top + 1, wide: seen.right - seen.left + 1, top: seen.top, left: seen.left }), step.field.gated ? [" ", t("page.field.gated")] : null];
}
async function renderBack() {
  var step = STEPS[state.step], slope = step.slopes[state.ask], own = el("canvas", { "class": "middle" }), tiles = el("div", { "class": "tiles" });
  await drawMap(own, slope.pic, 0);
  (slope.maps ? slope.maps.outs : []).forEach(function (channel, i) {
    var canvas = el("canvas");
    drawMap(canvas, slope.maps, i);
    if (i < 16) tiles.append(el("div", { "class": "tile" }, canvas, el("span", null, channel), el("small", null, brief(slope.strength[channel]))));
  });
  var taps = null, row = step.sums.outs.indexOf(state.channel);
  if (slope.taps && row >= 0) {
    var values = await floats(slope.taps.part), ins = step.sums.ins[row], n = step.sums.numbers, each = n.k[0] * n.k[1];
    taps = el("div", { "class": "grids" }, ins.slice(0, 4).map(function (input, at) {
      var rows = [];
      for (var i = 0; i < n.k[0]; i++) {
        var line = el("tr");
        for (var j = 0; j < n.k[1]; j++) line.append(el("td", { "data-slope": [state.channel, input, i * n.k[1] + j].join() }, num(values[(row * ins.length + at) * each + i * n.k[1] + j])));
        rows.push(line);
      }
      return grid(rows, t("page.input", { n: input }));
    }));
  }
  put("back", [el("p", { "class": "quiet" }, t("page.slope_size", { about: DATA.asks[state.ask].about, size: num(slope.size) }),
    slope.kernel ? [" ", t("page.kernel_size", { slope: num(slope.kernel[0]), weight: num(slope.kernel[1]) })] : null),
    el("div", { "class": "sides" }, el("figure", null, own, el("figcaption", null, t("page.slope_sum"))), slope.maps ? el("figure", null, tiles, el("figcaption", null, t("page.slope_maps"))) : null),
    taps ? [el("p", { "class": "quiet" }, t("page.taps", { n: state.channel })), el("div", { "class": "wide" }, taps)] : null]);
}

// What some layers have beside maps: shares of attention, states through the steps, pictures that excite, and how they came to be.
function gridOf(keys, step) {
  var prefixes = [step.prefix, 0, 1, 2, 5];
  for (var i = 0; i < prefixes.length; i++) {
    var side = Math.round(Math.sqrt(Math.max(0, keys - prefixes[i])));
    if (side > 1 && side * side === keys - prefixes[i]) return { prefix: prefixes[i], side: side };
  }
  return null;
}
async function renderHeads() {
  var step = STEPS[state.step], a = step.attention, lies = gridOf(a.keys, step), pixels = await bytes8(a.part, a.keys), most = await floats(a.most), tiles = el("div", { "class": "tiles wide-tiles" });
  var asked = Math.min(state.token, a.queries.length - 1), input = el("input", { type: "range", min: 0, max: a.queries.length - 1, value: asked, oninput: function () { state.token = Number(input.value); renderHeads(); } });
  for (var head = 0; head < a.heads; head++) {
    var from = (head * a.queries.length + asked) * a.keys, top = most[head * a.queries.length + asked], shares = [];
    for (var k = 0; k < a.keys; k++) shares.push(pixels[from + k] / 255 * top);
    var canvas = el("canvas"), beside = lies ? shares.slice(0, lies.prefix).reduce(function (x, y) { return x + y; }, 0) : 0;
    await drawFloats(canvas, lies ? shares.slice(lies.prefix) : shares, lies ? lies.side : 1, lies ? lies.side : a.keys);
    tiles.append(el("div", { "class": "tile" }, canvas, el("span", null, t("page.head", { n: head })), el("small", null, t("page.head_facts", { top: brief(top), beside: brief(beside) }))));
  }
  label(input, "aria-label", "page.token");
  var token = a.queries[asked], where = lies && token >= lies.prefix ? [Math.floor((token - lies.prefix) / lies.side), (token - lies.prefix) % lies.side] : null, parts = [];
  if (lies && DATA.picture.rgb != null && lies.side * lies.side === a.keys - lies.prefix) {
    var picture = el("canvas", { "class": "middle" }), per = [DATA.picture.of[0] / lies.side, DATA.picture.of[1] / lies.side];
    await drawPicture(picture, DATA.picture, !where ? [] : [{ top: where[0] * per[0], left: where[1] * per[1], bottom: (where[0] + 1) * per[0] - 1, right: (where[1] + 1) * per[1] - 1 }]);
    picture.addEventListener("click", function (event) {
      var box = picture.getBoundingClientRect(), row = Math.floor((event.clientY - box.top) / box.height * lies.side), column = Math.floor((event.clientX - box.left) / box.width * lies.side);
      var at = a.queries.indexOf(lies.prefix + row * lies.side + column);
      if (at >= 0) { state.token = at; renderHeads(); }
    });
    parts.push(el("figure", null, picture, el("figcaption", null, t("page.pick_token"))));
  }
  put("heads", [el("p", { "class": "quiet" }, t("page.attends", { token: token, keys: a.keys, heads: a.heads })), el("div", { "class": "bar" }, el("label", null, t("page.token"), " ", input)),
    el("div", { "class": "sides" }, parts, el("figure", null, tiles))]);
}
async function renderStates() {
  var step = STEPS[state.step], parts = [];
  for (var name in step.states) {
    var one = step.states[name], values = await floats(one.part), layers = one.shape[0], steps = one.shape[1], units = one.shape[2], now = Math.min(state.time, steps - 1);
    for (var layer = 0; layer < layers; layer++) {
      var canvas = el("canvas", { "class": "large" }), turned = new Float32Array(steps * units), shown = [];
      for (var s = 0; s < steps; s++) for (var u = 0; u < units; u++) turned[u * steps + s] = values[(layer * steps + s) * units + u];
      for (var i = 0; i < Math.min(units, 64); i++) shown.push(el("span", { "data-state": [name, layer, now, i].join() }, num(values[(layer * steps + now) * units + i])), " ");
      await drawFloats(canvas, turned, units, steps);
      parts.push(el("figure", null, canvas, el("figcaption", null, t("page.state." + name, { layer: Math.floor(layer / one.ways), units: units, steps: steps }), layer % one.ways ? [" · ", t("page.backwards")] : null),
        el("p", { "class": "numbers" }, t("page.after", { n: now + 1 }), " ", shown, units > 64 ? "…" : null)));
    }
  }
  var range = el("input", { type: "range", min: 0, max: steps - 1, value: now, oninput: function () { state.time = Number(range.value); renderStates(); } });
  label(range, "aria-label", "page.step_label");
  put("states", [el("div", { "class": "bar" }, el("label", null, t("page.step_label"), " ", range)), el("div", { "class": "sides" }, parts)]);
}
async function renderPeaks() {
  var step = STEPS[state.step], channel = state.channel, rows = step.peaks.places[channel] || [], tiles = el("div", { "class": "tiles wide-tiles" });
  for (var i = 0; i < rows.length; i++) {
    var picture = DATA.peaks[rows[i][0]], canvas = el("canvas"), box = picture.rgb != null ? sees(step.field, rows[i][1], rows[i][2], picture.of) : null;
    if (picture.rgb == null) continue;
    await drawPicture(canvas, picture, box ? [box] : []);
    tiles.append(el("div", { "class": "tile" }, canvas, el("small", null, num(step.peaks.values[channel][i])), el("small", null, picture.name)));
  }
  if (state.channel !== channel) return;
  put("peaks", [el("p", { "class": "quiet" }, t("page.peaks_of", { n: channel, count: DATA.peaks.length })), tiles]);
}
async function renderThrough() {
  var moments = DATA.course.moments, at = state.moment = Math.min(state.moment, moments.length - 1), maps = moments[at].maps[state.step], tiles = el("div", { "class": "tiles" });
  var range = el("input", { type: "range", min: 0, max: moments.length - 1, value: at, oninput: function () { state.moment = Number(range.value); renderThrough(); renderCourse(); } });
  label(range, "aria-label", "page.moment");
  if (maps) for (var i = 0; i < maps.outs.length; i++) {
    var canvas = el("canvas");
    await drawMap(canvas, maps, i);
    tiles.append(el("div", { "class": "tile" }, canvas, el("span", null, maps.outs[i])));
  }
  put("through", [el("div", { "class": "bar" }, el("label", null, t("page.moment"), " ", range, " ", t("page.at_step", { step: moments[at].step }))), tiles]);
}

// What is told of the network as a whole: its gradients from end to end, eyes nobody trained, and its training.
var SVG = "http://www.w3.org/2000/svg";
function svg(tag, attributes, text) {
  var made = document.createElementNS(SVG, tag);
  for (var name in attributes) made.setAttribute(name, attributes[name]);
  if (text != null) made.textContent = text;
  return made;
}
function renderSlopes() {
  var sizes = STEPS.map(function (step) { return step.slopes[state.ask] ? step.slopes[state.ask].size : null; });
  var some = sizes.filter(function (size) { return size > 0; }).map(Math.log10);
  if (!some.length) { put("slopes", [question(), el("p", { "class": "quiet" }, t(window.ommaAsk && !DATA.asks.length ? "page.not_asked" : "page.no_slopes"))]); return; }
  var low = Math.floor(Math.min.apply(null, some)), high = Math.ceil(Math.max.apply(null, some)), wide = 1000, tall = 240, left = 64, bottom = 26;
  if (high === low) high = low + 1;
  var drawing = svg("svg", { viewBox: "0 0 " + wide + " " + tall, role: "img" });
  label(drawing, "aria-label", "page.slopes_label");
  function x(i) { return left + (wide - left - 12) * (STEPS.length > 1 ? i / (STEPS.length - 1) : 0.5); }
  function y(value) { return 10 + (tall - bottom - 20) * (high - value) / (high - low); }
  for (var tick = low; tick <= high; tick += Math.max(1, Math.ceil((high - low) / 6))) {
    drawing.append(svg("line", { x1: left, x2: wide - 12, y1: y(tick), y2: y(tick), "class": "grid" }), svg("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, "1e" + tick));
  }
  drawing.append(svg("path", { "class": "l0", d: sizes.map(function (size, i) { return size > 0 ? (i && sizes[i - 1] > 0 ? "L" : "M") + x(i).toFixed(1) + " " + y(Math.log10(size)).toFixed(1) : ""; }).join("") }));
  sizes.forEach(function (size, i) {
    if (!(size > 0)) return;
    var dot = svg("circle", { cx: x(i), cy: y(Math.log10(size)), r: 5, "class": "dot" + (STEPS[i].health && STEPS[i].health.word ? " ill" : "") });
    dot.append(svg("title", {}, STEPS[i].key + "  " + num(size)));
    dot.addEventListener("click", function () { choose(i).then(function () { document.getElementById("layer").scrollIntoView(); }); });
    drawing.append(dot);
  });
  var ends = [label(svg("text", { x: left, y: tall - 6 }), "text", "page.input_end"), label(svg("text", { x: wide - 12, y: tall - 6, "text-anchor": "end" }), "text", "page.output_end")];
  drawing.append(ends[0], ends[1]);
  var buttons = DATA.asks.map(function (ask, i) {
    return el("button", { type: "button", "class": i === state.ask ? "here" : "", onclick: function () { state.ask = i; renderSlopes(); renderLayer(); } }, ask.about);
  });
  var own = el("canvas", { "class": "middle" });
  if (DATA.slopes[state.ask]) drawMap(own, DATA.slopes[state.ask], 0);
  put("slopes", [question(), el("p", null, t("page.asked", { about: DATA.asks[state.ask].about, score: num(DATA.asks[state.ask].score) })), el("div", { "class": "bar" }, buttons),
    el("div", { "class": "chart" }, drawing), DATA.slopes[state.ask] ? el("figure", null, own, el("figcaption", null, t("page.slope_picture"))) : null]);
}
// Where a server computes, anything can be asked: the way back of a class, a box or a region.
function question() {
  if (!window.ommaAsk) return null;
  var about = DATA.question, name = label(el("select", null, label(el("option", { value: "" }), "text", "page.surest"), about.names.map(function (one) { return el("option", { value: one, selected: one === state.about }, one); })), "aria-label", "page.ask_name");
  var box = about.placed ? label(label(el("input", { type: "text", size: 18 }), "placeholder", "page.ask_box"), "aria-label", "page.ask_box") : null;
  var line = el("p", { role: "status" }), button = el("button", { type: "submit", id: "ask" }, t("page.ask"));
  return el("form", { "class": "bar", onsubmit: async function (event) {
    event.preventDefault(); button.disabled = true; line.replaceChildren(); state.about = name.value;
    try {
      var found = await window.ommaAsk(name.value, box ? box.value.trim() : "");
      DATA.asks.push(found.ask); DATA.slopes.push(found.picture);
      STEPS.forEach(function (step, i) { step.slopes.push(found.rows[i]); step.health = found.health[i] || step.health; });
      state.ask = DATA.asks.length - 1;
      renderSlopes(); renderMap(); await renderLayer();
    } catch (error) { button.disabled = false; line.className = "warn"; line.textContent = error.message; }
  } }, el("label", null, t("page.ask_name"), " ", name), box, button, line);
}
async function renderClassical() {
  var c = DATA.classical, place = document.getElementById("classical");
  if (!c) { place.closest("section").hidden = true; return; }
  var tiles = el("div", { "class": "tiles wide-tiles" }), filters = el("div", { "class": "tiles tiny" }), gabors = 0;
  for (var i = 0; i < c.names.length; i++) {
    var canvas = el("canvas"), name = c.names[i], kernel = null;
    await drawMap(canvas, c.pic, i);
    if (name[0] === "gabor") { kernel = el("canvas", { "class": "kernel" }); await drawMap(kernel, c.kernels[gabors++], 0); }
    tiles.append(el("div", { "class": "tile" }, canvas, el("span", null, kernel, t("page.eye." + name[0], { wave: name[1], turn: name[2] }))));
  }
  var hog = el("canvas");
  await drawHog(hog, c.hog);
  tiles.append(el("div", { "class": "tile" }, hog, el("span", null, t("page.eye.hog"))));
  if (c.filters) await drawFilters(filters, c.filters);
  put("classical", [tiles, c.filters ? [el("h3", null, t("page.learned", { count: c.filters.count, step: STEPS[c.filters.step].key })), filters] : null]);
}
async function drawFilters(holder, filters) {
  var pixels = await bytes8(filters.rgb, filters.w), n = filters.h * filters.w;
  holder.replaceChildren();
  for (var f = 0; f < filters.count; f++) {
    holder.append(paint(el("canvas"), filters.h, filters.w, (function (from) { return function (i) { return [pixels[from + i], pixels[from + n + i], pixels[from + 2 * n + i]]; }; })(f * 3 * n)));
  }
}
// A star in each cell: a line along the edge for every direction, as bright as its share.
async function drawHog(canvas, hog) {
  var values = await floats(hog.part), rows = hog.shape[0], columns = hog.shape[1], bins = hog.shape[2], size = 12, most = 0, ink = dark() ? "255,190,110" : "130,40,0";
  canvas.height = rows * size; canvas.width = columns * size;
  values.forEach(function (v) { most = Math.max(most, v); });
  var drawing = canvas.getContext("2d");
  for (var r = 0; r < rows; r++) for (var c = 0; c < columns; c++) for (var b = 0; b < bins; b++) {
    var share = most ? values[(r * columns + c) * bins + b] / most : 0, turn = (b + 0.5) / bins * Math.PI + Math.PI / 2;
    if (share < 0.05) continue;
    drawing.strokeStyle = "rgba(" + ink + "," + share.toFixed(2) + ")"; drawing.beginPath();
    drawing.moveTo(size * (c + 0.5) - Math.cos(turn) * size * 0.45, size * (r + 0.5) - Math.sin(turn) * size * 0.45);
    drawing.lineTo(size * (c + 0.5) + Math.cos(turn) * size * 0.45, size * (r + 0.5) + Math.sin(turn) * size * 0.45); drawing.stroke();
  }
}
async function renderCourse() {
  var course = DATA.course, section = document.getElementById("course");
  if (!course) { section.closest("section").hidden = true; return; }
  var moments = course.moments, at = Math.min(state.moment, moments.length - 1), filters = el("div", { "class": "tiles tiny" });
  var range = el("input", { type: "range", min: 0, max: moments.length - 1, value: at, oninput: function () { state.moment = Number(range.value); renderCourse(); if (state.step != null) renderThrough(); } });
  label(range, "aria-label", "page.moment");
  if (moments[at].filters) await drawFilters(filters, moments[at].filters);
  put("course", [el("div", { "class": "bar" }, el("label", null, t("page.moment"), " ", range, " ", t("page.at_step", { step: moments[at].step }))),
    moments[at].filters ? [el("h3", null, t("page.filters")), filters] : null, course.surface ? surfaceOf(course.surface, moments[at].step) : null]);
}
function surfaceOf(surface, now) {
  var all = [].concat.apply([], surface.losses).filter(function (v) { return v != null; }), low = Math.min.apply(null, all), high = Math.max.apply(null, all), n = surface.axis.length, size = 420, cell = size / n, half = (surface.axis[n - 1] - surface.axis[0]) / (n - 1) / 2;
  var drawing = svg("svg", { viewBox: "0 0 " + size + " " + size, role: "img", "class": "surface" });
  label(drawing, "aria-label", "page.surface");
  function at(value) { return (value - surface.axis[0] + half) / (2 * half) * cell; }
  surface.losses.forEach(function (row, b) {
    row.forEach(function (loss, a) {
      var share = loss == null || high === low ? 0 : Math.sqrt((loss - low) / (high - low)), box = svg("rect", { x: a * cell, y: size - (b + 1) * cell, width: cell + 0.5, height: cell + 0.5, "class": loss == null ? "lost" : "loss", "fill-opacity": loss == null ? 1 : (1 - share).toFixed(3) });
      box.append(svg("title", {}, "a = " + brief(surface.axis[a]) + ", b = " + brief(surface.axis[b]) + ": " + num(loss)));
      drawing.append(box);
    });
  });
  for (var step in surface.marks) {
    var mark = surface.marks[step];
    drawing.append(svg("circle", { cx: at(mark[0]), cy: size - at(mark[1]), r: Number(step) === now ? 9 : 6, "class": "mark" }), svg("text", { x: Math.min(size - 60, at(mark[0]) + 12), y: Math.max(14, size - at(mark[1]) - 8), "class": "ink" }, step));
  }
  return [el("h3", null, t("page.surface")), el("p", { "class": "quiet" }, t("page.surface_about", { low: num(low), high: num(high), count: surface.pictures }), " ", surface.drawn ? t("page.surface_drawn") : t("page.surface_moves")), el("div", { "class": "plane" }, drawing)];
}

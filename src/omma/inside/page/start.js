// The page is put together.
function renderSight() {
  var picture = DATA.picture, canvas = el("canvas", { "class": "large" }), parts = [];
  if (picture.rgb != null) { drawPicture(canvas, picture, []); parts.push(el("figure", null, canvas, el("figcaption", null, picture.name, " · ", picture.of[1] + " × " + picture.of[0], " px"))); }
  parts.push(el("div", { "class": "told" }, picture.rgb == null ? el("p", null, picture.name) : null,
    DATA.answer ? el("p", null, t("page.says"), " ", el("strong", null, DATA.answer)) : null,
    DATA.notes.map(function (note) { return el("p", { "class": "note" }, both(note)); }),
    el("details", { open: !window.ommaUnit }, el("summary", null, t(window.ommaUnit ? "page.holds" : "page.left")), el("ul", null, DATA.left.map(function (one) { return el("li", null, both(one)); })))));
  put("sight", [el("div", { "class": "sides" }, parts)]);
}
function renderTotals() {
  var seconds = 0, macs = 0, all = DATA.modules[""] || ["", 0];
  STEPS.forEach(function (step) { seconds += step.seconds; macs += step.macs; });
  put("totals", [facts(macs, seconds, all[1]), " · ", t("page.layers", { count: STEPS.length }), " · ", t("page.time_note")]);
}
async function renderAll() {
  renderSight(); renderTotals(); renderMap(); renderSlopes();
  if (STEPS.length) await choose(state.step == null ? 0 : state.step, state.channel, state.step != null);
  await renderClassical();
  await renderCourse();
  document.documentElement.dataset.ready = "1";
}
new MutationObserver(renderAll).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
var seek = document.getElementById("seek");
label(seek, "placeholder", "page.seek"); label(seek, "aria-label", "page.seek");
seek.addEventListener("input", function () { state.seek = seek.value.trim(); renderMap(); });
document.getElementById("fold").addEventListener("click", function () { open = new Set([""]); renderMap(); });
document.getElementById("unfold").addEventListener("click", function () {
  (function walk(node) { node.kids.forEach(function (kid) { if (kid.place === undefined) { open.add(kid.path); walk(kid); } }); })(ROOT);
  renderMap();
});
if (typeof DecompressionStream === "undefined") put("sight", [el("p", { "class": "warn" }, t("page.old_browser"))]); else renderAll();
// The one way in from outside: show a unit of a layer, in the studio and in tests.
window.ommaLook = function (place, channel, y, x) { state.y = y; state.x = x; return choose(place, channel, true); };

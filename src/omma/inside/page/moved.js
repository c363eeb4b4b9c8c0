// Where a number comes from that was put here and not changed: side by side, padded, shuffled from channels to places.
function putHere(step, sums, row, channel, y, x, total) {
  var n = sums.numbers, input = 0, at = [channel, y, x], token = n.tokens ? n.prefix + y * n.across + x : null;
  if (n.how === "cat") {
    var along = { c: channel, y: y, x: x, t: token }[n.axis];
    n.starts.forEach(function (start, i) { if (start <= along) input = i; });
    along -= n.starts[input];
    if (n.axis === "t") token = along; else at["cyx".indexOf(n.axis)] = along;
  } else if (n.how === "shuffle") {
    at = [channel * n.times * n.times + y % n.times * n.times + x % n.times, Math.floor(y / n.times), Math.floor(x / n.times)];
  } else {
    at = ["c", "y", "x"].map(function (side, i) { return n[side] ? n[side][at[i]] : at[i]; });
    if (n.tokens && n.x) token = at[2];
    if (Math.min.apply(null, at) < 0) return el("div", null, el("p", null, t("page.put_edge")), result([el("span", { "data-edge": [channel, y, x].join() }, num(n.value))], total, channel, y, x));
  }
  var source = n.from[input], before = token != null && source.across && token < source.prefix; // beside the grid: on no map
  if (token != null) at = source.across ? [at[0], Math.floor((token - source.prefix) / source.across), (token - source.prefix) % source.across] : [at[0], 0, token];
  var whose = source.place == null ? t("page.put_unseen", { n: input + 1 }) : [source.moved ? [t("page.put_moved", { n: input + 1 }), " "] : null, whence(source, at, before)];
  var here = source.place == null || source.moved || before ? { "data-input": [input, at[0], before ? -1 : at[1], before ? token : at[2]].join() } : { "data-from": [source.place].concat(at).join() };
  return el("div", null, el("p", null, t("page.put")), el("p", here, before ? t("page.put_token", { channel: at[0], token: token }) : t("page.put_place", { channel: at[0], row: at[1], column: at[2] }), " ", whose),
    result([num(total)], total, channel, y, x));
}
// The layer it was read from; a click walks to that very unit.
function whence(source, at, before) {
  if (source.place < 0) return t("page.the_picture");
  return el("a", {
    href: "#layer", onclick: function (event) {
      event.preventDefault();
      if (!source.moved && !before) { state.y = at[1]; state.x = at[2]; }
      choose(source.place, source.moved ? null : at[0], !source.moved && !before);
    }
  }, STEPS[source.place].key);
}

// Beside the script of a look inside: where its maps, numbers and gradients come from when this server computes them.

(function () {
  var home = location.pathname.replace(/\/frame$/, ""), told = false;
  // What went wrong, once, at the top: without its maps the rest of the page says nothing.
  function tell(text) {
    if (told || !document.querySelector("main")) return;
    told = true;
    var line = document.createElement("p");
    line.className = "warn"; line.setAttribute("role", "alert"); line.textContent = text;
    document.querySelector("main").prepend(line);
  }
  async function ask(path) {
    var reply = await fetch(home + path, { headers: { "x-omma-language": document.documentElement.dataset.lang }, credentials: "same-origin", cache: "no-store" });
    if (reply.ok) return reply;
    var said = await reply.json().catch(function () { return {}; });
    throw new Error(said.error || String(reply.status));
  }
  window.ommaPart = function (id) {
    return ask("/part/" + id).then(function (reply) { return reply.arrayBuffer(); }).then(function (found) { return new Uint8Array(found); })
      .catch(function (error) { tell(error.message); throw error; });
  };
  window.ommaUnit = function (step, channel, y, x, every) {
    return ask("/unit/" + [step, channel, y, x].join("/") + (every ? "?every=1" : "")).then(function (reply) { return reply.json(); });
  };
  window.ommaAsk = function (about, at) {
    return ask("/back?" + new URLSearchParams({ about: about, at: at })).then(function (reply) { return reply.json(); });
  };
})();

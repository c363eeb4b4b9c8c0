(function () {
  var root = document.documentElement;
  function kept(key, value) {
    try { if (value === undefined) return localStorage.getItem(key); localStorage.setItem(key, value); } catch (e) { return null; }
  }
  function tongue(name) { root.dataset.lang = name; root.lang = name; }
  var known = kept("omma-lang");
  if (known === "en" || known === "zh") tongue(known);
  var theme = kept("omma-theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  document.getElementById("tongue").addEventListener("click", function () {
    var next = root.dataset.lang === "zh" ? "en" : "zh"; tongue(next); kept("omma-lang", next);
  });
  document.getElementById("theme").addEventListener("click", function () {
    var dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark"; kept("omma-theme", root.dataset.theme);
  });
  document.querySelectorAll(".slide").forEach(function (one) {
    var above = one.querySelector(".above");
    one.querySelector("input").addEventListener("input", function (event) {
      above.style.clipPath = "inset(0 0 0 " + event.target.value + "%)";
    });
  });
})();

// Before anything is painted: the theme and language a reader chose last, kept under the same names as in reports.
(function () {
  var root = document.documentElement;
  try {
    var theme = localStorage.getItem("omma-theme"), tongue = localStorage.getItem("omma-lang");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    if (tongue === "en" || tongue === "zh") { root.dataset.lang = tongue; root.lang = tongue; }
  } catch (e) { /* no storage: the defaults hold */ }
})();

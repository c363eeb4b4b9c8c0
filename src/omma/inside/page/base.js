// What everything stands on: the page's data, words in both languages, elements made of text only, packed parts.
var DATA = JSON.parse(document.getElementById("data").textContent);
var WORDS = JSON.parse(document.getElementById("words").textContent);
var STEPS = DATA.steps;
var state = { step: null, channel: null, y: 0, x: 0, ask: 0, shown: 48, sort: "strength", find: "", moment: 0, token: 0, time: 0, seek: "", about: "" };

function fill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, function (all, name) { return values && name in values ? String(values[name]) : all; });
}
function say(key, values) { return fill(WORDS[key][document.documentElement.dataset.lang === "zh" ? "zh" : "en"], values); }
// A sentence in both languages, of which the page shows one.
function t(key, values) {
  return ["en", "zh"].map(function (tongue) { return el("span", { "class": tongue, lang: tongue }, fill(WORDS[key][tongue], values)); });
}
function both(pair) { return ["en", "zh"].map(function (tongue) { return el("span", { "class": tongue, lang: tongue }, pair[tongue]); }); }

// Children are text or elements; nothing that comes from outside is ever read as HTML.
function el(tag, attributes) {
  var made = document.createElement(tag);
  for (var name in attributes || {}) {
    if (name.slice(0, 2) === "on") made.addEventListener(name.slice(2), attributes[name]);
    else if (name === "style") made.style.cssText = attributes[name]; // as an attribute the page's own policy would refuse it
    else if (attributes[name] === true) made.setAttribute(name, "");
    else if (attributes[name] !== false && attributes[name] != null) made.setAttribute(name, attributes[name]);
  }
  add(made, Array.prototype.slice.call(arguments, 2));
  return made;
}
function add(parent, children) {
  children.forEach(function (child) {
    if (Array.isArray(child)) add(parent, child);
    else if (child != null && child !== false) parent.append(child instanceof Node ? child : String(child));
  });
  return parent;
}
function put(id, children) { var place = document.getElementById(id); place.replaceChildren(); return add(place, children); }

// Words inside attributes cannot lie side by side: they are written again when the language changes.
var labels = [];
function label(element, attribute, key, values) {
  labels.push([element, attribute, key, values]);
  if (attribute === "text") element.textContent = say(key, values); else element.setAttribute(attribute, say(key, values));
  return element;
}
new MutationObserver(function () {
  labels = labels.filter(function (one) { return one[0].isConnected; });
  labels.forEach(function (one) {
    if (one[1] === "text") one[0].textContent = say(one[2], one[3]); else one[0].setAttribute(one[1], say(one[2], one[3]));
  });
}).observe(document.documentElement, { attributes: true, attributeFilter: ["data-lang"] });

// Numbers: five digits that count; of counts the usual shortenings.
function num(value) { return value == null ? "–" : value === 0 ? "0" : Number(value).toPrecision(5); }
function brief(value) { return value == null ? "–" : value === 0 ? "0" : Number(Number(value).toPrecision(3)).toString(); }
function count(value) {
  if (value < 1e4) return String(value);
  return value < 1e6 ? brief(value / 1e3) + " k" : value < 1e9 ? brief(value / 1e6) + " M" : brief(value / 1e9) + " G";
}
function sides(step) { return step.shape.slice(step.kind === "sbc" ? 0 : 1).join(" × "); }

// Parts of the page, unpacked when they are looked at. Elsewhere they may be fetched instead.
var unpacked = new Map();
function part(id) {
  if (!unpacked.has(id)) unpacked.set(id, (window.ommaPart || packedPart)(id));
  return unpacked.get(id);
}
// Two letters hold 13 bits: see parts.py.
var LETTER = new Int16Array(128);
for (var code = 33, letters = 0; code < 127; code++) if ("<&\\".indexOf(String.fromCharCode(code)) < 0) LETTER[code] = letters++;
function packedPart(id) {
  var text = document.getElementById("p" + id).textContent, start = text.indexOf(":") + 1, bytes = new Uint8Array(Number(text.slice(0, start - 1))), held = 0, bits = 0, at = 0;
  for (var i = start; i < text.length; i += 2) {
    held = (held << 13 | LETTER[text.charCodeAt(i)] * 91 + LETTER[text.charCodeAt(i + 1)]) & 0xfffff; bits += 13;
    while (bits >= 8) { bits -= 8; bytes[at++] = held >> bits & 255; } // what is behind the end is not kept
  }
  var stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer().then(function (found) { return new Uint8Array(found); });
}
var asFloats = new Map();
function floats(id) {
  if (!asFloats.has(id)) {
    asFloats.set(id, part(id).then(function (bytes) {
      var n = bytes.length / 4, turned = new Uint8Array(bytes.length);
      for (var b = 0; b < 4; b++) for (var i = 0; i < n; i++) turned[4 * i + b] = bytes[b * n + i];
      return new Float32Array(turned.buffer);
    }));
  }
  return asFloats.get(id);
}
var asBytes = new Map();
function bytes8(id, width) {
  if (!asBytes.has(id)) {
    asBytes.set(id, part(id).then(function (packed) {
      if (width < 4) return packed;
      var found = new Uint8Array(packed);
      for (var i = 0; i < found.length; i++) if (i % width) found[i] = (found[i] + found[i - 1]) & 255;
      return found;
    }));
  }
  return asBytes.get(id);
}
// A list in the JSON, or a part: both are arrays of numbers.
function numbers(value) { return Array.isArray(value) ? Promise.resolve(value) : value ? floats(value.part) : Promise.resolve(null); }

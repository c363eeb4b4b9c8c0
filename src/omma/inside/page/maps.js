// Maps as pictures: 8-bit levels, what they mean, and their colours.
function erf(x) {
  // Abramowitz & Stegun 7.1.26: wrong by less than 2e-7, and only colours are made of it.
  var s = x < 0 ? -1 : 1, a = Math.abs(x), u = 1 / (1 + 0.3275911 * a);
  return s * (1 - (((((1.061405429 * u - 1.453152027) * u) + 1.421413741) * u - 0.284496736) * u + 0.254829592) * u * Math.exp(-a * a));
}
function sigmoid(x) { return 1 / (1 + Math.exp(-x)); }
var ACTS = {
  relu: function (x) { return Math.max(0, x); },
  relu6: function (x) { return Math.min(6, Math.max(0, x)); },
  leaky_relu: function (x, o) { return x < 0 ? x * o.slope : x; },
  prelu: function (x, o) { return x < 0 ? x * o.slope : x; },
  elu: function (x, o) { return x < 0 ? o.slope * (Math.exp(x) - 1) : x; },
  celu: function (x) { return x < 0 ? Math.exp(x) - 1 : x; },
  selu: function (x) { return 1.0507009873554805 * (x < 0 ? 1.6732632423543772 * (Math.exp(x) - 1) : x); },
  sigmoid: sigmoid,
  logsigmoid: function (x) { return -Math.log1p(Math.exp(-x)); },
  tanh: Math.tanh,
  silu: function (x) { return x * sigmoid(x); },
  mish: function (x) { return x * Math.tanh(Math.log1p(Math.exp(x))); },
  softplus: function (x) { return x > 20 ? x : Math.log1p(Math.exp(x)); },
  hardswish: function (x) { return x * Math.min(6, Math.max(0, x + 3)) / 6; },
  hardsigmoid: function (x) { return Math.min(6, Math.max(0, x + 3)) / 6; },
  hardtanh: function (x, o) { return Math.min(o.high, Math.max(o.low, x)); },
  gelu: function (x, o) {
    return o && o.approximate === "tanh" ? 0.5 * x * (1 + Math.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))) : 0.5 * x * (1 + erf(x / Math.SQRT2));
  }
};
// {pixels, h, w, values(channel) → what each of 256 levels means}
async function levels(pic) {
  if (pic.of != null) {
    var below = await levels(STEPS[pic.of].pic);
    return {
      pixels: below.pixels, h: below.h, w: below.w,
      values: function (channel) {
        return below.values(channel).map(function (value) {
          return pic.gain ? value * pic.gain[channel] + pic.lift[channel] : ACTS[pic.name](value, pic);
        });
      }
    };
  }
  return {
    pixels: await bytes8(pic.part, pic.w), h: pic.h, w: pic.w,
    values: function (channel) {
      var low = pic.low[channel], wide = pic.high[channel] - low, found = new Float32Array(256);
      for (var i = 0; i < 256; i++) found[i] = low + wide * i / 255;
      return found;
    }
  };
}
function dark() { return getComputedStyle(document.documentElement).getPropertyValue("--dark").trim() === "1"; }
// 0 is the paper, what speaks for something is warm, what speaks against it cold.
function colours(values) {
  var most = 0, ends = dark() ? [[30, 34, 40], [255, 190, 110], [110, 200, 255]] : [[250, 250, 249], [176, 60, 4], [0, 84, 140]];
  values.forEach(function (value) { if (Math.abs(value) > most) most = Math.abs(value); });
  var found = new Uint8Array(values.length * 3);
  for (var i = 0; i < values.length; i++) {
    var share = most ? values[i] / most : 0, end = ends[share < 0 ? 2 : 1];
    share = Math.pow(Math.abs(share), 0.75);
    for (var c = 0; c < 3; c++) found[3 * i + c] = Math.round(ends[0][c] + (end[c] - ends[0][c]) * share);
  }
  return found;
}
function paint(canvas, height, width, colour) {
  canvas.height = height; canvas.width = width;
  var drawing = canvas.getContext("2d"), image = drawing.createImageData(width, height);
  for (var i = 0; i < height * width; i++) {
    var rgb = colour(i);
    image.data[4 * i] = rgb[0]; image.data[4 * i + 1] = rgb[1]; image.data[4 * i + 2] = rgb[2]; image.data[4 * i + 3] = 255;
  }
  drawing.putImageData(image, 0, 0);
  return canvas;
}
async function drawMap(canvas, pic, channel) {
  var found = await levels(pic), from = channel * found.h * found.w, table = found.values(channel), used = new Array(256).fill(0);
  // Only levels that occur: what is never there may not make the rest pale.
  for (var i = 0; i < found.h * found.w; i++) used[found.pixels[from + i]] = table[found.pixels[from + i]];
  var shades = colours(used);
  return paint(canvas, found.h, found.w, function (i) { var at = 3 * found.pixels[from + i]; return shades.subarray(at, at + 3); });
}
async function drawColour(canvas, picture) {
  var pixels = await bytes8(picture.rgb, picture.w), n = picture.h * picture.w;
  return paint(canvas, picture.h, picture.w, function (i) { return [pixels[i], pixels[n + i], pixels[2 * n + i]]; });
}
async function drawFloats(canvas, values, height, width) {
  var shades = colours(Array.from(values));
  return paint(canvas, height, width, function (i) { return shades.subarray(3 * i, 3 * i + 3); });
}
// Where an exact number is kept: {value} or nothing, where it was left out.
function exactOf(read) { return read.own || (read.picture ? DATA.picture.exact : STEPS[read.step].exact); }
function sizeOf(read) {
  if (read.own) return null;
  return read.picture ? [DATA.picture.tall, DATA.picture.wide] : [STEPS[read.step].h, STEPS[read.step].w];
}
async function lookup(read) {
  var exact = exactOf(read), values = exact.values || await floats(exact.part), places = new Map();
  exact.channels.forEach(function (channel, place) { places.set(channel, place); });
  return function (channel, y, x) {
    var place = places.get(channel);
    if (read.own && exact.h === 1) y = exact.y;
    if (read.own && exact.w === 1) x = exact.x;
    if (place === undefined || y < exact.y || x < exact.x || y >= exact.y + exact.h || x >= exact.x + exact.w) return undefined;
    return values[(place * exact.h + y - exact.y) * exact.w + x - exact.x];
  };
}
// The picture with boxes on it: {top, left, bottom, right} in pixels of the frame, both ends included.
async function drawPicture(canvas, picture, boxes) {
  await drawColour(canvas, picture);
  var times = Math.max(1, Math.round(320 / Math.max(picture.h, picture.w))), small = document.createElement("canvas");
  small.width = canvas.width; small.height = canvas.height; small.getContext("2d").drawImage(canvas, 0, 0);
  canvas.width = small.width * times; canvas.height = small.height * times;
  var drawing = canvas.getContext("2d"), per = [canvas.height / picture.of[0], canvas.width / picture.of[1]];
  drawing.imageSmoothingEnabled = false; drawing.drawImage(small, 0, 0, canvas.width, canvas.height);
  (boxes || []).forEach(function (box) {
    var y = Math.max(0, box.top) * per[0], x = Math.max(0, box.left) * per[1];
    var tall = Math.min(canvas.height, (box.bottom + 1) * per[0]) - y, wide = Math.min(canvas.width, (box.right + 1) * per[1]) - x;
    drawing.lineWidth = 4; drawing.strokeStyle = "#000"; drawing.strokeRect(x, y, wide, tall);
    drawing.lineWidth = 2; drawing.strokeStyle = "#ffd400"; drawing.strokeRect(x, y, wide, tall);
  });
  return canvas;
}
function sees(field, y, x, frame) {
  if (!field) return null;
  if (field.whole) return { top: 0, left: 0, bottom: frame[0] - 1, right: frame[1] - 1 };
  function low(side, i) { return Math.floor(i * side[0] + side[1] + 1e-6); }
  function high(side, i) { return Math.ceil(i * side[0] + side[2] - 1e-6); }
  return { top: low(field.down, y), left: low(field.across, x), bottom: high(field.down, y), right: high(field.across, x) };
}

// One canvas to draw on: boxes, outlines, a brush and an eraser, by mouse, pen or finger; zoom and pan. It keeps nothing: strokes go out.

const COLOURS = ["#0b8fc9", "#e0702a", "#5d9c32", "#a25ac2", "#d6455d", "#1fa38c", "#c9a227", "#6b7bd6", "#b0683e", "#4aa3df", "#8f9b1e", "#d65cae"];
const GRIP = 9;

export const colourOf = (names, name) => COLOURS[Math.max(0, names.indexOf(name)) % COLOURS.length];

export class Canvas {
  constructor(element, { stroke, chosen, changed }) {
    this.element = element; this.pen = element.getContext("2d");
    this.stroke = stroke; this.chosen = chosen; this.changed = changed;
    this.tool = "box"; this.label = ""; this.names = []; this.things = []; this.width = 24; this.selected = null; this.hidden = false;
    this.image = null; this.size = [1, 1]; this.scale = 1; this.left = 0; this.top = 0;
    this.fingers = new Map(); this.now = null; this.ring = []; this.at = null; this.guesses = []; this.waiting = [];
    element.addEventListener("pointerdown", (event) => this.down(event));
    element.addEventListener("pointermove", (event) => this.move(event));
    for (const kind of ["pointerup", "pointercancel"]) element.addEventListener(kind, (event) => this.up(event));
    element.addEventListener("pointerleave", () => { this.at = null; this.draw(); });
    element.addEventListener("dblclick", () => this.close());
    element.addEventListener("contextmenu", (event) => event.preventDefault());
    element.addEventListener("wheel", (event) => { event.preventDefault(); this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.offsetX, event.offsetY); }, { passive: false });
    this.sees = new ResizeObserver(() => this.fit());
    this.sees.observe(element);
  }

  end() { this.sees.disconnect(); }

  show(image, width, height) {
    this.image = image; this.size = [width, height]; this.ring = []; this.now = null; this.selected = null; this.guesses = []; this.waiting = [];
    this.fit();
  }

  // The whole picture, as large as there is room.
  fit() {
    const ratio = window.devicePixelRatio || 1, wide = this.element.clientWidth, high = this.element.clientHeight;
    this.element.width = Math.round(wide * ratio); this.element.height = Math.round(high * ratio); this.ratio = ratio;
    this.scale = Math.min((wide - 16) / this.size[0], (high - 16) / this.size[1]);
    if (!(this.scale > 0)) this.scale = 1;
    this.left = (wide - this.size[0] * this.scale) / 2; this.top = (high - this.size[1] * this.scale) / 2;
    this.draw();
  }

  zoom(factor, x = this.element.clientWidth / 2, y = this.element.clientHeight / 2) {
    const next = Math.min(64, Math.max(0.02, this.scale * factor)), real = next / this.scale;
    this.left = x - (x - this.left) * real; this.top = y - (y - this.top) * real; this.scale = next;
    this.draw();
  }

  // From the screen to pixels of the picture.
  place(event) { return [(event.offsetX - this.left) / this.scale, (event.offsetY - this.top) / this.scale]; }

  kept([x, y]) { return [Math.min(this.size[0], Math.max(0, x)), Math.min(this.size[1], Math.max(0, y))]; }

  down(event) {
    this.element.setPointerCapture(event.pointerId);
    this.element.focus({ preventScroll: true });
    this.fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    if (this.fingers.size === 2) { this.now = { do: "pinch", ...this.pinch() }; this.draw(); return; }
    const at = this.place(event);
    if (event.button === 1 || event.button === 2 || this.tool === "pan" || this.panning) { this.now = { do: "pan", x: event.offsetX, y: event.offsetY, left: this.left, top: this.top }; return; }
    if (this.tool === "polygon") { this.point(at); return; }
    const grip = this.grip(at);
    if (grip) { this.now = grip; return; }
    if (this.tool === "select") { this.choose(this.hit(at)); const thing = this.one(); if (thing && thing.box) this.now = { do: "shift", of: thing.key, from: at, box: [...thing.box] }; return; }
    if (!this.label && this.tool !== "erase") { this.chosen(null); return; }
    if (this.tool === "box") this.now = { do: "box", from: this.kept(at), to: this.kept(at) };
    if (this.tool === "brush" || this.tool === "erase") this.now = { do: "brush", points: [at] };
    this.draw();
  }

  move(event) {
    const at = this.place(event);
    this.at = at;
    if (this.fingers.has(event.pointerId)) this.fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    const now = this.now;
    if (now && now.do === "pinch" && this.fingers.size === 2) {
      const { gap, x, y } = this.pinch();
      this.left += x - now.x; this.top += y - now.y;
      this.zoom(gap / now.gap, x, y);
      this.now = { do: "pinch", gap, x, y };
    } else if (now && now.do === "pan") { this.left = now.left + event.offsetX - now.x; this.top = now.top + event.offsetY - now.y; }
    else if (now && now.do === "box") now.to = this.kept(at);
    else if (now && now.do === "brush") {
      for (const one of event.getCoalescedEvents ? event.getCoalescedEvents() : [event]) {
        const point = this.place(one), last = now.points.at(-1);
        if (Math.hypot(point[0] - last[0], point[1] - last[1]) * this.scale >= 1.5) now.points.push(point);
      }
    } else if (now && now.do === "resize") { now.box = [...now.was]; for (const i of now.sides) now.box[i] = this.kept(at)[i % 2]; }
    else if (now && now.do === "shift") { const by = [at[0] - now.from[0], at[1] - now.from[1]]; now.moved = now.box.map((value, i) => value + by[i % 2]); }
    this.draw();
  }

  up(event) {
    this.fingers.delete(event.pointerId);
    const now = this.now;
    if (!now) return;
    this.now = null;
    if (event.type === "pointercancel" || now.do === "pinch" || now.do === "pan") { this.draw(); return; }
    if (now.do === "box") {
      const [x1, y1] = now.from, [x2, y2] = now.to;
      if (Math.abs(x2 - x1) * this.scale > 4 && Math.abs(y2 - y1) * this.scale > 4) this.give({ do: "add", label: this.label, box: [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)] });
      else { const thing = this.hit(now.from); if (thing) this.choose(thing); }
    } else if (now.do === "brush") {
      const erase = this.tool === "erase";
      this.give({ do: "brush", points: now.points.map(([x, y]) => [round(x), round(y)]), width: this.width, erase, ...(erase ? {} : { label: this.label }), ...(this.selected && !String(this.selected).startsWith("m") ? { on: this.selected } : {}) });
    } else if (now.do === "resize" && now.box) this.give({ do: "set", of: now.of, box: now.box });
    else if (now.do === "shift" && now.moved) this.give({ do: "set", of: now.of, box: now.moved });
    this.draw();
  }

  give(body) { this.waiting.push({ ...body, colour: colourOf(this.names, body.label) }); this.stroke(body); this.draw(); }

  point(at) {
    if (!this.label) { this.chosen(null); return; }
    const first = this.ring[0];
    if (first && this.ring.length > 2 && Math.hypot(at[0] - first[0], at[1] - first[1]) * this.scale < GRIP) { this.close(); return; }
    this.ring.push(this.kept(at));
    this.draw();
  }

  close() {
    const ring = this.ring.filter((one, i) => i === 0 || one[0] !== this.ring[i - 1][0] || one[1] !== this.ring[i - 1][1]);
    this.ring = [];
    if (this.tool === "polygon" && ring.length > 2) this.give({ do: "add", label: this.label, points: ring });
    else this.draw();
  }

  cancel() { this.ring = []; this.now = null; this.selected = null; this.chosen(null, true); this.draw(); }

  choose(thing) { this.selected = thing && !thing.fixed ? thing.key : null; this.chosen(thing && !thing.fixed ? thing : null, true); this.draw(); }

  one() { return this.things.find((thing) => thing.key === this.selected); }

  pinch() {
    const [[ax, ay], [bx, by]] = [...this.fingers.values()];
    return { gap: Math.max(1, Math.hypot(ax - bx, ay - by)), x: (ax + bx) / 2, y: (ay + by) / 2 };
  }

  // A corner or side of the chosen box under the pointer.
  grip(at) {
    const thing = this.one();
    if (!thing || !thing.box) return null;
    const near = (a, b) => Math.abs(a - b) * this.scale < GRIP, [x1, y1, x2, y2] = thing.box;
    const inX = at[0] > x1 - GRIP / this.scale && at[0] < x2 + GRIP / this.scale, inY = at[1] > y1 - GRIP / this.scale && at[1] < y2 + GRIP / this.scale;
    const sides = [near(at[0], x1) && inY ? 0 : null, near(at[0], x2) && inY ? 2 : null, near(at[1], y1) && inX ? 1 : null, near(at[1], y2) && inX ? 3 : null].filter((one) => one !== null);
    return sides.length ? { do: "resize", of: thing.key, sides, was: [...thing.box], box: null } : null;
  }

  // The smallest thing under a point.
  hit([x, y]) {
    const found = this.things.filter((thing) => thing.box ? x >= thing.box[0] && x <= thing.box[2] && y >= thing.box[1] && y <= thing.box[3] : thing.rings && inside(thing.rings, x, y));
    const area = (thing) => thing.box ? (thing.box[2] - thing.box[0]) * (thing.box[3] - thing.box[1]) : thing.rings[0]?.length || 0;
    return found.sort((a, b) => area(a) - area(b))[0] || null;
  }

  draw() {
    const pen = this.pen;
    pen.setTransform(this.ratio || 1, 0, 0, this.ratio || 1, 0, 0);
    pen.clearRect(0, 0, this.element.clientWidth, this.element.clientHeight);
    if (!this.image) return;
    pen.imageSmoothingEnabled = this.scale < 3;
    pen.drawImage(this.image, this.left, this.top, this.size[0] * this.scale, this.size[1] * this.scale);
    if (this.hidden) return;
    for (const thing of this.guesses) this.thing(thing, true);
    for (const thing of this.things) this.thing(thing, false);
    for (const body of this.waiting) this.pending(body);
    this.making();
  }

  thing(thing, guess) {
    const pen = this.pen, colour = colourOf(this.names, thing.label), on = thing.key === this.selected && !guess;
    let box = thing.box;
    const now = this.now;
    if (now && now.of === thing.key) box = (now.do === "resize" && now.box) || (now.do === "shift" && now.moved) || box;
    pen.lineWidth = on ? 3 : 2;
    pen.setLineDash(guess ? [6, 4] : []);
    pen.strokeStyle = colour; pen.fillStyle = colour;
    if (box) {
      const [x1, y1, x2, y2] = [this.x(box[0]), this.y(box[1]), this.x(box[2]), this.y(box[3])];
      pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
      pen.globalAlpha = on ? 0.18 : 0.08; pen.fillRect(x1, y1, x2 - x1, y2 - y1); pen.globalAlpha = 1;
      this.name(thing.label, x1, y1, colour);
      if (on) for (const [x, y] of [[x1, y1], [x2, y1], [x1, y2], [x2, y2]]) { pen.fillStyle = "#fff"; pen.fillRect(x - 4, y - 4, 8, 8); pen.strokeRect(x - 4, y - 4, 8, 8); }
    } else if (thing.rings || thing.points) {
      const path = this.path(thing.rings || [thing.points]);
      pen.globalAlpha = on ? 0.5 : 0.33; pen.fill(path, "evenodd"); pen.globalAlpha = 1; pen.stroke(path);
      const top = (thing.rings || [thing.points])[0]?.reduce((best, one) => (one[1] < best[1] ? one : best));
      if (top && this.things.length < 40) this.name(thing.label, this.x(top[0]), this.y(top[1]), colour);
    }
    pen.setLineDash([]);
  }

  // What is on its way to the database, until the answer comes.
  pending(body) {
    if (body.box && body.do === "add") this.thing({ label: body.label, box: body.box }, false);
    else if (body.points && body.do === "add") this.thing({ label: body.label, points: body.points }, false);
    else if (body.do === "brush") this.line(body.points, body.width, body.erase ? "#88888888" : `${body.colour}88`);
  }

  making() {
    const pen = this.pen, now = this.now, colour = colourOf(this.names, this.label);
    if (now && now.do === "box") { pen.strokeStyle = colour; pen.lineWidth = 2; pen.strokeRect(this.x(now.from[0]), this.y(now.from[1]), (now.to[0] - now.from[0]) * this.scale, (now.to[1] - now.from[1]) * this.scale); }
    if (now && now.do === "brush") this.line(now.points, this.width, this.tool === "erase" ? "#ffffff99" : `${colour}88`);
    if (this.ring.length) {
      const all = this.at ? [...this.ring, this.at] : this.ring;
      pen.strokeStyle = colour; pen.lineWidth = 2; pen.beginPath();
      all.forEach(([x, y], i) => (i ? pen.lineTo(this.x(x), this.y(y)) : pen.moveTo(this.x(x), this.y(y))));
      pen.stroke();
      for (const [x, y] of this.ring) { pen.fillStyle = "#fff"; pen.beginPath(); pen.arc(this.x(x), this.y(y), 4, 0, 7); pen.fill(); pen.stroke(); }
    }
    if ((this.tool === "brush" || this.tool === "erase") && this.at) {
      pen.strokeStyle = "#fff"; pen.lineWidth = 1.5; pen.beginPath(); pen.arc(this.x(this.at[0]), this.y(this.at[1]), Math.max(2, (this.width / 2) * this.scale), 0, 7); pen.stroke();
      pen.strokeStyle = "#000"; pen.lineWidth = 0.5; pen.stroke();
    }
    if (this.tool === "box" && this.at && !now) {
      pen.strokeStyle = "#8888"; pen.lineWidth = 1; pen.beginPath();
      pen.moveTo(this.x(this.at[0]), this.top); pen.lineTo(this.x(this.at[0]), this.top + this.size[1] * this.scale);
      pen.moveTo(this.left, this.y(this.at[1])); pen.lineTo(this.left + this.size[0] * this.scale, this.y(this.at[1])); pen.stroke();
    }
  }

  line(points, width, colour) {
    const pen = this.pen;
    pen.strokeStyle = colour; pen.lineWidth = Math.max(1, width * this.scale); pen.lineCap = pen.lineJoin = "round"; pen.beginPath();
    points.forEach(([x, y], i) => (i ? pen.lineTo(this.x(x), this.y(y)) : pen.moveTo(this.x(x), this.y(y))));
    if (points.length === 1) pen.lineTo(this.x(points[0][0]) + 0.1, this.y(points[0][1]));
    pen.stroke();
    pen.lineCap = "butt";
  }

  name(text, x, y, colour) {
    const pen = this.pen;
    pen.font = "12px system-ui, sans-serif";
    const wide = pen.measureText(text).width + 8, high = y > 18 ? y - 17 : y;
    pen.fillStyle = colour; pen.fillRect(x - 1, high, wide, 17); pen.fillStyle = "#fff"; pen.fillText(text, x + 3, high + 12.5);
  }

  path(rings) {
    const path = new Path2D();
    for (const ring of rings) { ring.forEach(([x, y], i) => (i ? path.lineTo(this.x(x), this.y(y)) : path.moveTo(this.x(x), this.y(y)))); path.closePath(); }
    return path;
  }

  x(value) { return this.left + value * this.scale; }
  y(value) { return this.top + value * this.scale; }
}

const round = (value) => Math.round(value * 100) / 100;

function inside(rings, x, y) {
  let odd = false;
  for (const ring of rings) for (let i = 0, j = ring.length - 1; i < ring.length; j = i, i += 1) {
    const [ax, ay] = ring[i], [bx, by] = ring[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
  }
  return odd;
}

// Thousands of pictures, of which only those in sight are in the page; names and versions are asked for in blocks.

import { fill, h } from "./core.js";

const BLOCK = 150, AHEAD = 4;

// Args: where it stands, {life, sheet: places → {place: its small picture as a data address}, items: places → rows, open: place in the list
// → nothing, mark: row → element}. Small pictures come many at a time: a request for each would cost more than the picture.
export function gallery(parent, { life, sheet, items, open, mark }) {
  const list = h("div", { class: "gallery", role: "grid" });
  parent.append(list);
  let places = [], groups = null, across = 1, size = 120, rows = new Map(), known = new Map(), asked = new Set(), waiting = 0, wanted = new Map(), fetching = 0;

  function measure() {
    const wide = list.clientWidth || 300, least = wide < 500 ? 92 : 132, gap = 8;
    across = Math.max(2, Math.floor((wide + gap) / (least + gap)));
    size = Math.floor((wide + gap) / across) - gap;
    list.style.height = `${Math.ceil(places.length / across) * (size + 34)}px`;
    for (const row of rows.values()) row.remove();
    rows.clear();
    draw();
  }

  function draw() {
    if (life.over) return;
    const high = size + 34, top = list.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / high) - AHEAD), last = Math.min(Math.ceil(places.length / across), Math.ceil((innerHeight - top) / high) + AHEAD);
    for (const [at, row] of rows) if (at < first || at >= last) { row.remove(); rows.delete(at); }
    // What is in sight first, then what is a little ahead: the browser asks for pictures in the order they come.
    const middle = (innerHeight / 2 - top) / high, missing = [];
    for (let at = first; at < last; at += 1) if (!rows.has(at)) missing.push(at);
    for (const at of missing.sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle))) { const row = make(at, high); rows.set(at, row); list.append(row); }
    need(first * across, last * across);
    pictures(); pictures();
  }

  function make(at, high) {
    const row = h("div", { class: "gallery-row", role: "row" });
    row.style.transform = `translateY(${at * high}px)`;
    row.style.gridTemplateColumns = `repeat(${across}, ${size}px)`;
    for (let i = at * across; i < Math.min(places.length, (at + 1) * across); i += 1) row.append(cell(i));
    return row;
  }

  function cell(i) {
    const place = places[i], image = h("img", { alt: "", draggable: "false" });
    image.style.width = image.style.height = `${size}px`;
    const text = h("span", { class: "under" }), made = h("button", { type: "button", class: "cell", role: "gridcell", "data-at": i, onclick: () => open(i) }, image, text);
    if (groups) made.classList.add(groups[i] % 2 ? "odd-group" : "even-group");
    made.paint = () => {
      const about = known.get(place);
      if (!about || made.title) return;
      made.title = about.id;
      image.alt = about.id;
      text.textContent = about.text || about.id.split("/").pop();
      text.classList.toggle("unlabelled", !about.text);
      const badge = mark && mark(about, i);
      if (badge) made.append(badge);
    };
    made.paint();
    wanted.set(place, image);
    return made;
  }

  // The pictures of what was made last, those in sight first; what has left the page meanwhile is not asked for.
  async function pictures() {
    for (const [place, image] of wanted) if (!image.isConnected) wanted.delete(place);
    if (!wanted.size || fetching >= 2) return;
    const now = [...wanted].slice(0, 2 * across);
    for (const [place] of now) wanted.delete(place);
    fetching += 1;
    try {
      const found = await sheet(now.map(([place]) => place));
      for (const [place, image] of now) if (found[place]) image.src = found[place];
    } catch (error) { if (error.name !== "AbortError" && !life.over) life.later(1500, () => { for (const [place, image] of now) if (image.isConnected) wanted.set(place, image); pictures(); }); }
    fetching -= 1;
    if (!life.over) pictures();
  }

  // Blocks around what is in sight, the one in sight first, those a little ahead of the finger after it.
  function need(from, to) {
    const blocks = [], middle = (from + to) / 2 / BLOCK - 0.5;
    for (let block = Math.max(0, Math.floor((from - BLOCK) / BLOCK)); block * BLOCK < Math.min(places.length, to + BLOCK); block += 1) if (!asked.has(block)) blocks.push(block);
    for (const block of blocks.sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle))) {
      asked.add(block);
      fetchBlock(block, asked);
    }
  }

  async function fetchBlock(block, mine) {
    const wanted = places.slice(block * BLOCK, (block + 1) * BLOCK).filter((place) => !known.has(place));
    if (!wanted.length) return;
    waiting += 1;
    try {
      for (const about of await items(wanted)) known.set(about.place, about);
      const middle = (innerHeight / 2 - list.getBoundingClientRect().top) / (size + 34);
      for (const [, row] of [...rows].sort(([a], [b]) => Math.abs(a - middle) - Math.abs(b - middle))) for (const one of row.children) one.paint();
    } catch (error) { mine.delete(block); if (error.name !== "AbortError" && !life.over) life.later(1500, draw); } finally { waiting -= 1; }
  }

  let due = false;
  const soon = () => { if (!due) { due = true; requestAnimationFrame(() => { due = false; draw(); }); } };
  life.on(window, "scroll", soon, { passive: true });
  const sees = new ResizeObserver(() => { if (list.clientWidth && places.length) measure(); });
  sees.observe(list);
  life.ends.push(() => sees.disconnect());
  life.on(list, "keydown", (event) => {
    const at = Number(document.activeElement && document.activeElement.dataset.at);
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
    if (!step || Number.isNaN(at)) return;
    const next = Math.min(places.length - 1, Math.max(0, at + step));
    event.preventDefault();
    const top = list.getBoundingClientRect().top + Math.floor(next / across) * (size + 34);
    if (top < 120 || top > innerHeight - size - 80) { window.scrollBy(0, top - innerHeight / 2); draw(); }
    const found = list.querySelector(`[data-at="${next}"]`);
    if (found) found.focus({ preventScroll: true });
  });
  return {
    show(next, its = null) { places = next; groups = its; asked = new Set(); fill(list); rows.clear(); measure(); },
    forget() { known = new Map(); asked = new Set(); for (const row of rows.values()) row.remove(); rows.clear(); draw(); },
    about: (i) => known.get(places[i]), get places() { return places; }, get busy() { return waiting > 0; },
  };
}

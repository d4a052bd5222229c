"use strict";
// Draws a record of the trace event format: a band for the groups of one place, in it lanes, in these the
// children, and in those their polls. Every redraw looks at what is visible alone: by binary search in time,
// and at most once for each pixel of a lane.

const ROW = 18, HEAD = 22, RULER = 24, POLL = 5;
const SIGNS = { failed: "✕ ", panicked: "‼ ", cancelled: "⊘ ", unfinished: "… " };

// ---- reading ----

/// The events; the record of a program that was killed lacks its end.
function parse(text) {
  const whole = text.slice(0, text.lastIndexOf("\n")).replace(/,\s*$/, "");
  for (const attempt of [text, text + "]", whole + "]"]) {
    try {
      const parsed = JSON.parse(attempt);
      return Array.isArray(parsed) ? parsed : parsed.traceEvents;
    } catch { /* the next attempt is shorter */ }
  }
  return [];
}

/// What is known of each process: its name, its lanes, and its marks.
function readGroups(events) {
  const groups = new Map();
  const group = (pid) => {
    if (!groups.has(pid)) groups.set(pid, { pid, name: `group ${pid}`, lanes: new Map(), marks: [], from: Infinity, to: 0 });
    return groups.get(pid);
  };
  for (const event of events) {
    const of = group(event.pid);
    if (event.ph === "M" && event.name === "process_name") of.name = event.args.name;
    if (event.ph === "i") of.marks.push(event);
    if (event.ph !== "X") continue;
    if (!of.lanes.has(event.tid)) of.lanes.set(event.tid, { slices: [], polls: [] });
    const lane = of.lanes.get(event.tid);
    (event.cat === "poll" ? lane.polls : lane.slices).push(event);
    of.from = Math.min(of.from, event.ts);
    of.to = Math.max(of.to, event.ts + event.dur);
  }
  return [...groups.values()].sort((a, b) => a.from - b.from);
}

/// One list of slices in order of time, as arrays that a search goes through quickly.
class Track {
  constructor(events) {
    this.events = events.sort((a, b) => a.ts - b.ts);
    this.starts = Float64Array.from(this.events, (event) => event.ts);
    this.ends = Float64Array.from(this.events, (event) => event.ts + event.dur);
    // Polls may be inside of polls: then an end is not the last so far.
    for (let i = 1; i < this.ends.length; i++) this.ends[i] = Math.max(this.ends[i], this.ends[i - 1]);
  }

  /// The first that ends after `time`.
  after(time) {
    let low = 0, high = this.ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ends[middle] <= time) low = middle + 1; else high = middle;
    }
    return low;
  }
}

/// Groups that were opened in one place share a band, and one after the other its lanes.
function pack(groups) {
  const bands = new Map();
  for (const group of groups) {
    if (!bands.has(group.name)) bands.set(group.name, { name: group.name, groups: [], lanes: [], free: [] });
    const band = bands.get(group.name);
    band.groups.push(group);
    const numbers = [...group.lanes.keys()].sort((a, b) => a - b);
    const fits = (first) => numbers.every((_, i) => (band.free[first + i] ?? -1) <= group.from);
    let first = 0;
    while (!fits(first)) first++;
    numbers.forEach((number, i) => {
      const lane = (band.lanes[first + i] ??= { slices: [], polls: [] });
      for (const kind of ["slices", "polls"]) for (const event of group.lanes.get(number)[kind]) lane[kind].push(event);
      band.free[first + i] = group.to;
    });
  }
  let top = 0;
  for (const band of bands.values()) {
    band.top = top;
    band.marks = band.groups.flatMap((group) => group.marks).sort((a, b) => a.ts - b.ts);
    band.lanes = band.lanes.map((lane, i) => ({ top: top + HEAD + i * ROW, slices: new Track(lane.slices), polls: new Track(lane.polls) }));
    top += HEAD + band.lanes.length * ROW + 4;
    band.bottom = top;
  }
  return [...bands.values()];
}

const source = document.getElementById("trace");
const events = parse(source.textContent);
source.textContent = "";
const groups = readGroups(events);
const bands = pack(groups);
const slices = events.filter((event) => event.ph === "X" && event.cat !== "poll").sort((a, b) => a.ts - b.ts || b.dur - a.dur);
const end = groups.reduce((latest, group) => Math.max(latest, group.to), 1);
const height = bands.length ? bands[bands.length - 1].bottom : 0;

// ---- drawing ----

const canvas = document.getElementById("view");
const pen = canvas.getContext("2d");
const view = { from: 0, to: end, top: 0, selected: null, drawn: 0 };
let colors = {};

function readColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["back", "band", "text", "faint", "line", "ok", "failed", "panicked", "cancelled", "unfinished", "boundary", "poll", "mark", "select"]) {
    colors[name] = style.getPropertyValue(`--${name}`).trim();
  }
}

const width = () => canvas.clientWidth;
const x = (time) => ((time - view.from) / (view.to - view.from)) * width();
const time = (x) => view.from + (x / width()) * (view.to - view.from);

function color(slice) {
  if (slice.cat === "boundary" && slice.args.outcome === "ok") return colors.boundary;
  return colors[slice.args.outcome] ?? colors.unfinished;
}

/// Draws one list of slices: each that is a pixel wide, and one for all that share a pixel.
function drawTrack(track, top, height, paint, label) {
  const from = view.from, scale = width() / (view.to - from);
  for (let i = track.after(from); i < track.starts.length && track.starts[i] < view.to; ) {
    const slice = track.events[i];
    const left = Math.max(0, (track.starts[i] - from) * scale);
    const right = Math.min(width(), (slice.ts + slice.dur - from) * scale);
    pen.fillStyle = paint(slice);
    view.drawn++;
    if (right - left < 1) {
      pen.fillRect(Math.floor(left), top, 1, height);
      i = Math.max(i + 1, track.after(from + (Math.floor(left) + 1) / scale));
      continue;
    }
    pen.fillRect(left, top, right - left - (right - left > 3 ? 1 : 0), height);
    if (label && right - left > 30) drawLabel(slice, left, right, top);
    i++;
  }
}

/// Of a path that does not fit, what comes after the last slash tells most.
function shortened(name, width) {
  const last = name.slice(name.lastIndexOf("/") + 1);
  return last && pen.measureText(name).width > width ? last : name;
}

function drawLabel(slice, left, right, top) {
  const name = shortened(slice.name, right - left - 8);
  pen.save();
  pen.beginPath();
  pen.rect(left, top, right - left - 4, ROW);
  pen.clip();
  pen.fillStyle = colors.text;
  pen.fillText((SIGNS[slice.args.outcome] ?? "") + name, left + 4, top + 10);
  pen.restore();
}

/// A nice distance of the marks on the ruler.
function step() {
  const rough = ((view.to - view.from) / width()) * 110;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
}

function duration(micros, digits = 3) {
  const [unit, size] = micros >= 1e6 ? ["s", 1e6] : micros >= 1e3 ? ["ms", 1e3] : ["µs", 1];
  return `${Number((micros / size).toFixed(digits))} ${unit}`;
}

function drawRuler() {
  pen.fillStyle = colors.back;
  pen.fillRect(0, 0, width(), RULER);
  const distance = step();
  for (let at = Math.ceil(view.from / distance) * distance; at <= view.to; at += distance) {
    pen.fillStyle = colors.line;
    pen.fillRect(Math.round(x(at)), RULER - 6, 1, canvas.clientHeight);
    pen.fillStyle = colors.faint;
    pen.fillText(duration(at, 6), x(at) + 4, RULER - 9);
  }
}

function drawMarks(band, top) {
  let last = -9;
  for (const mark of band.marks) {
    if (mark.ts < view.from || mark.ts > view.to) continue;
    const at = Math.round(x(mark.ts));
    if (at - last < 2) continue;
    last = at;
    pen.fillStyle = colors.mark;
    pen.fillRect(at, top + HEAD - 6, 1, band.bottom - band.top - HEAD + 4);
    pen.beginPath();
    pen.moveTo(at - 4, top + HEAD - 9);
    pen.lineTo(at + 5, top + HEAD - 9);
    pen.lineTo(at + 0.5, top + HEAD - 1);
    pen.fill();
  }
}

function drawBand(band) {
  const shift = RULER - view.top;
  const top = band.top + shift;
  pen.fillStyle = colors.band;
  pen.fillRect(0, top, width(), HEAD - 4);
  for (const lane of band.lanes) {
    const at = lane.top + shift;
    if (at + ROW < RULER || at > canvas.clientHeight) continue;
    drawTrack(lane.slices, at, ROW - 2, color, true);
    drawTrack(lane.polls, at + ROW - 2 - POLL, POLL, () => colors.poll, false);
  }
  drawMarks(band, top);
  pen.fillStyle = colors.text;
  pen.fillText(band.groups.length > 1 ? `${band.name}  × ${band.groups.length}` : band.name, 6, top + 13);
}

function drawSelection() {
  const { slice, lane } = view.selected;
  const left = x(slice.ts), right = Math.max(left + 2, x(slice.ts + slice.dur));
  pen.strokeStyle = colors.select;
  pen.lineWidth = 2;
  pen.strokeRect(left, lane.top + RULER - view.top - 1, right - left, ROW);
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(high * ratio)) {
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(high * ratio);
  }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = colors.back;
  pen.fillRect(0, 0, wide, high);
  view.drawn = 0;
  drawRuler();
  pen.save();
  pen.beginPath();
  pen.rect(0, RULER, wide, high);
  pen.clip();
  for (const band of bands) {
    const top = band.top + RULER - view.top;
    if (top < high && top + band.bottom - band.top > RULER) drawBand(band);
  }
  if (view.selected) drawSelection();
  pen.restore();
}

let waiting = false;
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}

// ---- moving ----

function show(from, to, top = view.top) {
  const span = Math.min(Math.max(to - from, 0.05), end);
  view.from = Math.min(Math.max(from, 0), end - span);
  view.to = view.from + span;
  view.top = Math.max(0, Math.min(top, height + RULER - canvas.clientHeight));
  redraw();
}

function zoom(factor, at = (view.from + view.to) / 2) {
  const span = Math.min((view.to - view.from) / factor, end);
  const part = (at - view.from) / (view.to - view.from);
  show(at - part * span, at + (1 - part) * span);
}

function pan(share) {
  const by = share * (view.to - view.from);
  show(view.from + by, view.to + by);
}

// ---- a slice and its details ----

function find(px, py) {
  const y = py - RULER + view.top;
  const band = bands.find((band) => y >= band.top && y < band.bottom);
  if (!band || py < RULER) return null;
  const near = ((view.to - view.from) / width()) * 2;
  const at = time(px);
  const hit = (track) => {
    const slice = track.events[track.after(at - near)];
    return slice && slice.ts <= at + near ? slice : null;
  };
  if (y < band.top + HEAD) {
    const mark = band.marks.find((mark) => Math.abs(mark.ts - at) <= near * 3);
    return mark ? { slice: mark, lane: band.lanes[0] } : null;
  }
  const lane = band.lanes.find((lane) => y >= lane.top && y < lane.top + ROW);
  if (!lane) return null;
  const poll = y - lane.top >= ROW - 2 - POLL ? hit(lane.polls) : null;
  const slice = poll ?? hit(lane.slices);
  return slice ? { slice, lane } : null;
}

function facts(slice) {
  const group = groups.find((group) => group.pid === slice.pid);
  return {
    name: slice.name, ...slice.args, start: duration(slice.ts, 6),
    ...(slice.ph === "X" ? { duration: duration(slice.dur) } : {}), group: `${slice.pid}: ${group.name}`,
  };
}

function select(found) {
  view.selected = found && found.slice.ph === "X" ? found : null;
  const details = document.getElementById("details");
  if (!found) return redraw();
  const list = document.createElement("dl");
  for (const [what, value] of Object.entries(facts(found.slice))) {
    const item = document.createElement("div");
    for (const [tag, text] of [["dt", what], ["dd", value]]) {
      item.appendChild(document.createElement(tag)).textContent = text;
    }
    list.appendChild(item);
  }
  details.replaceChildren(list);
  document.body.dataset.selected = found.slice.name;
  redraw();
}

/// Selects a slice that may be out of sight.
function goTo(slice) {
  const lane = bands.flatMap((band) => band.lanes).find((lane) => lane.slices.events.includes(slice));
  if (!lane) return;
  const span = view.to - view.from;
  const visible = slice.ts < view.to && slice.ts + slice.dur > view.from;
  const from = visible ? view.from : slice.ts - span / 3;
  const high = canvas.clientHeight - RULER - ROW;
  const top = lane.top < view.top || lane.top > view.top + high ? lane.top - high / 2 : view.top;
  show(from, from + span, top);
  select({ slice, lane });
}

function neighbour(by) {
  const at = slices.indexOf(view.selected?.slice);
  const next = slices[at < 0 ? 0 : at + by];
  if (next) goTo(next);
}

// ---- who uses it ----

const KEYS = {
  "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: () => show(0, end, 0),
  ArrowLeft: () => pan(-0.15), ArrowRight: () => pan(0.15),
  ArrowUp: () => show(view.from, view.to, view.top - 3 * ROW), ArrowDown: () => show(view.from, view.to, view.top + 3 * ROW),
  PageUp: () => show(view.from, view.to, view.top - canvas.clientHeight), PageDown: () => show(view.from, view.to, view.top + canvas.clientHeight),
  Home: () => show(0, view.to - view.from), End: () => show(end, end + view.to - view.from),
  n: () => neighbour(1), p: () => neighbour(-1),
};

function listen() {
  canvas.addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? null : KEYS[event.key];
    if (act) { act(); event.preventDefault(); }
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.shiftKey) show(view.from, view.to, view.top + (event.deltaY || event.deltaX));
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(event.deltaX / width());
    else zoom(Math.exp(-event.deltaY / 400), time(event.offsetX));
  }, { passive: false });
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drag = { x: event.offsetX, y: event.offsetY, from: view.from, top: view.top, moved: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return hover(event.offsetX, event.offsetY);
    const [dx, dy] = [event.offsetX - drag.x, event.offsetY - drag.y];
    drag.moved ||= Math.abs(dx) + Math.abs(dy) > 4;
    const span = view.to - view.from, from = drag.from - (dx / width()) * span;
    if (drag.moved) show(from, from + span, drag.top - dy);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) select(find(event.offsetX, event.offsetY));
    drag = null;
  });
  canvas.addEventListener("pointerleave", () => { hint.hidden = true; });
  const buttons = { left: () => pan(-0.3), right: () => pan(0.3), in: () => zoom(2), out: () => zoom(0.5), fit: () => show(0, end, 0) };
  for (const [id, act] of Object.entries(buttons)) document.getElementById(id).addEventListener("click", act);
  new ResizeObserver(() => show(view.from, view.to)).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColors(); redraw(); });
  window.addEventListener("hashchange", obey);
}

const hint = document.getElementById("hint");
function hover(px, py) {
  const found = find(px, py);
  hint.hidden = !found;
  if (!found) return;
  const { slice } = found;
  hint.textContent = [slice.name, slice.args.of, slice.args.outcome, slice.args.reason, slice.ph === "X" ? duration(slice.dur) : duration(slice.ts, 6)].filter(Boolean).join(" · ");
  hint.style.left = `${Math.min(px + 12, width() - hint.offsetWidth - 4)}px`;
  hint.style.top = `${py + 16}px`;
}

function fillTable() {
  const rows = bands.map((band) => {
    const lanes = band.lanes.flatMap((lane) => lane.slices.events);
    const children = lanes.filter((slice) => slice.cat === "child");
    const bad = children.filter((slice) => slice.args.outcome !== "ok");
    const row = document.createElement("tr");
    for (const text of [band.name, band.groups.length, children.length, bad.length, band.marks.length]) {
      row.insertCell().textContent = text;
    }
    return row;
  });
  document.querySelector("#table tbody").replaceChildren(...rows);
}

/// What the address asks for, so that a view can be linked to and tested: `#zoom=8&at=0.5&select=name`. With
/// `measure=20` the page draws that often, each time closer, and says how long it took.
function obey() {
  const wish = new URLSearchParams(location.hash.slice(1));
  if (wish.has("zoom")) {
    const span = end / Number(wish.get("zoom")), at = Number(wish.get("at") ?? 0.5) * end;
    show(at - span / 2, at + span / 2);
  }
  const slice = wish.has("select") && slices.find((slice) => slice.name === wish.get("select"));
  if (slice) goTo(slice);
  const times = [], drawn = [];
  for (let i = 0; i < Number(wish.get("measure") ?? 0); i++) {
    const begin = performance.now();
    zoom(i ? 1.5 : 1);
    draw();
    pen.getImageData(0, 0, 1, 1); // until it is painted
    times.push(performance.now() - begin);
    drawn.push(view.drawn);
  }
  draw();
  Object.assign(document.body.dataset, { slices: slices.length, polls: events.filter((event) => event.cat === "poll").length, bands: bands.length, from: view.from, to: view.to, end, drawn: Math.max(view.drawn, ...drawn), width: width(), lanes: bands.reduce((sum, band) => sum + band.lanes.length, 0) });
  if (times.length) document.body.dataset.slowest = Math.max(...times).toFixed(1);
}

document.getElementById("summary").textContent = `${slices.length} slices, ${groups.length} groups, ${duration(end)}`;
readColors();
fillTable();
listen();
obey();

"use strict";
// The timeline of a run, drawn at once and without a library: one path for each kind of bar, so that thousands of
// attempts cost a dozen elements. Drag to zoom, double-click or 0 to see all, arrows and + - by keyboard.

const SVG = "http://www.w3.org/2000/svg";
const TOP = 96, ROW = 24, AXIS = 26;

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

class Timeline {
  constructor(holder) {
    this.holder = holder;
    this.run = Number(holder.dataset.run);
    this.data = DATA.runs[this.run].timeline;
    this.left = holder.clientWidth < 600 ? 58 : 118;
    this.range = [0, this.data.end];
    this.tip = make("div", { className: "tip", hidden: true });
    holder.append(this.legend());
    holder.addEventListener("pointermove", (event) => this.hover(event));
    holder.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    holder.addEventListener("pointerdown", (event) => this.press(event));
    holder.addEventListener("dblclick", () => this.zoom(0, this.data.end));
    holder.addEventListener("keydown", (event) => this.key(event));
    this.draw();
  }

  legend() {
    const kinds = [...new Set(this.data.bars.map((bar) => bar[4])), "code call", "end of time"];
    return make("div", { className: "legend" }, ...kinds.map((kind) => make("span", {}, make("i", { className: `key ${slug(kind)}` }), kind)));
  }

  x(seconds) { return this.left + ((seconds - this.range[0]) / (this.range[1] - this.range[0])) * (this.width - this.left - 10); }
  seconds(x) { return this.range[0] + ((x - this.left) / (this.width - this.left - 10)) * (this.range[1] - this.range[0]); }
  slotHeight(row) { return (ROW - 4) / this.data.slots[row]; }
  y(row, index) { return TOP + row * ROW + 2 + index * this.slotHeight(row); }

  draw() {
    this.width = this.holder.clientWidth - 2;
    const height = TOP + this.data.problems.length * ROW + AXIS;
    const clip = `clip-${this.run}`;
    const plot = svg("g", { "clip-path": `url(#${clip})` }, ...this.startUp(), ...this.pace(), ...this.bars(), ...this.marks());
    const frame = svg("svg", { width: this.width, height, class: "timeline" },
      svg("clipPath", { id: clip }, svg("rect", { x: this.left, y: 0, width: Math.max(0, this.width - this.left - 10), height })),
      ...this.grid(height), ...this.labels(), plot);
    this.frame?.remove();
    this.tip.remove();
    this.frame = frame;
    this.holder.append(frame, this.tip);
    this.holder.dataset.drawn = "true";
  }

  grid(height) {
    const step = niceStep((this.range[1] - this.range[0]) / Math.max(2, Math.floor(this.width / 110)));
    const lines = [];
    for (let t = Math.ceil(this.range[0] / step) * step; t <= this.range[1]; t += step) {
      const x = this.x(t);
      lines.push(svg("path", { d: `M${x} 0V${height - AXIS}`, class: "grid" }), svg("text", { x, y: height - 8, class: "tick", "text-anchor": x > this.width - 28 ? "end" : "middle" }, clockText(t)));
    }
    return lines;
  }

  labels() {
    const long = Math.floor(this.left / 7) - 1;
    const names = this.data.problems.map((name, row) => svg("text", { x: this.left - 6, y: TOP + row * ROW + 16, class: "tick", "text-anchor": "end" }, name.length > long ? `${name.slice(0, long - 1)}…` : name));
    return [...names, svg("text", { x: this.left - 6, y: 20, class: "tick", "text-anchor": "end" }, `${this.data.decided.length} done`)];
  }

  bars() {
    const paths = new Map();
    for (const [row, index, start, seconds, kind] of this.data.bars) {
      const x = this.x(start), h = this.slotHeight(row);
      paths.set(kind, (paths.get(kind) ?? "") + `M${x.toFixed(1)} ${this.y(row, index).toFixed(2)}h${Math.max(1, this.x(start + seconds) - x).toFixed(1)}v${(h * 0.85).toFixed(2)}H${x.toFixed(1)}z`);
    }
    const code = this.data.code.map(([row, index, start, seconds]) => `M${this.x(start).toFixed(1)} ${(this.y(row, index) + this.slotHeight(row) * 0.42).toFixed(2)}H${Math.max(this.x(start) + 0.7, this.x(start + seconds)).toFixed(1)}`).join("");
    return [...[...paths].map(([kind, d]) => svg("path", { d, class: `bar-path ${slug(kind)}` })), svg("path", { d: code || "M0 0", class: "code-call" })];
  }

  marks() {
    const ends = this.data.deadlines.map(([row, at]) => `M${this.x(at).toFixed(1)} ${TOP + row * ROW}v${ROW}`).join("");
    const limits = this.data.limits.map((at) => `M${this.x(at).toFixed(1)} 0V${TOP + this.data.problems.length * ROW}`).join("");
    return [svg("path", { d: ends || "M0 0", class: "end-of-time" }), svg("path", { d: limits || "M0 0", class: "limit" })];
  }

  // Before the first attempt: sandbox, model and engine start.
  startUp() {
    const width = this.x(this.data.first) - this.x(0);
    if (width < 4) return [];
    const box = svg("rect", { x: this.x(0), y: 0, width, height: TOP + this.data.problems.length * ROW, class: "start-up" });
    return width < 60 ? [box] : [box, svg("text", { x: this.x(0) + 6, y: TOP + 16, class: "tick" }, "starting up")];
  }

  pace() {
    const total = Math.max(1, this.data.problems.length), y = (count) => TOP - 12 - (count / total) * (TOP - 24);
    const steps = this.data.decided.map((at, place) => `H${this.x(at).toFixed(1)}V${y(place + 1).toFixed(1)}`).join("");
    const even = this.data.limits.length ? `M${this.x(0)} ${y(0)}L${this.x(this.data.limits[0])} ${y(total)}` : "M0 0";
    return [svg("path", { d: even, class: "limit" }), svg("path", { d: `M${this.x(0)} ${y(0)}${steps}`, class: "decided" })];
  }

  barAt(event) {
    const box = this.frame.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    const row = Math.floor((y - TOP) / ROW);
    if (row < 0 || row >= this.data.problems.length || x < this.left) return null;
    const index = Math.floor((y - TOP - row * ROW - 2) / this.slotHeight(row)), at = this.seconds(x), slack = this.seconds(x + 2) - at;
    return this.data.bars.find(([r, i, start, seconds]) => r === row && i === index && at >= start - slack && at <= start + seconds + slack);
  }

  hover(event) {
    const bar = this.frame.contains(event.target) ? this.barAt(event) : null;
    this.tip.hidden = !bar;
    if (!bar) return;
    const problem = DATA.runs[this.run].problems[bar[0]], attempt = problem.attempts[bar[5]];
    this.tip.textContent = `${problem.id.slice(0, 60)}, attempt ${attempt.index}: ${attempt.answer === null ? "no answer" : attempt.answer}${attempt.forced ? " (forced)" : ""}\n${bar[4]}; ${attempt.stop.slice(0, 60)}\n${attempt.tokens} tokens, ${attempt.code.length} code calls, ${attempt.seconds} s`;
    const box = this.holder.getBoundingClientRect();
    this.tip.style.left = `${Math.min(event.clientX - box.left + 12, Math.max(0, this.width - 240))}px`;
    this.tip.style.top = `${event.clientY - box.top + 14}px`;
  }

  press(event) {
    if (!this.frame.contains(event.target) || event.button !== 0) return;
    const from = event.clientX - this.frame.getBoundingClientRect().left, bar = this.barAt(event);
    addEventListener("pointerup", (end) => {
      const to = end.clientX - this.frame.getBoundingClientRect().left;
      if (Math.abs(to - from) > 8) this.zoom(this.seconds(Math.min(from, to)), this.seconds(Math.max(from, to)));
      else if (bar) openAttempt(this.run, DATA.runs[this.run].problems[bar[0]].id, bar[1]);
    }, { once: true });
  }

  key(event) {
    const [from, to] = this.range, span = to - from;
    const moves = { "+": [from + span / 4, to - span / 4], "-": [from - span / 2, to + span / 2], ArrowLeft: [from - span / 4, to - span / 4], ArrowRight: [from + span / 4, to + span / 4], 0: [0, this.data.end] };
    if (!moves[event.key]) return;
    event.preventDefault();
    this.zoom(...moves[event.key]);
  }

  zoom(from, to) {
    const span = Math.max(0.05, Math.min(to - from, this.data.end)), start = Math.min(Math.max(0, from), this.data.end - span);
    this.range = [start, start + span];
    this.draw();
  }
}

const slug = (kind) => `kind-${kind.replace(/ /g, "-")}`;

function niceStep(least) {
  return [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200].find((step) => step >= least) ?? Math.ceil(least / 14400) * 14400;
}

function clockText(seconds) {
  if (seconds < 60) return `${Number(seconds.toFixed(1))} s`;
  const minutes = Math.floor(seconds / 60), rest = String(Math.round(seconds % 60)).padStart(2, "0");
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

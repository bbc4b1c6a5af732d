"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);

// From a compressed block to nodes. Model text only ever becomes text nodes; KaTeX builds MathML nodes and trusts nothing.

async function unpack(id, line = 0) {
  const element = document.getElementById(id);
  if (!element) return null; // the page is still being read
  const bytes = Uint8Array.from(atob(element.textContent.split("\n")[line]), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}

async function transcriptOf(run, problem, attempt) {
  const text = await unpack(`t${run}-${problem}`, attempt);
  return text ? JSON.parse(text) : [];
}

const loadScript = (() => {
  const loading = {};
  return (id) => (loading[id] ??= unpack(id).then((source) => {
    const script = document.createElement("script");
    script.nonce = document.querySelector("script[nonce]").nonce;
    script.textContent = source;
    document.head.append(script);
  }));
})();

function make(tag, options = {}, ...children) {
  const { className, data, ...rest } = options;
  const element = Object.assign(document.createElement(tag), rest);
  if (className) element.className = className;
  Object.assign(element.dataset, data || {});
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const SHOWN_AT_ONCE = 120000; // characters of a transcript; the rest on demand
const LABELS = { thinking: "thinking", code: "python", output: "output", note: "note to the model" };

async function drawTranscript(holder, parts, statuses) {
  await loadScript("katex");
  const budget = { formulas: 1500 };
  let code = 0;
  const nodes = parts.map(([kind, text]) => {
    const status = kind === "output" && code ? statuses[code - 1] : null;
    if (kind === "code") code += 1;
    return { kind, text, status };
  });
  const draw = (from) => {
    let drawn = 0, index = from;
    for (; index < nodes.length && drawn < SHOWN_AT_ONCE; index += 1) {
      const rest = SHOWN_AT_ONCE - drawn;
      const { kind, text, status } = nodes[index];
      holder.append(drawSegment(kind, text.slice(0, rest), status, budget));
      drawn += text.length;
      if (text.length > rest) { nodes[index] = { kind, text: text.slice(rest), status }; break; }
    }
    if (index < nodes.length) {
      const more = make("button", { type: "button", textContent: "Show more" });
      more.addEventListener("click", () => { more.remove(); draw(index); });
      holder.append(more);
    }
  };
  draw(0);
}

function drawSegment(kind, text, status, budget) {
  const div = make("div", { className: kind === "note" ? "note-segment" : kind, dir: "auto" });
  if (LABELS[kind]) div.append(make("span", { className: "label", textContent: LABELS[kind] + (status ? `: ${status[0]}, ${status[1]} s` : "") }));
  if (status && status[0] !== "ok") div.classList.add("failed");
  if (kind === "code") highlightPython(div, text);
  else if (kind === "prose" || kind === "thinking") writeMath(div, text, budget);
  else div.append(text);
  return div;
}

const PYTHON = /("""[^]*?"""|'''[^]*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(#[^\n]*)|\b(False|None|True|and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|nonlocal|not|or|pass|raise|return|try|while|with|yield)\b|\b(\d[\w.]*)/g;

function highlightPython(holder, text) {
  let place = 0;
  for (const match of text.matchAll(PYTHON)) {
    holder.append(text.slice(place, match.index));
    const className = match[1] ? "s" : match[2] ? "c" : match[3] ? "k" : "n";
    holder.append(make("span", { className, textContent: match[0] }));
    place = match.index + match[0].length;
  }
  holder.append(text.slice(place));
}

// Delimiters as models write them; each formula is looked for within a bounded window, so the scan stays linear.
const OPENERS = /\$\$|\\\[|\\\(|\$(?=[^\s$])|\\boxed\s*\{|\\begin\{(align\*?|equation\*?|gather\*?|cases|[pbv]?matrix)\}/g;
const LONGEST = 3000;

function writeMath(holder, text, budget) {
  let place = 0;
  OPENERS.lastIndex = 0;
  for (let match; (match = OPENERS.exec(text)) !== null;) {
    const found = budget.formulas > 0 && formulaAt(text, match);
    if (!found) { OPENERS.lastIndex = match.index + match[0].length; continue; }
    holder.append(text.slice(place, match.index));
    holder.append(drawFormula(found, text.slice(match.index, found.end)));
    budget.formulas -= 1;
    place = OPENERS.lastIndex = found.end;
  }
  holder.append(text.slice(place));
}

function formulaAt(text, match) {
  const start = match.index + match[0].length;
  const within = text.slice(start, start + LONGEST);
  const until = (close) => { const at = within.indexOf(close); return at < 0 ? null : { tex: within.slice(0, at), end: start + at + close.length }; };
  if (match[0] === "$$") return wrap(until("$$"), true);
  if (match[0] === "\\[") return wrap(until("\\]"), true);
  if (match[0] === "\\(") return wrap(until("\\)"), false);
  if (match[0] === "$") {
    const inline = /^[^$\n]{0,600}?[^$\n\s\\]\$(?!\d)/.exec(within);
    return inline && { tex: inline[0].slice(0, -1), display: false, end: start + inline[0].length };
  }
  if (match[1]) {
    const close = `\\end{${match[1]}}`, found = until(close);
    return found && { tex: match[0] + found.tex + close, display: true, end: found.end };
  }
  for (let depth = 1, i = 0; i < within.length; i += 1) {
    if (within[i] === "\\") i += 1;
    else if (within[i] === "{") depth += 1;
    else if (within[i] === "}" && (depth -= 1) === 0) return { tex: `\\boxed{${within.slice(0, i)}}`, display: false, end: start + i + 1 };
  }
  return null;
}

function wrap(found, display) { return found && { ...found, display }; }

function drawFormula(formula, source) {
  const span = make("span", { title: source.slice(0, 500) });
  try {
    katex.render(formula.tex, span, { output: "mathml", displayMode: formula.display, throwOnError: true, trust: false, strict: "ignore", maxSize: 20, maxExpand: 200, macros: {} });
  } catch {
    span.replaceChildren(source); // not LaTeX that can be set: as it was written
    span.className = "tex-source";
  }
  return span;
}

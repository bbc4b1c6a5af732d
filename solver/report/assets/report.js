"use strict";
// What a reader does: open problems and attempts, filter, search, move by keyboard, switch run and theme.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const shownRun = () => Number($(".run-view:not([hidden])").dataset.run);
const shownProblems = () => $$(".run-view:not([hidden]) .problem:not([hidden])");

// Theme: the system's, until a reader chooses.
const dark = matchMedia("(prefers-color-scheme: dark)");
function setTheme(theme) { document.documentElement.dataset.theme = theme; redrawCharts(); }
setTheme(dark.matches ? "dark" : "light");
dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
function switchTheme() { setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"); }
$("#theme").addEventListener("click", switchTheme);
$("#help").addEventListener("click", () => $("#keys").showModal());

// A problem's body is made when it is opened.
function fillProblem(details) {
  if ($(".body", details)) return;
  const run = Number(details.dataset.run), number = Number(details.dataset.number);
  const problem = DATA.runs[run].problems[number];
  const body = make("div", { className: "body" });
  if (problem.text) body.append(drawStatement(problem.text));
  body.append(make("p", {}, make("strong", { textContent: problem.why }), problem.reference === null ? null : ` · right answer: ${problem.reference}`));
  if (problem.loss) body.append(make("p", { className: "wrong", textContent: `lost: ${problem.loss[0]} — ${problem.loss[1]}` }));
  if (problem.candidates.length) body.append(drawVotes(problem));
  if (problem.extra.length) body.append(drawExtra(problem.extra));
  body.append(drawAttempts(run, number, problem));
  details.append(body);
}

function drawStatement(text) {
  const p = make("p", { className: "statement", dir: "auto" });
  loadScript("katex").then(() => writeMath(p, text, { formulas: 200 }));
  return p;
}

function drawVotes(problem) {
  const chart = make("div", { className: "votes", role: "img", ariaLabel: "Votes: " + problem.candidates.map((c) => `${c.answer}: ${c.votes}`).join(", ") });
  const most = Math.max(...problem.candidates.map((c) => c.votes), 1);
  for (const candidate of problem.candidates.slice(0, 40)) {
    const side = problem.reference === null ? "" : candidate.answer === problem.reference ? "right" : "wrong";
    const bar = make("div", { className: `bar ${side} ${candidate.forced ? "forced" : ""}` });
    bar.style.width = `${(80 * candidate.votes) / most}%`;
    chart.append(make("span", { className: "answer", textContent: candidate.answer }), make("div", { className: "bar-row" }, bar, make("span", { textContent: `${candidate.votes}${candidate.forced ? " forced" : ""}${candidate.answer === problem.answer ? " · chosen" : ""}` })));
  }
  return chart;
}

function drawExtra(extra) {
  const rows = extra.map(([name, value]) => make("tr", {}, make("td", {}, make("code", { textContent: name })), make("td", { textContent: value })));
  return make("table", { className: "extra" }, make("tbody", {}, ...rows));
}

// Each with its text or node for an attempt; those that would tell nothing apart are left out.
const COLUMNS = {
  attempt: (a) => `${a.index}${a.part ? ` (part ${a.part + 1})` : ""}${a.old ? " (made again)" : ""}`,
  answer: (a, problem) => make("span", { className: `mark ${sideOf(a, problem)}`, textContent: a.answer === null ? "—" : a.answer + (a.forced ? " (forced)" : "") }),
  ended: (a) => (a.error ? make("div", { className: "error", textContent: `${a.stop}: ${a.error}` }) : a.stop),
  tokens: (a) => a.tokens.toLocaleString("en"),
  "code output": (a) => (a.tool_tokens ? `${a.tool_tokens.toLocaleString("en")} tokens` : ""),
  "code calls": (a) => { const failed = a.code.filter(([status]) => status !== "ok").length; return a.code.length ? `${a.code.length}${failed ? `, ${failed} failed` : ""}` : ""; },
  started: (a) => a.started,
  seconds: (a) => a.seconds,
  mode: (a) => a.mode,
  entropy: (a) => a.entropy ?? "",
};

function sideOf(attempt, problem) {
  if (attempt.answer === null || problem.reference === null) return "unknown";
  return attempt.answer === problem.reference ? "right" : "wrong";
}

function columnsOf(problem) {
  const some = { "code output": (a) => a.tool_tokens, "code calls": (a) => a.code.length, entropy: (a) => a.entropy !== null, mode: (a) => a.mode !== problem.attempts[0].mode };
  return Object.keys(COLUMNS).filter((name) => !some[name] || problem.attempts.some(some[name]));
}

function drawAttempts(run, number, problem) {
  if (!problem.attempts.length) return make("p", { className: "dim", textContent: "No attempt is recorded." });
  const body = make("tbody"), columns = columnsOf(problem);
  problem.attempts.forEach((attempt, place) => body.append(drawAttempt(run, number, place, attempt, problem, columns)));
  const head = make("thead", {}, make("tr", {}, ...["", ...columns].map((textContent) => make("th", { textContent }))));
  const order = make("p", { className: "dim", textContent: "Attempts in the order in which they ended." });
  return make("div", {}, order, make("div", { className: "wide" }, make("table", { className: "attempts" }, head, body)));
}

function drawAttempt(run, number, place, attempt, problem, columns) {
  const button = make("button", { type: "button", className: "read", textContent: "read", ariaExpanded: "false", disabled: attempt.chars === 0, data: { index: attempt.index } });
  const cells = columns.map((name) => make("td", {}, COLUMNS[name](attempt, problem)));
  const row = make("tr", { className: `attempt ${attempt.old ? "old" : ""}` }, make("td", {}, button), ...cells);
  button.addEventListener("click", () => toggleTranscript(button, row, run, number, place, attempt));
  row.addEventListener("click", (event) => event.target !== button && !String(getSelection()) && button.click());
  return row;
}

async function toggleTranscript(button, row, run, number, place, attempt) {
  if (row.nextElementSibling?.classList.contains("reading")) {
    row.nextElementSibling.remove();
    button.ariaExpanded = "false";
    return;
  }
  const holder = make("div", { className: "transcript", tabIndex: 0, role: "region", ariaLabel: `Transcript of attempt ${attempt.index}` });
  const cell = make("td", { colSpan: row.cells.length }, attempt.extra.length ? drawExtra(attempt.extra) : null, holder);
  row.after(make("tr", { className: "reading" }, cell));
  button.ariaExpanded = "true";
  await drawTranscript(holder, await transcriptOf(run, number, place), attempt.code);
  holder.dataset.drawn = "true";
}

function openProblem(run, number) {
  showRun(run);
  const details = document.getElementById(`p${run}-${number}`);
  if (details.hidden) resetFilter(run);
  fillProblem(details);
  details.open = true;
  setCurrent(details);
  return details;
}

function openAttempt(run, problemId, index) {
  const number = DATA.runs[run].problems.findIndex((problem) => problem.id === problemId);
  if (number < 0) return;
  const buttons = $$(`.read[data-index="${Number(index)}"]`, openProblem(run, number));
  const button = buttons[buttons.length - 1];
  if (button && button.ariaExpanded === "false" && !button.disabled) button.click();
  button?.scrollIntoView({ block: "start" });
}

// Filter and search.
function applyFilter(form) {
  const words = $(".words", form).value.toLowerCase().split(/\s+/).filter(Boolean), state = $(".state", form).value;
  const keep = { "": () => true, wrong: (d) => d.right === "false", right: (d) => d.right === "true", fallback: (d) => d.decided === "fallback", split: (d) => d.split === "true", undecided: (d) => d.decided !== "consensus" }[state] || ((d) => d.loss === state.slice(5));
  const problems = $$(`.problem[data-run="${form.dataset.run}"]`);
  for (const problem of problems) problem.hidden = !(keep(problem.dataset) && words.every((word) => problem.dataset.words.includes(word)));
  $(".count", form).value = `${problems.filter((problem) => !problem.hidden).length} of ${problems.length}`;
}

function resetFilter(run) {
  const form = $(`.filter[data-run="${run}"]`);
  form.reset();
  applyFilter(form);
}

let search = 0;
async function searchTranscripts(form) {
  const wanted = $(".deep", form).value.toLowerCase(), run = Number(form.dataset.run), mine = (search += 1);
  const hits = $(".hits", form.parentElement);
  hits.replaceChildren();
  hits.hidden = !wanted;
  if (!wanted) return;
  const state = make("p", { className: "dim", role: "status" });
  hits.append(state);
  let found = 0;
  for (const [number, problem] of DATA.runs[run].problems.entries()) {
    for (const [place, attempt] of problem.attempts.entries()) {
      const text = (await transcriptOf(run, number, place)).map((part) => part[1]).join("\n");
      if (mine !== search) return; // another search has begun
      const at = text.toLowerCase().indexOf(wanted);
      if (at < 0) continue;
      found += 1;
      if (found <= 200) hits.append(drawHit(run, problem, attempt, text.slice(Math.max(0, at - 60), at + wanted.length + 80)));
    }
    state.textContent = `${found} attempts so far, ${number + 1} of ${DATA.runs[run].problems.length} problems read`;
  }
  state.textContent = `${found} attempts${found > 200 ? ", the first 200 listed" : ""}`;
}

function drawHit(run, problem, attempt, around) {
  const link = make("a", { href: "#", textContent: `${problem.id.slice(0, 60)}, attempt ${attempt.index}` });
  link.addEventListener("click", (event) => { event.preventDefault(); openAttempt(run, problem.id, attempt.index); });
  return make("div", {}, link, make("span", { className: "dim", dir: "auto", textContent: ` …${around}…` }));
}

for (const form of $$(".filter")) {
  form.addEventListener("submit", (event) => { event.preventDefault(); searchTranscripts(form); });
  $(".words", form).addEventListener("input", () => applyFilter(form));
  $(".state", form).addEventListener("change", () => applyFilter(form));
  applyFilter(form);
}
$$(".problem").forEach((details) => details.addEventListener("toggle", () => {
  if (!details.open) return;
  fillProblem(details);
  // Opened by keyboard at the lower edge of the screen, its body would stand below it.
  const byKeyboard = $("summary", details).matches(":focus-visible");
  if (byKeyboard && details.getBoundingClientRect().bottom > innerHeight) details.scrollIntoView({ block: "start" });
}));
$$(".go").forEach((link) => link.addEventListener("click", (event) => {
  event.preventDefault();
  const run = Number(link.dataset.run);
  const number = DATA.runs[run].problems.findIndex((problem) => problem.id === link.dataset.id);
  openProblem(run, number).scrollIntoView({ block: "start" });
}));

// Several runs: one is shown at a time.
function showRun(run) {
  if (run === shownRun()) return;
  const before = $(".run-view:not([hidden])"), after = $(`.run-view[data-run="${run}"]`);
  const sections = (view) => $$(":scope > section", view);
  sections(before).forEach((section, place) => { sections(after)[place].id = section.id; section.removeAttribute("id"); });
  before.hidden = true;
  after.hidden = false;
  $$("button.run").forEach((button) => { button.ariaPressed = String(Number(button.dataset.run) === run); });
}
$$("button.run").forEach((button) => button.addEventListener("click", () => showRun(Number(button.dataset.run))));

// Keyboard.
function setCurrent(details) {
  $$(".problem.current").forEach((other) => other.classList.remove("current"));
  details.classList.add("current");
  $("summary", details).focus({ preventScroll: true });
}

function move(step) {
  const problems = shownProblems();
  if (!problems.length) return;
  const here = problems.findIndex((problem) => problem.classList.contains("current"));
  const next = problems[Math.min(problems.length - 1, Math.max(0, here < 0 ? 0 : here + step))];
  setCurrent(next);
  next.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    else $$(".problem.current[open]").forEach((problem) => { problem.open = false; });
    return;
  }
  if (typing || $("#keys").open) return;
  const form = $(`.filter[data-run="${shownRun()}"]`), state = $(".state", form);
  const actions = {
    "/": () => $(".words", form).focus(),
    j: () => move(1),
    k: () => move(-1),
    t: switchTheme,
    w: () => { state.value = state.value === "wrong" ? "" : "wrong"; applyFilter(form); },
    "?": () => $("#keys").showModal(),
  };
  if (actions[event.key]) { event.preventDefault(); actions[event.key](); }
});

"use strict";
// Figures come as data from Python; here they get the page's colours and are drawn when they come into view.

const DATA = JSON.parse(document.getElementById("data").textContent);

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink"), line = style.getPropertyValue("--line");
  const axis = (own) => ({ gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true, ...own });
  const axes = Object.fromEntries(Object.keys(layout).filter((k) => /^[xy]axis/.test(k)).map((k) => [k, axis(layout[k])]));
  return { ...layout, ...axes, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, size: 12 }, margin: { l: 50, r: 12, t: 36, b: 40 }, hoverlabel: { align: "left" } };
}

async function drawChart(holder) {
  const { figures } = DATA.runs[holder.dataset.run];
  const figure = figures[holder.dataset.figure];
  await loadScript("plotly");
  const isNarrow = holder.clientWidth < 600;
  const layout = themed(figure.layout);
  if (isNarrow) layout.showlegend = holder.dataset.figure.startsWith("timeline") ? false : layout.showlegend;
  const dark = document.documentElement.dataset.theme === "dark";
  const data = figure.data.map((trace) => (dark && trace.name === "code call" ? { ...trace, line: { ...trace.line, color: "#ffffff" } } : trace));
  await Plotly.react(holder, data, layout, { responsive: true, displaylogo: false, showSendToCloud: false, modeBarButtonsToRemove: ["sendDataToCloud", "select2d", "lasso2d"] });
  if (!holder.dataset.drawn) {
    holder.on("plotly_click", ({ points }) => points[0].customdata && openAttempt(Number(holder.dataset.run), ...points[0].customdata));
    holder.dataset.drawn = "true";
  }
}

const inView = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (isIntersecting) { inView.unobserve(target); drawChart(target); }
  }
}, { rootMargin: "200px" });

// One chart after another comes into view only once the page has been painted.
requestAnimationFrame(() => setTimeout(() => document.querySelectorAll(".chart").forEach((chart) => inView.observe(chart))));

function redrawCharts() {
  document.querySelectorAll(".chart[data-drawn]").forEach((holder) => drawChart(holder));
}

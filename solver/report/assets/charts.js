"use strict";
// The distributions: figures come as data from Python, get the page's colours here and are drawn by plotly, which is
// unpacked only once one of them comes near the screen.

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink"), line = style.getPropertyValue("--line");
  const axis = (own) => ({ gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true, ...own });
  return { ...layout, xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis), paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, size: 12 }, margin: { l: 50, r: 12, t: 36, b: 40 } };
}

async function drawChart(holder) {
  const figure = DATA.runs[holder.dataset.run].figures[holder.dataset.figure];
  await loadScript("plotly");
  await Plotly.react(holder, figure.data, themed(figure.layout), { responsive: true, displaylogo: false, showSendToCloud: false, modeBarButtonsToRemove: ["sendDataToCloud", "select2d", "lasso2d"] });
  holder.dataset.drawn = "true";
}

const inView = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    inView.unobserve(target);
    if (target.classList.contains("plotly-chart")) drawChart(target);
    else target.timeline = new Timeline(target);
  }
}, { rootMargin: "100px" });

document.querySelectorAll(".chart").forEach((chart) => inView.observe(chart));
addEventListener("resize", () => document.querySelectorAll(".chart[data-drawn]").forEach((chart) => chart.clientWidth && chart.timeline?.draw()));

// On paper every timeline; of the distributions those that were seen, since plotly cannot start in time.
addEventListener("beforeprint", () => $$(".run-view:not([hidden]) .chart:not(.plotly-chart):not([data-drawn])").forEach((chart) => {
  inView.unobserve(chart);
  chart.timeline = new Timeline(chart);
}));

function redrawCharts() {
  document.querySelectorAll(".plotly-chart[data-drawn]").forEach((holder) => drawChart(holder));
}

"""Pictures of the benches' results, drawn from the tables in bench/results when the pages are built.

Each is an SVG in the page's own colours, so that it is read in light and dark. A table that is not where it was ends
the build.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "bench" / "results"
_OURS, _OTHERS = "#009E73", "#9a9a9a"
_WIDTH, _LEFT, _ROW = 720, 200, 26
_INTERVAL = re.compile(r"([+-]?[\d.]+) \+- ([\d.]+)")

Row = Mapping[str, str]


def table(file: str, heading: str) -> list[Row]:
    """The first table behind the line `heading` of a file of results; of equal column names the later ones get a 2.

    Raises:
        LookupError: there is no such line, or no table behind it.
    """
    lines = (RESULTS / file).read_text("utf-8").splitlines()
    try:
        behind = lines[next(n for n, line in enumerate(lines) if line.startswith(heading)) :]
        start = next(n for n, line in enumerate(behind) if line.startswith("|"))
    except StopIteration:
        raise LookupError(f"bench/results/{file} has no table behind {heading!r}") from None
    rows = []
    for line in behind[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    names = [name if name not in rows[0][:n] else f"{name} 2" for n, name in enumerate(rows[0])]
    return [dict(zip(names, row, strict=True)) for row in rows[2:]]


def attempts_used() -> str:
    """What the default rule uses of the recorded attempts, and what that does to accuracy."""
    rows = table("consensus.md", "## Cross-validated by problem")
    marks = []
    for n, row in enumerate(rows):
        y, share = 30 + n * _ROW, float(row["samples"]) / float(row["all samples 2"])
        full = _WIDTH - _LEFT - 215
        marks += [
            _text(_LEFT - 8, y + 12, row["set"], anchor="end"),
            _bar(_LEFT, y, full, 0.25, _OTHERS),
            _bar(_LEFT, y, share * full, 1.0, _OURS),
            _text(_LEFT + full + 8, y + 12, f"{share:.0%}: {_points(row, 'accuracy')} % right, all {_points(row)} %"),
        ]
    head = _text(_LEFT, 16, "attempts used, of all that were recorded")
    return _svg("The default rule against all recorded attempts, by source", 36 + len(rows) * _ROW, [head, *marks])


def confidence() -> str:
    """How likely a decided vote was said to be right, and how often it was."""
    rows = table("consensus.md", "## Calibration of the confidence")
    full = _WIDTH - _LEFT - 150
    marks = [_text(_LEFT, 16, "said (grey) and really right (green)")]
    for n, row in enumerate(rows):
        y, said, right = 30 + n * 2 * _ROW, float(row["mean said"]), float(row["really right"])
        marks += [
            _text(_LEFT - 8, y + 18, f"confidence {row['said']}", anchor="end"),
            _bar(_LEFT, y, said * full, 0.6, _OTHERS),
            _bar(_LEFT, y + 20, right * full, 1.0, _OURS),
            _text(_LEFT + full + 8, y + 18, f"{row['problem-runs']} problem-runs"),
        ]
    return _svg("Confidence said and share really right", 36 + len(rows) * 2 * _ROW, marks)


def time_policies() -> str:
    """Points of 50 that the default time policy is ahead of two published ones, with 95 % intervals."""
    differences = [
        (f"{traces}, {row['mix']} mix, over {other}", *_interval(row[f"ours - {other}"]))
        for file, traces in (("budget.md", "all traces"), ("budget_long.md", "long traces"))
        for row in table(file, "## Expected score")
        for other in ("bank", "clamp")
    ]
    low = min(middle - half for _, middle, half in differences)
    high = max(middle + half for _, middle, half in differences)
    left, full = _LEFT + 70, _WIDTH - _LEFT - 190

    def x(value: float) -> float:
        return left + (value - min(low, 0)) / (max(high, 0) - min(low, 0)) * full

    height = 36 + len(differences) * _ROW
    marks = [
        _text(x(0), 16, "points of 50 ahead", anchor="middle"),
        f'<path d="M{x(0):.1f} 22V{height - 8}" stroke="currentColor" stroke-opacity=".4"/>',
    ]
    for n, (name, middle, half) in enumerate(differences):
        y = 36 + n * _ROW
        colour = _OTHERS if middle - half <= 0 <= middle + half else _OURS if middle > 0 else "#D55E00"
        marks += [
            _text(left - 12, y + 4, name, anchor="end"),
            f'<path d="M{x(middle - half):.1f} {y}H{x(middle + half):.1f}" stroke="{colour}" stroke-width="2"/>',
            f'<circle cx="{x(middle):.1f}" cy="{y}" r="4.5" fill="{colour}"/>',
            _text(left + full + 10, y + 4, f"{middle:+.2f} ± {half:.2f}"),
        ]
    return _svg("The default time policy against the bank and the clamp rule", height, marks)


FIGURES: Mapping[str, Callable[[], str]] = {
    "attempts-used": attempts_used,
    "confidence": confidence,
    "time-policies": time_policies,
}


def fill_in(markdown: str) -> str:
    """The page with every `<!-- figure: NAME -->` drawn. Raises LookupError where there is no figure of that name."""
    return re.sub(r"<!-- figure: (\S+) -->", lambda match: FIGURES[match[1]](), markdown)


def _points(row: Row, name: str = "all samples") -> str:
    return f"{float(row[name]):.1f}"


def _interval(cell: str) -> tuple[float, float]:
    match = _INTERVAL.search(cell)
    if match is None:
        raise LookupError(f"no interval: {cell!r}")
    return float(match[1]), float(match[2])


def _bar(x: float, y: float, width: float, opacity: float, colour: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width:.1f}" height="16" rx="2" fill="{colour}" fill-opacity="{opacity}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-size="12" fill="currentColor">{escape(text)}</text>'


def _svg(title: str, height: float, marks: Sequence[str]) -> str:
    name = escape(title)
    head = f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{name}" style="min-width:600px;width:100%">'
    return f'<div style="overflow-x:auto">{head}<title>{name}</title>{"".join(marks)}</svg></div>'

"""The weight of a merge, chosen by measurement: merge, solve, delete, next.

Each point is a line of `points.jsonl` in the results folder, so a second run goes on where the first ended; the
solver's journal of each point stays beside it. One checkpoint is on the disk at a time, unless all are asked for.

The weight to take is by the one-standard-error rule (Breiman et al. 1984): among those whose score is within one
standard error of the best, the one that writes the fewest tokens. The best of eleven noisy points is otherwise luck.
The error is that of the difference on the same problems.
"""

import json
import math
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from merge.errors import RecipeError
from merge.evaluate import EvaluateOptions, check_solver, evaluate, expected_answers
from merge.figures import Evaluation, Figure, columns, difference
from merge.identity import claim
from merge.output import make_folder
from merge.parents import Parent, find_parents
from merge.provenance import describe_parent
from merge.recipe import Recipe, load_recipe
from merge.run import RunOptions, run

_POINTS, _IDENTITY = "points.jsonl", "sweep.json"


@dataclass(frozen=True, slots=True)
class SweepOptions:
    attempts: int = 16
    seed: int = 0
    preset: str | None = None
    engine: str | None = None
    settings: tuple[str, ...] = ()
    by: str = "maj"
    """maj or pass1: the column that decides. maj@k saturates where most problems are solved."""
    keep: bool = False

    @property
    def evaluation(self) -> EvaluateOptions:
        return EvaluateOptions(self.attempts, self.seed, self.preset, self.engine, self.settings)


@dataclass(frozen=True, slots=True)
class Point:
    weight: float
    evaluation: Evaluation


def parse_weights(text: str) -> list[float]:
    """Weights of "0:1:0.1", or of "0,0.3,1". RecipeError otherwise, also where the steps of the first miss its end."""
    try:
        if ":" in text:
            start, end, step = (float(part) for part in text.split(":"))
            steps = (end - start) / step
            if step <= 0 or end < start or abs(steps - round(steps)) > 1e-6:
                raise ValueError(text)
            return [round(start + step * number, 6) for number in range(round(steps) + 1)]
        found = [round(float(part), 6) for part in text.split(",")]
        if not all(map(math.isfinite, found)):
            raise ValueError(text)
        return list(dict.fromkeys(found))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise RecipeError(f"--weights {text}: write it as 0:1:0.1, with steps that meet the end, or 0,0.3,1") from None


def sweep(recipe_file: Path, weights: Sequence[float], problems: Path, output: Path, options: SweepOptions) -> str:
    """Measure every weight and write `table.md` and `plot.png`; returns the table.

    Raises:
        SolverError: recipe, parents or problems are refused, a merge or the solver failed; points so far are kept.
    """
    recipe = load_recipe(recipe_file)
    swept = {weight: recipe.with_weight(weight) for weight in weights}
    parents = find_parents(recipe, Path.cwd())
    check_solver(options.evaluation, None if recipe.chat_template else parents[0].base.folder)
    identity = _identity(recipe, parents, problems, options)
    make_folder(output)
    _take_over(output, identity)
    known = _read_points(output)
    for weight in weights:
        if weight not in known:
            known[weight] = _measure(swept[weight], weight, problems, output, options)
            _write_points(output, known.values())
    points = [known[weight] for weight in sorted(weights)]
    text = table(points, options)
    (output / "table.md").write_text(text, "utf-8")
    plot(points, options, output / "plot.png")
    return text


def _identity(recipe: Recipe, parents: Sequence[Parent], problems: Path, options: SweepOptions) -> dict[str, Any]:
    """What points must share to stand in one table: the parents' files too, whatever folder they lie in."""
    expected_answers(problems)
    described = [describe_parent(parent) for parent in parents]
    files = [[parent["base"]["files"], parent["adapter"] and parent["adapter"]["files"]] for parent in described]
    return {"recipe": recipe.with_weight(0.5).as_yaml(), **options.evaluation.identity(problems), "parents": files}


def _take_over(output: Path, identity: Mapping[str, Any]) -> None:
    """Raises MergeError where points, a journal or a checkpoint in the folder belong to another sweep."""
    found = [output / _POINTS, *sorted(output.glob("weight-*"))]
    claim(output / _IDENTITY, identity, next((it for it in found if it.exists()), output / _POINTS), remove=output)


def _read_points(output: Path) -> dict[float, Point]:
    file = output / _POINTS
    if not file.is_file():
        return {}
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return {line["weight"]: Point(line["weight"], _evaluation(line["evaluation"])) for line in lines}


def _evaluation(record: Mapping[str, Any]) -> Evaluation:
    figures = {name: Figure(**figure) for name, figure in record["figures"].items()}
    return Evaluation(**{**record, "figures": figures})


def _write_points(output: Path, points: Iterable[Point]) -> None:
    partial = output / f".{_POINTS}.partial"
    partial.write_text("".join(json.dumps(asdict(point)) + "\n" for point in points), "utf-8")
    partial.replace(output / _POINTS)


def _measure(recipe: Recipe, weight: float, problems: Path, output: Path, options: SweepOptions) -> Point:
    """One point. The folder has the same name each time, so that the solver's journal can be continued."""
    name = f"weight-{weight:g}"
    model = output / name
    (output / f"{name}.yml").write_text(recipe.as_yaml(), "utf-8")
    _say(f"weight {weight:g}: merging")
    run(output / f"{name}.yml", model, RunOptions(seed=options.seed, depth="weights", exist_ok=True))
    _say(f"weight {weight:g}:")
    evaluation = evaluate(model, problems, output / f"{name}.jsonl", options.evaluation)
    if not options.keep:
        shutil.rmtree(model)
    return Point(weight, evaluation)


def choose(points: Sequence[Point], by: str) -> Point:
    """See the top of this file."""
    best = max(points, key=lambda point: point.evaluation.figures[by].value)
    near = [point for point in points if _is_near(best, point, by)]
    return min(near, key=lambda point: point.evaluation.figures["tokens"].value)


def _is_near(best: Point, point: Point, by: str) -> bool:
    behind, error = difference(best.evaluation.scores[by], point.evaluation.scores[by])
    return behind <= error


def table(points: Sequence[Point], options: SweepOptions) -> str:
    """Markdown, one row a weight, with 95 % intervals."""
    k, first = options.attempts, points[0].evaluation
    lines = [f"| weight | {' | '.join(columns(k))} |", "| --- " * 6 + "|"]
    lines += [f"| {' | '.join([f'{point.weight:g}', *point.evaluation.cells()])} |" for point in points]
    said = (
        f"{first.num_problems} problems, {k} attempts each. 95 % intervals: Wilson for shares of problems, bootstrap "
        f"over problems for means. {_advice(points, options)}"
    )
    return "\n".join([*lines, "", said, ""])


def _advice(points: Sequence[Point], options: SweepOptions) -> str:
    column = {"maj": f"maj@{options.attempts}", "pass1": "pass@1"}[options.by]
    values = {point.evaluation.figures[options.by].value for point in points}
    if len(values) == 1 and len(points) > 1:
        return f"No weight to take: {column} is the same everywhere; other problems would tell the weights apart."
    return (
        f"Weight to take: {choose(points, options.by).weight:g}, the fewest tokens within one standard error (of the "
        f"difference on the same problems) of the best {column}."
    )


def plot(points: Sequence[Point], options: SweepOptions, file: Path) -> None:
    """Scores and tokens over the weight, with intervals. Without matplotlib: said, and left out."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Canvas
    except ImportError:
        _say("no plot: pip install matplotlib")
        return
    figure = Canvas(figsize=(7, 6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    weights = [point.weight for point in points]
    k = options.attempts
    for name, label in (("pass", f"pass@{k}"), ("maj", f"maj@{k}"), ("pass1", "pass@1")):
        _curve(above, weights, [point.evaluation.figures[name] for point in points], label, 100)
    _curve(below, weights, [point.evaluation.figures["tokens"] for point in points], "tokens a solution", 1)
    above.axvline(choose(points, options.by).weight, color="grey", linestyle=":", label="to take")
    above.set_ylabel("% of problems")
    below.set_ylabel("tokens")
    below.set_xlabel("weight of the last model")
    above.legend()
    figure.savefig(file, dpi=120)


def _curve(axes: Any, weights: Sequence[float], figures: Sequence[Figure], label: str, scale: float) -> None:
    line = axes.plot(weights, [scale * figure.value for figure in figures], marker="o", label=label)[0]
    bounds = [[scale * getattr(figure, end) for figure in figures] for end in ("low", "high")]
    axes.fill_between(weights, *bounds, alpha=0.15, color=line.get_color())


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()

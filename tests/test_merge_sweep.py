"""`merge sweep`: merge, solve, delete, next, and go on after being killed; figures and the choice of the weight."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import merge.run
import merge.sweep
from merge.errors import MergeError, RecipeError
from merge.evaluate import (
    COLUMNS,
    EvaluateOptions,
    Evaluation,
    Figure,
    bootstrap,
    evaluate_files,
    read_evaluation,
    summarize,
    wilson,
)
from merge.sweep import Point, SweepOptions, choose, parse_weights, sweep
from solver.errors import SolverError
from tests.checkpoints import make_checkpoint
from tests.conftest import PROJECT, run_solver, write_problems, write_script
from tests.test_merge_run import RECIPE, STAND_IN

PROBLEMS = [("a", "six times seven", 42), ("b", "seven times six", 42), ("c", "half of 84", 41), ("d", "one", 1)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_checkpoint(tmp_path / "cot", 1, near=0)
    make_checkpoint(tmp_path / "tir", 2, near=0)
    (tmp_path / "recipe.yml").write_text(RECIPE, "utf-8")
    write_problems(tmp_path / "problems.csv", PROBLEMS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(merge.run, "_MERGEKIT", STAND_IN)
    monkeypatch.setattr(merge.run, "require_mergekit", lambda: None)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    return tmp_path


OPTIONS = SweepOptions(attempts=4, engine="scripted")


def test_a_sweep_measures_every_weight_and_keeps_no_checkpoint(folder: Path) -> None:
    text = sweep(Path("recipe.yml"), [0.0, 1.0], Path("problems.csv"), Path("out"), OPTIONS)
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:4]] == ["0", "1"]
    assert text == (folder / "out/table.md").read_text("utf-8")
    assert "4 problems, 4 attempts each" in text
    assert not list(Path("out").glob("*/config.json"))
    assert Path("out/plot.png").exists() or not has_matplotlib()
    points = [json.loads(line) for line in Path("out/points.jsonl").read_text("utf-8").splitlines()]
    assert [point["weight"] for point in points] == [0.0, 1.0]
    assert points[0]["evaluation"]["figures"]["code"]["value"] > 0


def test_one_checkpoint_is_measured_on_several_files_and_a_second_run_goes_on(folder: Path) -> None:
    files = [Path("problems.csv"), Path("others.csv")]
    write_problems(folder / "others.csv", PROBLEMS[:2])
    options = EvaluateOptions(attempts=3, engine="scripted")
    text = evaluate_files(Path("tir"), files, Path("out"), options)
    assert [line.split("|")[1:3] for line in text.splitlines()[2:]] == [[" problems ", " 4 "], [" others ", " 2 "]]
    journal = (folder / "out/others.jsonl").read_text("utf-8")
    assert evaluate_files(Path("tir"), files, Path("out"), options) == text
    assert (folder / "out/others.jsonl").read_text("utf-8").count('"kind": "attempt"') == journal.count(
        '"kind": "attempt"'
    )


def has_matplotlib() -> bool:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def fake_evaluation(monkeypatch: pytest.MonkeyPatch, fail_at: int | None = None) -> list[str]:
    seen: list[str] = []

    def evaluate(model: Path, problems: Path, journal: Path, options: EvaluateOptions) -> Evaluation:
        assert (model / "config.json").is_file()
        assert len(list(model.parent.glob("weight-*/config.json"))) == 1
        if len(seen) == fail_at:
            raise MergeError("the solver failed")
        seen.append(model.name)
        return Evaluation(4, 4, summarize(np.ones((4, 5))))

    monkeypatch.setattr(merge.sweep, "evaluate", evaluate)
    return seen


def test_a_second_run_goes_on_where_the_first_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (Path("recipe.yml"), [0.0, 0.5, 1.0], Path("problems.csv"), Path("out"))
    first = fake_evaluation(monkeypatch, fail_at=2)
    with pytest.raises(MergeError):
        sweep(*arguments, OPTIONS)
    assert first == ["weight-0", "weight-0.5"]
    (folder / "out/.points.jsonl.partial").write_text('{"weight": 1.0, "eval', "utf-8")  # killed while writing
    second = fake_evaluation(monkeypatch)
    sweep(*arguments, OPTIONS)
    assert second == ["weight-1"]
    assert sweep(*arguments, OPTIONS) == sweep(*arguments, dataclasses.replace(OPTIONS, keep=True))


def test_points_of_another_sweep_are_not_mixed_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_evaluation(monkeypatch)
    sweep(Path("recipe.yml"), [0.5], Path("problems.csv"), Path("out"), OPTIONS)
    with pytest.raises(MergeError, match="out holds a sweep with other attempts: name another folder with -o"):
        sweep(Path("recipe.yml"), [0.5], Path("problems.csv"), Path("out"), dataclasses.replace(OPTIONS, attempts=8))
    write_problems(folder / "problems.csv", PROBLEMS[:2])
    with pytest.raises(MergeError, match="other problems"):
        sweep(Path("recipe.yml"), [0.5], Path("problems.csv"), Path("out"), OPTIONS)


def test_every_checkpoint_is_kept_where_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge.sweep, "evaluate", lambda *_: Evaluation(4, 4, summarize(np.ones((4, 5)))))
    sweep(Path("recipe.yml"), [0.25, 0.75], Path("problems.csv"), Path("out"), dataclasses.replace(OPTIONS, keep=True))
    assert len(list(Path("out").glob("weight-*/config.json"))) == 2


def test_problems_without_answers_are_refused_before_anything_is_written(folder: Path) -> None:
    (folder / "problems.csv").write_text("id,problem\na,one\n", "utf-8")
    with pytest.raises(SolverError, match="has no answer for a"):
        sweep(Path("recipe.yml"), [0.5], Path("problems.csv"), Path("out"), OPTIONS)
    assert not Path("out").exists()


def test_the_figures_are_those_of_the_journal(tmp_path: Path) -> None:
    """maj@3: the majority of each problem; pass@3: any; pass@1: the share; code: blocks run."""
    script = [
        {"when": "first", "texts": ["\\boxed{1}"]},
        {"when": "second", "texts": ["<tool_call>\nprint(2)\n</tool_call> \\boxed{2}"]},
        {"when": "", "texts": ["\\boxed{9}"]},
    ]
    write_script(tmp_path / "script.jsonl", script)
    problems = write_problems(tmp_path / "p.csv", [("a", "first", 1), ("b", "second", 2), ("c", "third", 3)])
    done = run_solver(
        "solve", problems, "-o", tmp_path / "s.csv", "--engine", "scripted", "--attempts", "3", "--journal",
        tmp_path / "j.jsonl", "--set", f"engine.scripted.script='{tmp_path}/script.jsonl'",
        "--set", "consensus.quorum=3", "--set", "consensus.uncatchable=false",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = read_evaluation(tmp_path / "j.jsonl", {"a": 1, "b": 2, "c": 3}, 3)
    values = {name: figure.value for name, figure in found.figures.items()}
    assert values["maj"] == values["pass"] == values["pass1"] == pytest.approx(2 / 3)
    assert values["code"] == pytest.approx(1 / 3)
    assert values["tokens"] == pytest.approx(np.mean([9, len(script[1]["texts"][0]), 9]), abs=1)  # bytes are tokens
    with pytest.raises(MergeError, match="3 of 4 attempts at a: run the sweep again"):
        read_evaluation(tmp_path / "j.jsonl", {"a": 1}, 4)


@given(st.integers(1, 60), st.data())
def test_intervals_hold_the_value_and_wilsons_is_never_empty(n: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, n))
    values = np.array([1.0] * right + [0.0] * (n - right))
    low, high = wilson(values)
    assert 0 <= low <= right / n + 1e-12
    assert right / n - 1e-12 <= high <= 1
    assert high - low > 0.01
    low, high = bootstrap(values)
    assert low <= values.mean() <= high


def test_wilson_is_the_published_interval() -> None:
    low, high = wilson(np.array([1.0] * 8 + [0.0] * 2))
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)  # statsmodels, method="wilson"


def point(weight: float, maj: float, tokens: float, error: float = 0.05) -> Point:
    figures = {name: Figure(maj, error, maj, maj) for name in COLUMNS} | {"tokens": Figure(tokens, 1, tokens, tokens)}
    return Point(weight, Evaluation(100, 16, figures))


def test_among_weights_within_one_standard_error_the_cheapest_is_taken() -> None:
    points = [point(0, 0.60, 100), point(0.3, 0.66, 500), point(0.5, 0.64, 300), point(1, 0.69, 900)]
    assert choose(points, "maj").weight == 0.5
    assert choose([*points, point(0.9, 0.80, 2000)], "maj").weight == 0.9


@pytest.mark.parametrize(
    ("text", "weights"),
    [("0:1:0.25", [0, 0.25, 0.5, 0.75, 1]), ("0,0.3,1", [0, 0.3, 1]), ("0.7", [0.7]), ("0.1:0.3:0.1", [0.1, 0.2, 0.3])],
)
def test_weights_are_read(text: str, weights: list[float]) -> None:
    assert parse_weights(text) == weights


@pytest.mark.parametrize("text", ["", "0:1", "0:1:0", "1:0:0.1", "a,b"])
def test_other_weights_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="write it as"):
        parse_weights(text)

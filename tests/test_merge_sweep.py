"""`merge sweep`: merge, solve, delete, next, and go on after being killed; figures and the choice of the weight."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import merge.run
import merge.sweep
from merge.errors import MergeError, RecipeError
from merge.evaluate import EvaluateOptions, evaluate_files, forget_short, read_evaluation
from merge.figures import COLUMNS, Evaluation, Figure, bootstrap, difference, summarize, wilson
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
ALL_RIGHT = Evaluation(4, 4, summarize(np.ones((4, 5))), {"maj": [1.0] * 4, "pass1": [1.0] * 4})


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
        return ALL_RIGHT

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
    with pytest.raises(MergeError, match=r"points\.jsonl is of other attempts: name another folder"):
        sweep(Path("recipe.yml"), [0.5], Path("problems.csv"), Path("out"), dataclasses.replace(OPTIONS, attempts=8))
    write_problems(folder / "problems.csv", PROBLEMS[:2])
    with pytest.raises(MergeError, match="other problems"):
        sweep(Path("recipe.yml"), [0.5], Path("problems.csv"), Path("out"), OPTIONS)


def test_points_of_parents_that_changed_are_not_mixed_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_evaluation(monkeypatch)
    sweep(Path("recipe.yml"), [0.5], Path("problems.csv"), Path("out"), OPTIONS)
    shutil.rmtree("tir")
    make_checkpoint(folder / "tir", 3, near=0)
    with pytest.raises(MergeError, match="is of other parents"):
        sweep(Path("recipe.yml"), [0.5], Path("problems.csv"), Path("out"), OPTIONS)


def test_a_sweep_killed_before_its_first_point_is_not_gone_on_with_by_another(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_evaluation(monkeypatch, fail_at=0)
    with pytest.raises(MergeError, match="the solver failed"):
        sweep(Path("recipe.yml"), [0.5], Path("problems.csv"), Path("out"), OPTIONS)
    with pytest.raises(MergeError, match="is of other seed"):
        sweep(Path("recipe.yml"), [0.5], Path("problems.csv"), Path("out"), dataclasses.replace(OPTIONS, seed=1))


def test_weights_that_all_score_the_same_are_not_chosen_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_evaluation(monkeypatch)
    text = sweep(Path("recipe.yml"), [0.25, 0.5], Path("problems.csv"), Path("out"), OPTIONS)
    assert "No weight to take: maj@4 is the same everywhere" in text


EVALUATED = EvaluateOptions(attempts=3, engine="scripted")


@pytest.mark.parametrize(
    ("model", "options", "what"),
    [
        ("cot", EVALUATED, "model"),
        ("tir", dataclasses.replace(EVALUATED, seed=7), "seed"),
        ("tir", dataclasses.replace(EVALUATED, settings=("sampling.temperature=1.5",)), "settings"),
    ],
)
def test_another_models_or_other_options_journal_is_not_gone_on_with(
    model: str, options: EvaluateOptions, what: str, folder: Path
) -> None:
    evaluate_files(Path("tir"), [Path("problems.csv")], Path("out"), EVALUATED)
    before = Path("out/problems.jsonl").read_bytes()
    with pytest.raises(MergeError, match=rf"problems\.jsonl is of other {what}: name another folder with -o"):
        evaluate_files(Path(model), [Path("problems.csv")], Path("out"), options)
    assert Path("out/problems.jsonl").read_bytes() == before


def test_a_journal_that_does_not_say_what_it_is_of_is_not_gone_on_with(folder: Path) -> None:
    Path("out").mkdir()
    Path("out/problems.jsonl").write_text("", "utf-8")
    with pytest.raises(MergeError, match="does not say which"):
        evaluate_files(Path("tir"), [Path("problems.csv")], Path("out"), EVALUATED)


def test_files_of_one_name_are_refused_before_anything_is_written(folder: Path) -> None:
    Path("other").mkdir()
    write_problems(folder / "other/problems.csv", PROBLEMS)
    with pytest.raises(MergeError, match="two problem files are called problems"):
        evaluate_files(Path("tir"), [Path("problems.csv"), Path("other/problems.csv")], Path("out"), EVALUATED)
    assert not Path("out").exists()


def test_a_contests_rules_say_which_answers_are_right(folder: Path) -> None:
    write_problems(folder / "problems.csv", [("a", "six times seven", 1042)])
    options = dataclasses.replace(EVALUATED, settings=("competition=aimo-2",))
    assert evaluate_files(Path("tir"), [Path("problems.csv")], Path("out"), options).count("100.0 (") == 3


def test_a_contests_clock_ends_no_attempt_that_is_to_be_counted(folder: Path) -> None:
    text = evaluate_files(Path("tir"), [Path("problems.csv")], Path("out"), EVALUATED)
    options = dataclasses.replace(EVALUATED, settings=("competition=aimo-3", "budget.reserve_seconds=1e9"))
    assert evaluate_files(Path("tir"), [Path("problems.csv")], Path("clock"), options) == text


def test_a_prediction_that_stands_on_too_few_attempts_is_made_again(folder: Path) -> None:
    evaluate_files(Path("tir"), [Path("problems.csv")], Path("out"), EVALUATED)
    journal = Path("out/problems.jsonl")
    lines = journal.read_text("utf-8").splitlines(keepends=True)
    cut = next(i for i, line in enumerate(lines) if '"kind": "attempt"' in line and '"problem_id": "a"' in line)
    journal.write_text("".join(lines[:cut] + lines[cut + 1 :]), "utf-8")
    text = evaluate_files(Path("tir"), [Path("problems.csv")], Path("out"), EVALUATED)
    assert "| problems | 4 |" in text
    whole = journal.read_bytes()
    forget_short(journal, 3)
    assert journal.read_bytes() == whole  # of whole problems nothing is taken out


def test_the_solver_does_not_outlive_an_evaluation_that_is_killed(folder: Path) -> None:
    write_script(folder / "slow.jsonl", [{"when": "", "texts": ["x" * 99_999], "tokens_per_second": 1}])
    command = [
        *(sys.executable, "-m", "merge", "evaluate", "tir", "problems.csv", "--engine", "scripted", "-o", "out"),
        *("--set", f"engine.scripted.script='{folder}/slow.jsonl'"),
    ]
    evaluation = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_until(lambda: Path("out/problems.jsonl").exists())
    children = Path(f"/proc/{evaluation.pid}/task/{evaluation.pid}/children").read_text("ascii").split()
    evaluation.kill()
    evaluation.wait()
    assert len(children) == 1
    wait_until(lambda: not is_running(children[0]))


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def is_running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_every_checkpoint_is_kept_where_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge.sweep, "evaluate", lambda *_: ALL_RIGHT)
    sweep(Path("recipe.yml"), [0.25, 0.75], Path("problems.csv"), Path("out"), dataclasses.replace(OPTIONS, keep=True))
    assert len(list(Path("out").glob("weight-*/config.json"))) == 2


def test_problems_without_answers_are_refused_before_anything_is_written(folder: Path) -> None:
    (folder / "problems.csv").write_text("id,problem\na,one\n", "utf-8")
    with pytest.raises(SolverError, match="has no column answer, or an empty one"):
        sweep(Path("recipe.yml"), [0.5], Path("problems.csv"), Path("out"), OPTIONS)
    (folder / "problems.csv").write_text("id,problem,answer\na,one,\nb,two,2\n", "utf-8")
    with pytest.raises(SolverError, match="has no answer for a"):
        sweep(Path("recipe.yml"), [0.5], Path("problems.csv"), Path("out"), OPTIONS)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"settings": ("foo.bar=1",)}, "unknown setting 'foo'"),
        ({"preset": "banana"}, "banana"),
        ({"engine": "banana"}, "banana"),
    ],
)
def test_settings_that_the_solver_refuses_are_told_before_anything_is_merged_or_written(
    change: dict[str, Any], said: str, folder: Path
) -> None:
    swept, evaluated = dataclasses.replace(OPTIONS, **change), dataclasses.replace(EVALUATED, **change)
    with pytest.raises(SolverError, match=said):
        sweep(Path("recipe.yml"), [0.5], Path("problems.csv"), Path("out"), swept)
    with pytest.raises(SolverError, match=said):
        evaluate_files(Path("tir"), [Path("problems.csv")], Path("out"), evaluated)
    assert not Path("out").exists()


def test_a_checkpoint_that_is_not_whole_is_told_before_anything_is_written(folder: Path) -> None:
    options = EvaluateOptions(attempts=3, engine="transformers", settings=("chat.family=miniature",))
    for model, said in (("nowhere", "no such folder"), ("problems.csv", "it is a file"), ("tir", "is cut short")):
        if model == "tir":
            os.truncate("tir/model.safetensors", 9000)
        with pytest.raises(SolverError, match=said):
            evaluate_files(Path(model), [Path("problems.csv")], Path("out"), options)
    assert not Path("out").exists()


def test_results_that_would_go_into_a_file_are_refused(folder: Path) -> None:
    before = Path("problems.csv").read_bytes()
    with pytest.raises(MergeError, match=r"problems\.csv is a file: -o names a folder"):
        evaluate_files(Path("tir"), [Path("problems.csv")], Path("problems.csv"), EVALUATED)
    with pytest.raises(MergeError, match=r"problems\.csv is a file: -o names a folder"):
        sweep(Path("recipe.yml"), [0.5], Path("problems.csv"), Path("problems.csv"), OPTIONS)
    assert Path("problems.csv").read_bytes() == before


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
    with pytest.raises(MergeError, match="3 of 4 attempts at a came to their end"):
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


def point(weight: float, right: set[int], tokens: float) -> Point:
    scores = [float(problem in right) for problem in range(100)]
    value = sum(scores) / 100
    figures = {name: Figure(value, 0, value, value) for name in COLUMNS} | {"tokens": Figure(tokens, 1, tokens, tokens)}
    return Point(weight, Evaluation(100, 16, figures, {"maj": scores}))


def test_among_weights_within_one_standard_error_the_cheapest_is_taken() -> None:
    first = set(range(69))
    points = [point(0, set(range(60)), 100), point(0.5, set(range(5, 73)), 300), point(1, first, 900)]
    assert choose(points, "maj").weight == 0.5  # five problems lost, four won
    assert choose([*points, point(0.9, set(range(80)), 2000)], "maj").weight == 0.9


def test_a_weight_that_only_loses_problems_is_not_near_although_the_intervals_overlap() -> None:
    points = [point(0.7, set(range(80)), 100), point(1, set(range(78)), 99)]
    assert choose(points, "maj").weight == 0.7


def test_the_error_of_a_difference_is_that_on_the_same_problems() -> None:
    assert difference([1, 1, 0, 0], [1, 1, 0, 0]) == (0, 0)
    mean, error = difference([1, 1, 1, 1], [0, 1, 1, 1])
    assert (mean, error) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("text", "weights"),
    [("0:1:0.25", [0, 0.25, 0.5, 0.75, 1]), ("0,0.3,1", [0, 0.3, 1]), ("0.7", [0.7]), ("0.1:0.3:0.1", [0.1, 0.2, 0.3])],
)
def test_weights_are_read(text: str, weights: list[float]) -> None:
    assert parse_weights(text) == weights


@pytest.mark.parametrize("text", ["", "0:1", "0:1:0", "1:0:0.1", "0:1:0.3", "a,b", "0:inf:1", "nan", "0,inf"])
def test_other_weights_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="write it as"):
        parse_weights(text)

"""Hard phrasings first: what the model knows is drawn seldom, and what is written is the first program."""

import json
import math
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from typer.testing import CliRunner

from merge.cli import app
from merge.miniature import hardness
from merge.miniature.data import draw_samples
from merge.miniature.family import FAMILIES
from merge.miniature.hardness import chance_to_draw, measure, one_of_each_phrasing, read_nats
from merge.train import train
from merge.train_config import TrainConfig
from solver.errors import UsageError
from tests.test_train import prepare

TRAINED = [name for name, family in FAMILIES.items() if not family.held_out]


def test_the_chance_to_draw_is_that_of_a_miss_a_tenth_at_least_and_one_where_nothing_was_measured() -> None:
    nats = {"known": [0.0, math.log(4)]}
    assert chance_to_draw(nats, "known", 0) == 0.1
    assert chance_to_draw(nats, "known", 1) == pytest.approx(0.75)
    assert chance_to_draw(nats, "known", 2) == chance_to_draw(nats, "new", 0) == 1


def test_what_is_known_is_drawn_seldom_but_not_never_and_only_first_programs_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "sum-of-two-dice"
    monkeypatch.setattr("merge.miniature.data.FAMILIES", {name: FAMILIES[name]})
    monkeypatch.setattr("merge.miniature.data.OFTEN", set())
    phrasings = FAMILIES[name].trained_phrasings
    nats = {name: [0.0, 50.0] + [0.0] * (len(phrasings) - 2)}
    samples = list(islice(draw_samples("tir", 0, nats=nats), 300))
    beginning, _, _ = phrasings[1].partition("{")
    num_hard = sum(it.problem.startswith(beginning) for it in samples)
    assert 300 / len(phrasings) * 3 < num_hard < 300
    shapes = {it.turns[0].count("\n") for it in samples}
    assert len(shapes) == 1


def test_each_trained_phrasing_is_measured_once_and_none_that_is_held_out() -> None:
    names = [name for name, _ in one_of_each_phrasing(0)]
    assert {name: names.count(name) for name in names} == {
        name: len(FAMILIES[name].trained_phrasings) for name in TRAINED
    }


@pytest.mark.real
def test_what_was_trained_is_less_hard_than_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [next(it for it in one_of_each_phrasing(seed) if it[0] == "sum-of-two-dice") for seed in range(2)]
    monkeypatch.setattr(hardness, "one_of_each_phrasing", lambda seed: iter(few))
    config = prepare(tmp_path)
    train(config)
    before = measure(replace(config, output="", start=()))
    after = measure(replace(config, output="", start=(config.output,)))
    assert len(before["sum-of-two-dice"]) == 2
    assert before["sum-of-two-dice"][0] > 0
    assert sum(after["sum-of-two-dice"]) < sum(before["sum-of-two-dice"])


def test_the_command_measures_the_mean_of_all_that_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[TrainConfig] = []

    def measured(config: TrainConfig) -> dict[str, list[float]]:
        asked.append(config)
        return {"sum-of-two-dice": [0.5]}

    monkeypatch.setattr(hardness, "measure", measured)
    monkeypatch.setattr("solver.model.convert", lambda folder: None)
    output = tmp_path / "hardness.json"
    result = CliRunner().invoke(app, ["hardness", str(output), "--start", "a", "--start", "b"])
    assert result.exit_code == 0, result.output
    assert [config.start for config in asked] == [("a", "b")]
    assert read_nats(output) == {"sum-of-two-dice": [0.5]}


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": ["x"]}'])
def test_a_file_that_holds_no_hardness_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "h.json").write_text(text, "utf-8")
    with pytest.raises(UsageError, match="is no file of `merge hardness`"):
        read_nats(tmp_path / "h.json")


def test_hardness_survives_its_file(tmp_path: Path) -> None:
    (tmp_path / "h.json").write_text(json.dumps({"a": [0.5, 1]}), "utf-8")
    assert read_nats(tmp_path / "h.json") == {"a": [0.5, 1.0]}

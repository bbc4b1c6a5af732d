"""Adapters that a training cannot go on from are refused in one line, before a model is loaded."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from merge.errors import CheckpointError
from merge.miniature.hardness import measure
from merge.train import train
from merge.train_config import TrainConfig, check_logits, check_rank, check_start
from solver.errors import SolverError, UsageError
from tests.checkpoints import LINEARS, make_adapter, make_checkpoint
from tests.test_train import prepare


def plan(folder: Path, *starts: str, rank: int = 4) -> TrainConfig:
    base = folder / "base"
    if not base.exists():
        make_checkpoint(base)
    return TrainConfig(str(base), "samples", "output", start=tuple(str(folder / it) for it in starts), rank=rank)


def test_adapters_of_the_base_and_the_rank_asked_for_are_gone_on_from(tmp_path: Path) -> None:
    make_adapter(tmp_path / "a")
    make_adapter(tmp_path / "b", 1)
    check_start(plan(tmp_path, "a", "b"))
    check_rank(plan(tmp_path, "a", "b"))
    check_start(plan(tmp_path, rank=0))
    check_rank(plan(tmp_path, rank=0))


@pytest.mark.parametrize("name", ["nosuch", "base"])
def test_a_folder_that_is_no_adapter_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"/{name} is no adapter \(it has no adapter_config.json\): name the folder"):
        check_start(plan(tmp_path, name))


def test_an_adapter_for_another_base_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(LINEARS, "mlp.up_proj", (64, 32))
        make_adapter(tmp_path / "wide")
    with pytest.raises(CheckpointError, match=r"wide has .* another base"):
        check_start(plan(tmp_path, "wide"))


def test_adapters_of_different_rank_have_no_mean(tmp_path: Path) -> None:
    make_adapter(tmp_path / "a", rank=4)
    make_adapter(tmp_path / "b", rank=8)
    with pytest.raises(UsageError, match="/b is an adapter of another shape"):
        check_start(plan(tmp_path, "a", "b"))


@pytest.mark.parametrize("rank", [0, 2, 16])
def test_a_rank_that_is_not_the_adapters_is_refused_with_the_one_to_give(rank: int, tmp_path: Path) -> None:
    make_adapter(tmp_path / "a", rank=4)
    with pytest.raises(UsageError, match=r"give --rank 4$"):
        check_rank(plan(tmp_path, "a", rank=rank))


@pytest.mark.parametrize(("start", "rank"), [("nosuch", 4), ("a", 2)])
def test_a_training_asks_before_the_model_is_loaded_and_leaves_nothing(
    start: str, rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("merge.train.Training")
    make_adapter(tmp_path / "a", rank=4)
    config = prepare(tmp_path, rank=rank, start=(str(tmp_path / start),))
    with pytest.raises(UsageError, match="adapter"):
        train(replace(config, output=str(tmp_path / "new/out")))
    assert not (tmp_path / "new").exists()


def test_hardness_of_no_adapter_is_refused_and_of_any_rank_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("merge.miniature.hardness.Training")
    with pytest.raises(UsageError, match="is no adapter"):
        measure(plan(tmp_path, "nosuch"))
    make_adapter(tmp_path / "a", rank=8)
    monkeypatch.setattr("merge.miniature.hardness.one_of_each_phrasing", lambda seed: _stop())
    with pytest.raises(SolverError, match="it came this far"):
        measure(plan(tmp_path, "a", rank=16))


def _stop() -> None:
    raise SolverError("it came this far")


@pytest.mark.parametrize("setting", [{"final_logit_softcapping": 30.0}, {"logits_scaling": 8.0}, {"logit_scale": 0.06}])
def test_a_base_that_scales_or_caps_its_logits_is_refused(setting: dict[str, Any], tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "base", **setting)
    with pytest.raises(UsageError, match=f"has {next(iter(setting))} "):
        check_logits(str(tmp_path / "base"))


@pytest.mark.parametrize("setting", [{}, {"final_logit_softcapping": None}, {"logits_scaling": 1.0}])
def test_a_base_with_plain_logits_is_trained(setting: dict[str, Any], tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "base", **setting)
    check_logits(str(tmp_path / "base"))

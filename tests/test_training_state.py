"""What is there of another training is neither gone on from nor replaced; what is of this one is both."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from merge.errors import MergeError
from merge.samples import TokenSample
from merge.train import load_tokens, train
from merge.train_config import TrainConfig
from merge.training_state import Identity, SavedTraining, fingerprint, identify
from solver.config import load_config
from solver.errors import UsageError
from tests.checkpoints import make_adapter, make_checkpoint
from tests.test_train import prepare

SAMPLES = [TokenSample([1, 2, 3], [False, True, True]), TokenSample([4, 5], [False, True])]


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    base = make_checkpoint(tmp_path / "base")
    return TrainConfig(str(base), "none.jsonl", str(tmp_path / "adapter"))


def written_by(config: TrainConfig, **record: Any) -> Identity:
    """Its output is there, as a finished training leaves it."""
    identity = identify(config, SAMPLES)
    folder = Path(config.output)
    folder.mkdir()
    (folder / "training.json").write_text(json.dumps({**identity, **record}), "utf-8")
    return identity


def saved(config: TrainConfig, samples: list[TokenSample] = SAMPLES) -> SavedTraining:
    return SavedTraining(Path(config.output), identify(config, samples))


@pytest.mark.parametrize("what", ["folder", "record of another program", "file", "link", "broken link"])
def test_an_output_that_no_training_wrote_stays_and_is_refused_before_the_model_is_loaded(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("merge.train.Training")
    config = prepare(tmp_path)
    output, target = Path(config.output), tmp_path / "target"
    if what == "file":
        output.write_text("precious", "utf-8")
    elif "link" in what:
        output.symlink_to(target)
    else:
        output.mkdir()
    if what == "link":
        samples = load_tokens(config, load_config(config.preset))
        target.mkdir()
        (target / "training.json").write_text(json.dumps(dict(identify(config, samples))), "utf-8")
    elif what == "folder":
        (output / "thesis.tex").write_text("precious", "utf-8")
    elif what == "record of another program":
        (output / "training.json").write_text("[]", "utf-8")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="adapter is there and is not of a training: name another output, or remove"):
        train(config)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_output_of_the_same_training_is_replaced_with_other_steps_too(config: TrainConfig) -> None:
    written_by(config)
    other = replace(config, max_steps=9, decay_steps=3, checkpoint_seconds=1.0, samples="moved.jsonl")
    saved(other).prepare()
    finished = Path(f"{config.output}.new")
    finished.mkdir()
    saved(other).publish(finished)
    assert list(Path(config.output).iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"learning_rate": 0.5}, r"\(learning rate was 0.001, is 0.5\)"),
        ({"rank": 4, "seed": 1}, r"\(rank was 16, is 4; seed was 0, is 1\)"),
        ({"order": "sequential"}, r"\(order was mixed, is sequential\)"),
        ({"base": "elsewhere"}, r"\(another base\)"),
        ({"start": ("a",)}, r"\(other adapters to start from\)"),
    ],
)
def test_what_another_training_wrote_is_refused_and_what_differs_is_said(
    change: dict[str, Any], said: str, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_checkpoint(tmp_path / "elsewhere", 1)
    make_adapter(tmp_path / "a")
    written_by(config)
    with pytest.raises(UsageError, match=f"adapter is there and is of another training {said}: name another output"):
        saved(replace(config, **change)).prepare()


@pytest.mark.parametrize(
    "samples", [SAMPLES[:1], SAMPLES[::-1], [SAMPLES[0], TokenSample([4, 5], [True, True])]], ids=str
)
def test_other_samples_make_another_training(samples: list[TokenSample], config: TrainConfig) -> None:
    written_by(config)
    with pytest.raises(UsageError, match=r"another training \(other samples\)"):
        saved(config, samples).prepare()
    with pytest.raises(UsageError, match=r"another training \(max length was 512, is 100\)"):
        saved(replace(config, max_length=100), samples).prepare()  # which is why the samples are others


def test_an_output_of_an_earlier_version_is_refused(config: TrainConfig) -> None:
    written_by(config)
    (Path(config.output) / "training.json").write_text('{"base": "base", "rank": 16}', "utf-8")
    with pytest.raises(UsageError, match="does not say which training it is of"):
        saved(config).prepare()


def test_whoever_may_read_a_new_file_may_read_a_finished_output(config: TrainConfig, tmp_path: Path) -> None:
    made, usual = tmp_path / "made", tmp_path / "usual"
    made.mkdir()
    (made / "adapter_model.safetensors").touch(0o600)  # as safetensors writes it
    usual.touch()
    saved(config).publish(made)
    weights = Path(config.output) / "adapter_model.safetensors"
    assert weights.stat().st_mode == usual.stat().st_mode


def test_what_has_come_to_the_outputs_place_meanwhile_is_kept(config: TrainConfig, tmp_path: Path) -> None:
    training = saved(config)
    training.prepare()
    finished = tmp_path / "finished"
    finished.mkdir()
    (training.output).mkdir()
    (training.output / "thesis.tex").write_text("precious", "utf-8")
    with pytest.raises(
        UsageError, match=r"move it away and repeat the command, which goes on from .*\.checkpoint\.pt$"
    ):
        training.publish(finished)
    assert (training.output / "thesis.tex").read_text("utf-8") == "precious"


def test_the_folder_that_the_output_goes_into_is_made_at_the_start(config: TrainConfig, tmp_path: Path) -> None:
    saved(replace(config, output=str(tmp_path / "new/er/adapter"))).prepare()
    assert (tmp_path / "new/er").is_dir()
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(MergeError, match=r"cannot write to .*/file"):
        saved(replace(config, output=str(tmp_path / "file/adapter"))).prepare()


@pytest.mark.real
def test_a_checkpoint_comes_back_to_its_training_alone(config: TrainConfig) -> None:
    training = saved(config)
    assert training.read(0) is None
    training.write({"weights": {}, "optimizer": {}, "step": 7})
    for max_steps in (0, 7, 8):
        state = training.read(max_steps)
        assert state is not None
        assert state["step"] == 7
    with pytest.raises(UsageError, match="is at step 7, beyond --max-steps 6: raise it, delete the checkpoint, or"):
        training.read(6)
    with pytest.raises(UsageError, match=r"adapter.checkpoint.pt is of another training \(seed was 0, is 1\): delete"):
        saved(replace(config, seed=1)).read(0)


@pytest.mark.real
@pytest.mark.parametrize("change", [{"rank": 4}, {"learning_rate": 0.5}])
def test_a_checkpoint_of_another_training_is_refused_before_the_model_is_loaded(
    change: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("merge.train.Training")
    config = prepare(tmp_path)
    samples = load_tokens(config, load_config(config.preset))
    SavedTraining(Path(config.output), identify(config, samples)).write({"step": 1})
    with pytest.raises(UsageError, match=r"checkpoint.pt is of another training .* delete it, or name another output"):
        train(replace(config, **change))


@pytest.mark.real
def test_a_checkpoint_that_does_not_say_which_training_it_is_of_is_refused(config: TrainConfig) -> None:
    import torch

    training = saved(config)
    torch.save({"weights": {}, "optimizer": {}, "step": 7}, training.checkpoint)
    with pytest.raises(UsageError, match=r"does not say which .* \(an earlier version wrote it\): delete it, or name"):
        training.read(0)
    whole = training.checkpoint.read_bytes()
    for broken in (b"", b"text", whole[: len(whole) // 2]):
        training.checkpoint.write_bytes(broken)
        with pytest.raises(UsageError, match=r"checkpoint.pt is not of a training: delete it, or name another output"):
            training.read(0)
    training.checkpoint.unlink()
    training.checkpoint.mkdir()  # the first checkpoint could not take its place
    with pytest.raises(UsageError, match=r"checkpoint.pt is not of a training"):
        training.read(0)


def test_a_fingerprint_sees_every_byte_of_small_files_and_pieces_of_large_ones(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    prints = set()
    for values in (b"", b"a", b"b", b"a" * 70_000, b"a" * 69_999 + b"b"):
        file.write_bytes(values)
        prints.add(fingerprint([file]))
    large = bytearray(40 * 2**20)
    for place in (None, 0, len(large) // 512 * 300):
        if place is not None:
            large[place] ^= 1
        file.write_bytes(large)
        prints.add(fingerprint([file]))
    assert len(prints) == 8

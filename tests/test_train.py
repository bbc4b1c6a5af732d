"""Fine-tuning: batches of like length, a learning rate that warms up and decays, a training that survives a kill."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from merge.checkpoint import read_checkpoint
from merge.cli import app
from merge.output import exclusive
from merge.parents import same_tokenizer
from merge.samples import Sample, write_samples
from merge.schedule import learning_rate, make_batches, padding_saved
from merge.train import resume, train
from merge.train_config import TrainConfig
from merge.training_state import SavedTraining, identify
from merge.verify import verify
from solver.errors import UsageError
from tests.checkpoints import TEMPLATE, make_checkpoint

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=200)
PLAN = TrainConfig("base", "samples", "output")


@given(LENGTHS, st.sampled_from(["mixed", "sequential"]))
def test_every_sample_is_in_one_batch_and_no_batch_is_too_large(lengths: list[int], order: str) -> None:
    config = TrainConfig("base", "samples", "output", tokens_per_batch=600, order=order)
    batches = make_batches(lengths, config)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(len(batch) * max(lengths[i] for i in batch) <= 600 for batch in batches)
    assert padding_saved(lengths, batches) >= 1
    if order == "sequential":
        longest = [max(lengths[i] for i in batch) for batch in batches]
        assert longest == sorted(longest)


@given(st.integers(1, 500), st.integers(0, 499))
def test_the_learning_rate_is_positive_and_never_above_its_height(num_steps: int, step: int) -> None:
    rate = learning_rate(min(step, num_steps - 1), num_steps, PLAN)
    assert 0 < rate <= PLAN.learning_rate


def test_the_learning_rate_warms_up_stays_and_decays() -> None:
    rates = [learning_rate(step, 200, PLAN) for step in range(200)]
    assert rates[0] < rates[5] < rates[20] == rates[150] > rates[180] > rates[199]


def prepare(folder: Path, **plan: object) -> TrainConfig:
    base = make_checkpoint(folder / "base")
    samples = [Sample.of_program(f"What is {a}+{b}?", f"print({a} + {b})", a + b) for a in range(3) for b in range(3)]
    write_samples(folder / "samples.jsonl", samples)
    given = {"tokens_per_batch": 600, "rank": 2, "learning_rate": 0.01, "warmup_steps": 1, "decay_steps": 2, **plan}
    return TrainConfig(str(base), str(folder / "samples.jsonl"), str(folder / "adapter"), **given)  # type: ignore[arg-type]


def losses(capsys: pytest.CaptureFixture[str]) -> list[float]:
    return [float(line.split()[3]) for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]


def adapter(folder: Path, name: str = "adapter") -> dict[str, Any]:
    from safetensors.torch import load_file

    tensors: dict[str, Any] = load_file(folder / name / "adapter_model.safetensors")
    return tensors


@pytest.mark.real
def test_an_adapter_is_trained_and_killed_training_goes_on_from_its_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from merge.train import load_tokens
    from solver.config import load_config

    config = prepare(tmp_path)
    train(config)
    assert losses(capsys)[-1] < 6
    weights = adapter(tmp_path)
    record = json.loads((tmp_path / "adapter/training.json").read_text("utf-8"))
    assert record["base"] == "base"
    assert str(tmp_path) not in json.dumps(record)
    samples = load_tokens(config, load_config("miniature"))
    saved = SavedTraining(Path(config.output), identify(config, samples))
    again = resume(config, samples, saved)
    assert again.step == again.num_steps  # its checkpoint is at the end
    saved.checkpoint.unlink()
    killed = resume(config, samples, saved)
    assert killed.step == 0
    killed.take_step([samples[i] for i in killed.batches[0]])
    saved.write(killed.state())
    resumed = resume(config, samples, saved)
    assert resumed.step == 1
    resumed.run(saved)
    resumed.write(saved, tmp_path / "again")
    for name, tensor in adapter(tmp_path).items():
        assert torch.allclose(tensor, weights[name], atol=1e-3), name


@pytest.mark.real
def test_a_second_training_into_one_output_waits_for_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = prepare(tmp_path, max_steps=1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    train(replace(config, output=str(elsewhere / "adapter")))
    with ThreadPoolExecutor() as pool:
        with exclusive(Path(config.output), print):
            second = pool.submit(train, config)
            said = ""
            while "waiting for another process" not in said and not second.done():
                said += capsys.readouterr().err
                time.sleep(0.05)
            (elsewhere / "adapter.checkpoint.pt").rename(f"{config.output}.checkpoint.pt")
        second.result()
    assert "going on from step 1 of" in capsys.readouterr().err
    assert adapter(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "adapter", "adapter.checkpoint.pt", "base", "elsewhere", "samples.jsonl"
    }  # fmt: skip


@pytest.mark.real
@pytest.mark.parametrize(("bfloat16", "tolerance"), [(False, 1e-3), (True, 0.1)])
def test_layers_in_one_product_have_the_losses_and_gradients_of_peft(
    bfloat16: bool, tolerance: float, tmp_path: Path
) -> None:
    import torch
    from peft.tuners.lora import Linear

    from merge.train import Training, load_tokens
    from solver.config import load_config

    config = prepare(tmp_path)
    training = Training(config, load_tokens(config, load_config("miniature")), in_bfloat16=bfloat16)
    layers = [layer for layer in training.model.modules() if isinstance(layer, Linear)]
    for layer in layers:
        torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.1)  # zero at first: A would have no gradient
    batch = [training.samples[i] for i in training.batches[0]]

    def measure() -> list[torch.Tensor]:
        training.optimizer.zero_grad()
        loss = training._losses(batch)[0].mean()
        loss.backward()
        return [loss.detach(), *(weight.grad.clone() for weight in training.weights)]

    joined = measure()
    for layer in layers:
        assert vars(layer).pop("forward")  # else the layer had peft's all along
    training.model.float()
    for ours, theirs in zip(joined, measure(), strict=True):
        assert ours.dtype == torch.float32
        assert theirs.abs().max() > 0
        assert torch.norm(ours - theirs) < tolerance * torch.norm(theirs)


@pytest.mark.real
@pytest.mark.parametrize("count", [0, 1, 32, 33, 100])
def test_the_heads_losses_and_gradient_are_those_of_cross_entropy(count: int) -> None:
    import torch

    from merge.head_loss import head_losses

    torch.manual_seed(count)
    head, targets = torch.randn(300, 16), torch.randint(300, (count,))
    hidden = torch.randn(count, 16, requires_grad=True)
    weights = torch.rand(count)
    found = head_losses(hidden, head, targets)
    (found * weights).sum().backward()
    gradient, hidden.grad = hidden.grad, None
    expected = torch.nn.functional.cross_entropy(hidden @ head.t(), targets, reduction="none")
    (expected * weights).sum().backward()
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(gradient, hidden.grad, atol=1e-5)
    assert torch.allclose(head_losses(hidden.detach(), head, targets), expected, atol=1e-5)


@pytest.mark.real
def test_training_goes_on_from_an_earlier_adapter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = prepare(tmp_path)
    train(config)
    first = losses(capsys)[-1]
    train(prepare_again(config, tmp_path))
    assert losses(capsys)[-1] < first


def prepare_again(config: TrainConfig, folder: Path) -> TrainConfig:
    return replace(config, start=(config.output,), output=str(folder / "second"))


def from_two(folder: Path, **other: Any) -> TrainConfig:
    """A training from the adapters of two that are done, of which the second differs in `other`."""
    first = prepare(folder, max_steps=1)
    second = replace(first, output=str(folder / "second"), **other)
    train(first)
    train(second)
    return replace(first, start=(first.output, second.output), output=str(folder / "both"))


@pytest.mark.real
def test_two_trainings_side_by_side_go_on_from_the_mean_of_their_adapters(tmp_path: Path) -> None:
    import torch

    from merge.train import Training, load_tokens
    from solver.config import load_config

    both = from_two(tmp_path, seed=1)
    model = Training(both, load_tokens(both, load_config("miniature"))).model
    weights = {name.replace(".default", ""): it.float() for name, it in model.named_parameters() if "lora_" in name}
    one, other = adapter(tmp_path), adapter(tmp_path, "second")
    assert weights.keys() == one.keys()
    assert any(not torch.equal(one[name], other[name]) for name in one)
    for name, weight in weights.items():
        assert torch.allclose(weight, (one[name].float() + other[name].float()) / 2, atol=1e-6), name


@pytest.mark.real
def test_a_training_that_ended_before_its_decay_is_prolonged_by_more_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = prepare(tmp_path, max_steps=1, decay_steps=0)
    train(config)
    capsys.readouterr()
    train(replace(config, max_steps=2, decay_steps=1))
    assert "going on from step 1 of" in capsys.readouterr().err
    record = json.loads((tmp_path / "adapter/training.json").read_text("utf-8"))
    assert (record["steps"], record["decay_steps"]) == (2, 1)


@pytest.mark.real
def test_a_model_that_was_trained_whole_is_a_checkpoint_as_its_base_is(tmp_path: Path) -> None:
    config = prepare(tmp_path, rank=0, max_steps=1)
    (tmp_path / "base/chat_template.jinja").write_text(TEMPLATE, "utf-8")
    output = tmp_path / "new folder/model"
    train(replace(config, output=str(output)))
    checks = {check.name: check.status for check in verify(output, "weights")}
    assert set(checks.values()) <= {"ok", "skipped"}
    assert checks["tokenizer"] == checks["chat template"] == checks["generation config"] == "ok"
    base = read_checkpoint(tmp_path / "base")
    trained = read_checkpoint(output)
    assert same_tokenizer(trained, base)
    assert trained.config == base.config
    for name in ("generation_config.json", "chat_template.jinja", "tokenizer_config.json"):
        assert trained.text(name) == base.text(name)


@pytest.mark.real
def test_samples_that_are_all_too_long_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most 10 tokens"):
        train(prepare(tmp_path, max_length=10))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"problem": "?", "mode": "tir", "answer": 1}', "KeyError: 'turns'"),
        (b'{"problem": "?", "mode": "tir", "turns": [], "answer": 1}', "turns is no list of texts"),
        (b'{"problem": "?", "mode": "tir", "turns": "abc", "answer": 1}', "turns is no list of texts"),
        (b'{"problem": 3, "mode": "tir", "turns": ["a"], "answer": 1}', "problem is no text"),
        (b'{"problem": "?", "mode": "xyz", "turns": ["a"], "answer": 1}', "no mode 'xyz' with effort None"),
        (b'{"problem": "?", "mode": "cot", "turns": ["a"], "answer": 1, "effort": "huge"}', "with effort 'huge'"),
        (b"[]", "TypeError: list indices"),
        (b"\xff\xfe\xff", "can't decode"),
    ],
)
def test_a_line_that_is_no_sample_is_named_with_what_is_wrong(line: bytes, said: str, tmp_path: Path) -> None:
    config = prepare(tmp_path)
    with Path(config.samples).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(UsageError, match=r"samples.jsonl, line 10 is no training sample: \w+: ") as error:
        train(config)
    assert said in str(error.value)


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    Path(config.samples).write_text("", "utf-8")
    with pytest.raises(UsageError, match=r"samples.jsonl holds no sample"):
        train(config)


def test_the_command_line_sets_the_time_between_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[TrainConfig] = []
    monkeypatch.setattr("merge.train.train", asked.append)
    arguments = ["train", "samples.jsonl", "out", "--base", str(tmp_path), "--checkpoint-seconds", "7.5"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert [it.checkpoint_seconds for it in asked] == [7.5]

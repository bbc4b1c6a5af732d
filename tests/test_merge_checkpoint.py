"""Reading checkpoints without torch, adding adapters, exact arithmetic and rounding; numbers compared with torch's."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from merge.adapter import Delta, read_adapter
from merge.arithmetic import Expected, combination, count_wrong, rounding_error
from merge.checkpoint import PRECISION, from_float32, read_checkpoint, to_float32
from merge.errors import CheckpointError
from merge.parents import Parent, find_parents, row_chunks, write_fused
from merge.recipe import parse_recipe
from tests.checkpoints import make_adapter, make_checkpoint, tensor_shapes

FLOATS = arrays.arrays(np.float32, st.integers(1, 20), elements=st.floats(width=32, allow_nan=False))


@pytest.mark.parametrize("shards", [1, 3])
def test_a_checkpoint_is_read_with_every_tensor(tmp_path: Path, shards: int) -> None:
    checkpoint = read_checkpoint(make_checkpoint(tmp_path / "a", shards=shards))
    assert {name: info.shape for name, info in checkpoint.tensors.items()} == tensor_shapes(259, tied=True)
    assert checkpoint.dtype == "BF16"
    assert checkpoint.architecture == "LlamaForCausalLM"
    assert not checkpoint.is_quantized


def test_numbers_are_those_that_torch_reads(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    folder = make_checkpoint(tmp_path / "a", 3)
    theirs = safetensors.load_file(folder / "model.safetensors")
    for name, info in read_checkpoint(folder).tensors.items():
        assert np.array_equal(info.floats().reshape(info.shape), theirs[name].float().numpy())


@given(FLOATS)
def test_rounding_to_bfloat16_is_torchs(values: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    ours = to_float32(from_float32(values, "BF16"), "BF16")
    assert np.array_equal(ours, torch.from_numpy(values).bfloat16().float().numpy())


@pytest.mark.parametrize("dtype", sorted(PRECISION))
@given(values=arrays.arrays(np.float32, 8, elements=st.floats(-60000, 60000, width=32)))
def test_rounding_once_is_within_the_bound_and_one_step_further_is_not(dtype: str, values: np.ndarray) -> None:
    exact = values.astype(np.float64) * 1.0000001
    expected = Expected(exact, np.zeros_like(exact))
    if dtype == "F32":
        stored = exact.astype(np.float32)
    else:
        stored = to_float32(from_float32(exact.astype(np.float32), dtype), dtype)
        expected = Expected(exact, np.abs(exact) * 2.0**-23)  # it was rounded to float32 on the way
    assert count_wrong(stored, expected, dtype) == 0
    far: Any = exact + 2.5 * rounding_error(exact, dtype)
    assert count_wrong(far, Expected(exact, np.zeros_like(exact)), dtype) == len(values)


def test_nan_is_never_within_the_bound() -> None:
    assert count_wrong(np.array([np.nan], np.float32), Expected(np.zeros(1), np.ones(1)), "BF16") == 1


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "config.json").unlink(), "is no checkpoint: no config.json in it"),
        (lambda f: (f / "config.json").write_text("{"), "is not JSON"),
        (lambda f: (f / "model-00002-of-00003.safetensors").unlink(), "lacks model-00002-of-00003.safetensors"),
        (lambda f: (f / "model.safetensors.index.json").unlink(), "has shards but no model.safetensors.index.json"),
        (lambda f: _cut(f / "model-00003-of-00003.safetensors", -1), "is cut short"),
        (lambda f: _cut(f / "model-00003-of-00003.safetensors", 5), "is cut short or no safetensors file"),
        (
            lambda f: (f / "model-00001-of-00003.safetensors").write_bytes(b"\x10" + b"\0" * 30),
            "no readable safetensors",
        ),
        (lambda f: _swap(f), "the index says"),
    ],
)
def test_a_damaged_checkpoint_is_refused_in_one_line(tmp_path: Path, damage, said: str) -> None:  # type: ignore[no-untyped-def]
    folder = make_checkpoint(tmp_path / "a", shards=3)
    damage(folder)
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(folder)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def _cut(file: Path, size: int) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:size])


def _swap(folder: Path) -> None:
    index = json.loads((folder / "model.safetensors.index.json").read_text("utf-8"))
    index["weight_map"]["model.norm.weight"] = "model-00001-of-00003.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"use_dora": True}, "use_dora=true"),
        ({"bias": "all"}, 'bias="all"'),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"peft_type": "IA3"}, "is a IA3 adapter: only LoRA"),
    ],
)
def test_an_adapter_that_is_not_plain_lora_is_refused(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        read_adapter(make_adapter(tmp_path / "ad", **config))


def test_scale_follows_rslora_and_patterns(tmp_path: Path) -> None:
    plain = read_adapter(make_adapter(tmp_path / "a"))
    root = read_adapter(make_adapter(tmp_path / "b", use_rslora=True))
    named = read_adapter(make_adapter(tmp_path / "c", alpha_pattern={"mlp.up_proj": 40}))
    one = "model.layers.0.mlp.up_proj.weight"
    assert (plain.deltas[one].scale, root.deltas[one].scale, named.deltas[one].scale) == (2.0, 4.0, 10.0)
    assert named.deltas["model.layers.0.mlp.down_proj.weight"].scale == 2.0


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "base")
    adapter = make_adapter(tmp_path / "ad")
    recipe = parse_recipe("merge_method: linear\nmodels: [{model: base+ad, parameters: {weight: 1}}]")
    assert find_parents(recipe, tmp_path)[0].adapter is not None
    file = adapter / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes().replace(b"layers.1", b"layers.9"))
    with pytest.raises(CheckpointError, match=r"which .*base lacks: another base"):
        find_parents(recipe, tmp_path)


def test_a_fused_parent_is_base_and_adapter_in_float32(tmp_path: Path) -> None:
    parent = Parent(
        "x", read_checkpoint(make_checkpoint(tmp_path / "base")), read_adapter(make_adapter(tmp_path / "ad"))
    )
    write_fused(parent, tmp_path / "fused")
    fused = read_checkpoint(tmp_path / "fused")
    assert fused.dtype == "F32"
    assert fused.config["dtype"] == "float32"
    name = "model.layers.1.mlp.down_proj.weight"
    delta = parent.adapter.deltas[name]  # type: ignore[union-attr]
    exact = (
        parent.base.tensors[name].floats().astype(np.float64).reshape(32, 48)
        + 2.0 * delta.b.astype(np.float64) @ delta.a
    )
    assert np.abs(fused.tensors[name].floats().reshape(32, 48) - exact).max() < 1e-6
    untouched = "model.norm.weight"
    assert np.array_equal(fused.tensors[untouched].floats(), parent.base.tensors[untouched].floats())


@given(st.integers(0, 2**32 - 1))
def test_a_merge_is_right_in_whatever_order_its_adapters_products_were_added(seed: int) -> None:
    """Base and adapter cancel here but for rounding, which is all that is left and another on each processor."""
    generator = np.random.default_rng(seed)
    a, b = generator.normal(size=(16, 32)).astype(np.float32), generator.normal(size=(24, 16)).astype(np.float32)
    order = generator.permutation(16).tolist()
    base = -np.float32(2) * np.add.reduce([np.outer(b[:, k], a[k]) for k in range(16)])

    def fused(order: Sequence[int]) -> NDArray[np.float32]:
        return np.asarray(base + np.float32(2) * np.add.reduce([np.outer(b[:, k], a[k]) for k in order]))

    delta = Delta(a, b, 2.0)
    slack = 2.0**-21 * (np.abs(base) + delta.magnitude(0, 24)).astype(np.float64)
    assert np.all(np.abs(fused(order).astype(np.float64) - (base + delta.rows(0, 24))) <= slack)
    assert slack.max() < 2.0**-12 * np.abs(base).max()  # a wrong merge is still one: bfloat16 rounds to 2**-9


def test_rows_are_cut_without_loss_or_overlap(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(make_checkpoint(tmp_path / "a"))
    parent = Parent("a", checkpoint)
    for name, info in checkpoint.tensors.items():
        pieces = [parent.rows(name, *rows) for rows in row_chunks(info, elements=100)]
        assert np.array_equal(np.concatenate(pieces).ravel(), info.floats())


def test_exact_arithmetic_of_each_method_it_knows(tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        make_checkpoint(tmp_path / name, number + 1, near=0, dtype="float32")
    name = "model.layers.0.mlp.up_proj.weight"

    def merged(text: str) -> np.ndarray:
        recipe = parse_recipe(text)
        combine = combination(recipe, parents := find_parents(recipe, tmp_path))
        assert combine is not None
        return np.concatenate([combine(name, *r).values for r in row_chunks(parents[0].base.tensors[name], 500)])

    a, b, c = (read_checkpoint(tmp_path / x).tensors[name].floats().astype(np.float64).reshape(48, 32) for x in "abc")
    two = "models: [{model: b, parameters: {weight: 0.6}}, {model: c, parameters: {weight: 0.9}}]\n"
    assert np.allclose(merged("merge_method: linear\n" + two), 0.4 * b + 0.6 * c, atol=1e-12)
    task = merged("merge_method: task_arithmetic\nbase_model: a\n" + two)
    assert np.allclose(task, a + 0.6 * (b - a) + 0.9 * (c - a), atol=1e-12)
    slerp = merged("merge_method: slerp\nbase_model: a\nparameters: {t: 0.5}\nmodels: [{model: a}, {model: b}]")
    angle = np.arccos((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
    assert np.allclose(slerp, (a + b) / 2 / np.cos(angle / 2), atol=1e-3)
    ties = parse_recipe("merge_method: ties\nbase_model: a\n" + two)
    assert combination(ties, find_parents(ties, tmp_path)) is None


def test_weights_that_may_not_be_read_are_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(file: Path) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    folder = make_checkpoint(tmp_path / "a")
    monkeypatch.setattr("merge.checkpoint.weights.read_header", refused)
    with pytest.raises(CheckpointError, match=r"cannot read .*/a/model\.safetensors: Permission denied"):
        read_checkpoint(folder)


def test_weights_that_cancel_are_not_divided_by_their_sum_as_mergekit_does_not(tmp_path: Path) -> None:
    for number, name in enumerate(("base", "a", "b")):
        make_checkpoint(tmp_path / name, number)
    recipe = parse_recipe(
        "merge_method: task_arithmetic\nbase_model: base\nparameters: {normalize: true}\nmodels:\n"
        "- {model: a, parameters: {weight: 0.5}}\n- {model: b, parameters: {weight: -0.5}}"
    )
    parents = find_parents(recipe, tmp_path)
    combine = combination(recipe, parents)
    assert combine is not None
    base, a, b = (parent.rows("model.norm.weight", 0, 32).astype(np.float64) for parent in parents)
    np.testing.assert_allclose(combine("model.norm.weight", 0, 32).values, base + 0.5 * a - 0.5 * b, rtol=1e-12)

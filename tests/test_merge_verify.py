"""`merge verify` finds each fault and says what would have gone wrong later; loading is in test_merge_real.py."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import merge.verify
from merge.checkpoint import from_float32, read_checkpoint, write_safetensors
from merge.parents import Parent, find_parents
from merge.provenance import describe_checkpoint, describe_parent, write_manifest, write_provenance
from merge.recipe import parse_recipe
from merge.subject import Check, Depth, Subject
from merge.verify import verify
from tests.checkpoints import make_adapter, make_checkpoint, write_tokenizer

RECIPE = """merge_method: linear
models:
- {model: base+cot, parameters: {weight: 0.3}}
- {model: tir, parameters: {weight: 0.7}}
"""

GOOD: dict[str, object] = {"nll": 5.0, "vocabulary": 259, "missing": [], "unexpected": []}


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """A right merge, written by exact arithmetic."""
    make_checkpoint(tmp_path / "base")
    make_adapter(tmp_path / "cot", 1)
    make_checkpoint(tmp_path / "tir", 2, near=0, shards=2)
    recipe = parse_recipe(RECIPE)
    first, second = parents = find_parents(recipe, tmp_path)
    folder = tmp_path / "merged"
    folder.mkdir()
    write_tokenizer(folder)
    for name in ("config.json", "generation_config.json"):
        shutil.copy(tmp_path / "base" / name, folder)

    def exact(name: str) -> list[np.ndarray]:
        rows = (0, 10**6)
        return [
            from_float32(np.float32(0.3) * first.rows(name, *rows) + np.float32(0.7) * second.rows(name, *rows), "BF16")
        ]

    shapes = {name: ("BF16", info.shape) for name, info in first.base.tensors.items()}
    write_safetensors(folder / "model.safetensors", shapes, exact)
    described = [describe_parent(parent) for parent in parents]
    write_provenance(folder, "merge", recipe=RECIPE, output_dtype="bfloat16", parents=described)
    write_manifest(folder)
    return folder


def findings(folder: Path, depth: str = "weights") -> dict[str, Check]:
    return {check.name: check for check in verify(folder, depth)}  # type: ignore[arg-type]


def test_a_right_merge_passes_every_check_but_loading(merged: Path) -> None:
    found = findings(merged)
    assert {name for name, check in found.items() if check.status != "ok"} == {"loads, logits"}


def rewrite(
    folder: Path, change: Callable[[str, np.ndarray], np.ndarray], dtype: str = "BF16", extra: str | None = None
) -> None:
    tensors = read_checkpoint(folder).tensors
    values = {name: change(name, info.floats().reshape(info.shape).copy()) for name, info in tensors.items()}
    values |= {extra: np.ones(4, np.float32)} if extra else {}
    shapes = {name: (dtype, tensor.shape) for name, tensor in values.items()}
    write_safetensors(folder / "model.safetensors", shapes, lambda name: [from_float32(values[name], dtype)])
    write_manifest(folder)


def edit(folder: Path, name: str, **changes: object) -> None:
    tree = json.loads((folder / name).read_text("utf-8"))
    (folder / name).write_text(json.dumps(tree | changes), "utf-8")
    write_manifest(folder)


def poison(name: str, tensor: np.ndarray) -> np.ndarray:
    if name.endswith("1.mlp.up_proj.weight"):
        tensor[3, 5] = np.nan
    return tensor


def nudge(name: str, tensor: np.ndarray) -> np.ndarray:
    """One element by two steps of bfloat16."""
    if name == "model.norm.weight":
        tensor[7] *= 1 + 2**-6
    return tensor


FAULTS: list[tuple[str, Callable[[Path], object], str]] = [
    ("files", lambda f: (f / "model.safetensors").unlink(), "no engine could load it"),
    (
        "files",
        lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": []}}'),
        "no weight_map of file",
    ),
    ("manifest", lambda f: (f / "tokenizer_config.json").unlink(), "tokenizer_config.json of SHA256SUMS is gone"),
    ("manifest", lambda f: (f / "generation_config.json").write_text('{"eos_token_id": 2}'), "has changed since"),
    ("tensors", lambda f: rewrite(f, lambda n, t: t[:24] if "up_proj" in n else t), "it would not load"),
    ("tensors", lambda f: edit(f, "config.json", architectures=["Qwen2ForCausalLM"]), "architecture Qwen2ForCausalLM"),
    ("dtypes", lambda f: rewrite(f, lambda n, t: t, "F32"), "is F32 where config.json says bfloat16"),
    (
        "tied embeddings",
        lambda f: edit(f, "config.json", tie_word_embeddings=False),
        "the output layer would be random",
    ),
    ("finite", lambda f: rewrite(f, poison), "has 1 values that are NaN or infinite"),
    ("recomputed", lambda f: rewrite(f, poison), "are not what the recipe gives"),
    ("recomputed", lambda f: rewrite(f, nudge), "model.norm.weight: 1 of 32 elements off by more than one rounding"),
    ("tokenizer", lambda f: (f / "tokenizer.json").unlink(), "no tokenizer.json"),
    ("tokenizer", lambda f: write_tokenizer(f, ["<tool_call>"]), "260 tokens and 259 embedding rows"),
    ("tokenizer", lambda f: edit(f, "config.json", vocab_size=300), "it would not load"),
    ("chat template", lambda f: (f / "chat_template.jinja").write_text("x"), "not the parents' chat template"),
    ("generation config", lambda f: (f / "generation_config.json").unlink(), "it would not stop at their end tokens"),
    ("generation config", lambda f: edit(f, "generation_config.json", eos_token_id=0), "would run on or stop early"),
    (
        "generation config",
        lambda f: (f / "generation_config.json").write_text("{"),
        "merged/generation_config.json is no JSON object: engines would ignore it",
    ),
    ("generation config", lambda f: (f / "generation_config.json").write_text("[]"), "is no JSON object"),
    ("chat template", lambda f: (f / "tokenizer_config.json").write_text("{"), "tokenizer_config.json is not JSON"),
    ("tensors", lambda f: rewrite(f, lambda n, t: t, extra="model.extra.weight"), "model.extra.weight is in no parent"),
    (
        "provenance",
        lambda f: (f / "provenance.json").write_text('{"kind": "merge"}'),
        "provenance.json does not say what it was made from (no 'recipe'): nobody could make it again",
    ),
    ("provenance", lambda f: (f / "provenance.json").write_text("{"), "does not say what it was made from"),
    ("provenance", lambda f: edit(f, "provenance.json", recipe="merge_method: liner"), "did you mean 'linear'?"),
    ("provenance", lambda f: edit(f, "provenance.json", recipe=5), "does not say what it was made from"),
    ("provenance", lambda f: edit(f, "provenance.json", parents=[]), "(no 'parents')"),
    ("provenance", lambda f: edit(f, "provenance.json", parents=["cot"]), "does not say what it was made from"),
    ("tensors", lambda f: edit(f, "config.json", architectures=5), "it could not be checked: TypeError"),
]


@pytest.mark.parametrize(("name", "damage", "said"), FAULTS, ids=[said[:40] for *_, said in FAULTS])
def test_each_fault_is_found_and_told_in_one_line(
    merged: Path, name: str, damage: Callable[[Path], object], said: str
) -> None:
    damage(merged)
    check = findings(merged)[name]
    assert check.status == "failed"
    assert said in check.text
    assert "\n" not in check.text


def test_a_check_that_breaks_down_fails_and_the_others_still_run(merged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(subject: Subject, depth: Depth) -> str:
        raise OverflowError("two\nlines")

    monkeypatch.setitem(merge.verify._CHECKS, "finite", broken)
    found = findings(merged)
    assert found["finite"] == Check("finite", "failed", "it could not be checked: OverflowError: two lines")
    assert {name for name, check in found.items() if check.status != "ok"} == {"finite", "loads, logits"}


@pytest.mark.parametrize("damage", ["extra", "generation_config.json", "provenance.json"])
def test_damage_outside_the_weights_leaves_the_recomputing_of_the_weights(merged: Path, damage: str) -> None:
    if damage == "extra":
        rewrite(merged, lambda name, tensor: tensor, extra="model.extra.weight")
    else:
        (merged / damage).write_text("{", "utf-8")
    found = findings(merged)
    assert found["recomputed"].status == ("skipped" if damage == "provenance.json" else "ok")
    assert found["finite"].status == "ok"


def test_the_wrong_weights_are_found_even_where_every_number_is_plausible(merged: Path) -> None:
    record = json.loads((merged / "provenance.json").read_text("utf-8"))
    edit(merged, "provenance.json", recipe=record["recipe"].replace("0.3", "0.31"))
    assert "this is another merge" in findings(merged)["recomputed"].text


def test_swapped_tensors_of_one_shape_are_found(merged: Path) -> None:
    tensors = read_checkpoint(merged).tensors
    other = tensors["model.layers.1.mlp.up_proj.weight"].floats().reshape(48, 32).copy()
    rewrite(merged, lambda name, tensor: other if name == "model.layers.0.mlp.up_proj.weight" else tensor)
    assert findings(merged)["recomputed"].status == "failed"


def test_every_element_is_recomputed_where_all_is_asked_for(merged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("merge.verify.probe_in_child", lambda models: [GOOD] * len(models))
    assert findings(merged, "all")["recomputed"].text.startswith("every element")


@pytest.mark.parametrize(
    ("result", "parents", "said"),
    [
        ({"missing": ["model.norm.weight"]}, 5.0, "model.norm.weight is missing or unknown"),
        ({"nll": 9.0}, 5.0, "weights and names do not belong together"),
        ({"nll": float("nan")}, 5.0, "weights and names do not belong together"),
        ({"nll": 4.0}, 2.0, "it lost what they know"),
    ],
)
def test_logits_that_lie_elsewhere_are_found(
    merged: Path, monkeypatch: pytest.MonkeyPatch, result: dict[str, object], parents: float, said: str
) -> None:
    def probe(models: Sequence[Parent]) -> list[dict[str, object]]:
        return [GOOD | result, *[GOOD | {"nll": parents}] * (len(models) - 1)]

    monkeypatch.setattr("merge.verify.probe_in_child", probe)
    check = findings(merged, "full")["loads, logits"]
    assert check.status == "failed"
    assert said in check.text


def test_a_checkpoint_from_elsewhere_is_checked_by_itself(tmp_path: Path) -> None:
    found = findings(make_checkpoint(tmp_path / "a", tied=False))
    assert {name for name, check in found.items() if check.status == "skipped"} == {
        "manifest", "tensors", "recomputed", "loads, logits"
    }  # fmt: skip
    assert all(check.status != "failed" for check in found.values())


def test_the_index_must_count_the_bytes_of_the_shards(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "a", shards=2)
    edit(folder, "model.safetensors.index.json", metadata={"total_size": 1})
    assert "the index says 1 bytes" in findings(folder)["files"].text


def test_a_parent_that_changed_since_is_not_compared_but_told(merged: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "cot")
    make_adapter(tmp_path / "cot", 5)
    check = findings(merged)["recomputed"]
    assert check.status == "skipped"
    assert "base+cot has changed since they were merged" in check.text


def test_parents_that_are_gone_fail_where_every_element_was_to_be_recomputed(
    merged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("merge.verify.probe_in_child", lambda models: [GOOD] * len(models))
    shutil.move(tmp_path / "tir", tmp_path / "elsewhere")
    assert findings(merged)["recomputed"].status == "skipped"
    check = findings(merged, "all")["recomputed"]
    assert check.status == "failed"
    assert f"{tmp_path}/tir is no checkpoint: no such folder" in check.text


@pytest.mark.parametrize(
    "line", ["chat_template: chatml", "chat_template: auto", "tokenizer: {source: tir}", "tokenizer: {source: union}"]
)
def test_a_lost_chat_template_is_found_whatever_the_recipe_says_of_it(merged: Path, line: str) -> None:
    edit(merged, "provenance.json", recipe=RECIPE + line)
    assert findings(merged)["chat template"].status == "ok"
    settings = json.loads((merged / "tokenizer_config.json").read_text("utf-8"))
    del settings["chat_template"]
    (merged / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    (merged / "SHA256SUMS").unlink()
    check = findings(merged)["chat template"]
    assert check.status == "failed"
    assert "though its parents have one" in check.text


def quantize_rows(folder: Path, source: Path, dtype: str, *, wrong: bool = False) -> None:
    """int8 or FP8 by row, as compressed-tensors stores it."""
    shutil.copytree(source, folder)
    stored: dict[str, tuple[str, np.ndarray]] = {}
    for name, info in read_checkpoint(source).tensors.items():
        values = info.floats().reshape(info.shape)
        if "proj" not in name:
            stored[name] = ("BF16", from_float32(values, "BF16"))
            continue
        top = {"I8": 127, "F8_E4M3": 448}[dtype]
        scale = from_float32(np.abs(values).max(axis=1, keepdims=True) / top, "BF16")
        steps = values / (scale.astype(np.uint32) << 16).view(np.float32)
        if dtype == "I8":
            stored[name] = ("I8", np.clip(np.rint(steps), -128, 127).astype(np.int8))
        else:
            torch = pytest.importorskip("torch")
            stored[name] = ("F8_E4M3", torch.from_numpy(steps).to(torch.float8_e4m3fn).view(torch.uint8).numpy())
        stored[f"{name}_scale"] = (
            "BF16",
            from_float32(np.full(scale.shape, 9.0, np.float32), "BF16") if wrong else scale,
        )
    shapes = {name: (kind, tensor.shape) for name, (kind, tensor) in stored.items()}
    write_safetensors(folder / "model.safetensors", shapes, lambda name: [stored[name][1]])
    edit(folder, "config.json", quantization_config={"format": "int-quantized"})
    record = {"reference": str(source), "base": describe_checkpoint(read_checkpoint(source)), "adapter": None}
    write_provenance(folder, "quantize", parents=[record])


@pytest.mark.parametrize("dtype", ["I8", "F8_E4M3"])
def test_quantized_weights_are_compared_with_their_source(tmp_path: Path, dtype: str) -> None:
    source = make_checkpoint(tmp_path / "a")
    quantize_rows(tmp_path / "q", source, dtype)
    found = findings(tmp_path / "q")
    assert found["recomputed"].status == "ok", found
    assert found["tensors"].status == found["dtypes"].status == "ok"
    quantize_rows(tmp_path / "w", source, dtype, wrong=True)
    assert "wrong scales" in findings(tmp_path / "w")["recomputed"].text

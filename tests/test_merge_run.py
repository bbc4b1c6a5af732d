"""`merge run`: refusals before anything is written, and an output that is whole or not there. mergekit itself runs in
test_merge_real.py; here a stand-in does its part."""

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import merge.run
from merge.checkpoint import read_checkpoint
from merge.errors import MergeError, RecipeError
from merge.output import exclusive
from merge.provenance import read_provenance
from merge.run import RunOptions, parse_bytes, run
from merge.verify import verify
from solver.errors import SolverError
from tests.checkpoints import make_adapter, make_checkpoint
from tests.conftest import PROJECT

STAND_IN = "import tests.stand_in_mergekit as it; it.main()"
RECIPE = """merge_method: linear
models:
- {model: cot, parameters: {weight: 0.3}}
- {model: tir, parameters: {weight: 0.7}}
"""
QUICK = RunOptions(depth="weights")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_checkpoint(tmp_path / "cot", 1, near=0)
    make_checkpoint(tmp_path / "tir", 2, near=0)
    (tmp_path / "recipe.yml").write_text(RECIPE, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(merge.run, "_MERGEKIT", STAND_IN)
    monkeypatch.setattr(merge.run, "require_mergekit", lambda: None)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    return tmp_path


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"cot", "tir", "base", "ad1", "ad2", "recipe.yml"}


def test_a_merge_is_written_whole_with_tokenizer_provenance_and_manifest(folder: Path) -> None:
    checks = run(Path("recipe.yml"), Path("out"), QUICK)
    assert {check.name for check in checks if check.status == "skipped"} == {"loads, logits"}
    assert left(folder) == {"out"}
    names = {path.name for path in Path("out").iterdir()}
    assert names >= {"config.json", "tokenizer.json", "generation_config.json", "SHA256SUMS", "recipe.yml"}
    assert not list(Path("out").glob("*.tmp"))
    done = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd="out", check=False)
    assert done.returncode == 0
    provenance = read_provenance(Path("out"))
    assert provenance is not None
    assert [parent["reference"] for parent in provenance["parents"]] == ["cot", "tir"]
    assert len(provenance["parents"][0]["base"]["files"]["model.safetensors"]) == 64


def test_the_config_is_the_first_parents_own(folder: Path) -> None:
    run(Path("recipe.yml"), Path("out"), QUICK)
    ours, theirs = (read_checkpoint(Path(name)).config for name in ("out", "cot"))
    assert ours == theirs


def test_adapters_are_rounded_once(folder: Path) -> None:
    make_checkpoint(folder / "base")
    make_adapter(folder / "ad1", 1)
    make_adapter(folder / "ad2", 2)
    Path("recipe.yml").write_text(RECIPE.replace("cot", "base+ad1").replace("tir", "base+./ad2"), "utf-8")
    checks = {check.name: check for check in run(Path("recipe.yml"), Path("out"), QUICK)}
    assert checks["recomputed"].status == "ok"
    assert read_checkpoint(Path("out")).dtype == "BF16"
    adapters = [parent["adapter"]["files"] for parent in (read_provenance(Path("out")) or {})["parents"]]
    assert all("adapter_model.safetensors" in files for files in adapters)


def again(**options: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        shutil.rmtree(folder / "tir")
        make_checkpoint(folder / "tir", 2, near=0, **options)  # type: ignore[arg-type]

    return apply


def again_as_adapter(folder: Path) -> None:
    shutil.rmtree(folder / "tir")
    make_adapter(folder / "tir")


REFUSED = [
    (again(architectures=["Qwen2ForCausalLM"]), "different architectures: LlamaForCausalLM in"),
    (again(vocab=300), "different vocabularies: 259 tokens in"),
    (again(added=["<tool_call>"]), "different vocabularies: 259 tokens in"),
    (again(added=["<tool_call>"], vocab=259), "260 tokens and 259 embedding rows"),
    (again(tied=False), "ties its output to its embeddings"),
    (again(rope_theta=1e6), "rope_theta is 10000.0 and 1000000.0"),
    (again(hidden_size=48), "different architectures: hidden_size is 32 in"),
    (again(change=lambda n, t: t[:24] if "up_proj" in n else t), "different shapes of model.layers.0.mlp.up_proj"),
    (again(quantization_config={"quant_method": "fp8"}), "tir is quantized"),
    (lambda f: (f / "tir/model.safetensors").unlink(), "no weights in"),
    (lambda f: (f / "tir/model.safetensors").write_bytes(b"\0" * 100), "no readable safetensors header"),
    (lambda f: os.truncate(f / "tir/model.safetensors", 9000), "is cut short"),
    (lambda f: shutil.rmtree(f / "tir"), "no folder"),
    (lambda f: (f / "tir/tokenizer.json").unlink(), "tir has no tokenizer.json, and another parent has one"),
    (lambda f: (f / "tir/tokenizer.json").write_text('{"model": 1}'), "tokenizer"),
    (lambda f: (f / "tir/tokenizer_config.json").write_text("{"), "tokenizer_config.json is not JSON"),
    (lambda f: (f / "cot/generation_config.json").write_text("{"), "generation_config.json is not JSON"),
    (again_as_adapter, "tir is an adapter, no checkpoint: a recipe names it behind its base, BASE+ADAPTER"),
    (lambda f: (f / "tir/tokenizer_config.json").write_text('{"chat_template": "x"}'), "different chat templates"),
    (lambda f: (f / "out").mkdir(), "out is there already"),
    (lambda f: (f / "recipe.yml").write_text(RECIPE.replace("linear", "liner")), "did you mean 'linear'?"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=[said[:30] for _, said in REFUSED])
def test_what_would_merge_wrongly_is_refused_before_anything_is_written(
    folder: Path, change: Callable[[Path], object], said: str
) -> None:
    change(folder)
    with pytest.raises(SolverError) as error:
        run(Path("recipe.yml"), Path("out"), QUICK)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert left(folder) <= {"out"}
    assert not (folder / "out" / "config.json").exists()


@pytest.mark.parametrize(("device", "said"), [("gpu", "cpu, cuda or cuda:N"), ("cuda:9", "finds no GPU")])
def test_a_device_that_is_not_there_is_refused_before_anything_is_written(
    device: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MergeError, match=said):
        run(Path("recipe.yml"), Path("out"), dataclasses.replace(QUICK, device=device))
    assert left(folder) == set()


def test_a_parent_with_values_that_are_no_numbers_is_named(folder: Path) -> None:
    again(change=lambda name, values: values * (np.nan if name == "model.norm.weight" else 1))(folder)
    with pytest.raises(MergeError, match=r"finite: tir is broken: model\.norm\.weight has 32 values that are NaN"):
        run(Path("recipe.yml"), Path("out"), QUICK)
    assert left(folder) == set()


def test_what_is_written_may_be_read_by_who_may_read_other_new_files(folder: Path) -> None:
    run(Path("recipe.yml"), Path("out"), QUICK)
    (folder / "new").touch()
    assert {path.stat().st_mode for path in Path("out").iterdir()} == {(folder / "new").stat().st_mode}


def test_too_little_disk_is_refused_with_both_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(MergeError, match=r"not enough disk at .*: 0\.1 GB needed, 0\.0 GB free"):
        run(Path("recipe.yml"), Path("out"), QUICK)
    assert left(folder) == set()


def test_what_a_killed_merge_left_is_cleared_before_the_disk_is_asked_for_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = folder / ".out.partial" / "out" / "model.safetensors"
    rest.parent.mkdir(parents=True)
    rest.write_bytes(b"half")
    sizes = {True: 1000, False: 10**9}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, sizes[rest.exists()]))
    run(Path("recipe.yml"), Path("out"), QUICK)
    assert left(folder) == {"out"}


def test_missing_mergekit_is_told_with_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MergeError, match="mergekit is not installed: run `make setup`"):
        run(Path("recipe.yml"), Path("out"), QUICK)
    assert left(folder) == set()


def test_weights_that_do_not_sum_to_one_are_merged_and_said(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("recipe.yml").write_text(RECIPE.replace("0.7", "0.2"), "utf-8")
    assert all(check.status != "failed" for check in run(Path("recipe.yml"), Path("out"), QUICK))
    assert (
        "note: the weights sum to 0.5, not 1: mergekit divides by the sum, which gives 0.6 and 0.4"
        in capfd.readouterr().err
    )


@pytest.mark.parametrize(
    ("fault", "said"), [("error", "something about tensors"), ("wrong", "not what the recipe gives")]
)
def test_a_merge_that_fails_or_is_wrong_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fault: str, said: str
) -> None:
    monkeypatch.setenv("MERGEKIT_FAULT", fault)
    with pytest.raises(MergeError, match=said):
        run(Path("recipe.yml"), Path("out"), QUICK)
    assert left(folder) == set()


def start(folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    code = (
        "import sys, merge.run as r; r._MERGEKIT, r.require_mergekit = sys.argv[1], lambda: None\n"
        "from pathlib import Path\n"
        "r.run(Path('recipe.yml'), Path('out'), r.RunOptions(depth='weights', exist_ok=True))"
    )
    return subprocess.Popen([sys.executable, "-c", code, STAND_IN], cwd=folder, env={**os.environ, **environment})


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_merge_leaves_nothing_that_looks_finished_and_its_child_ends(
    folder: Path, number: signal.Signals
) -> None:
    process = start(folder, MERGEKIT_FAULT="hang")
    half = folder / ".out.partial/out/model.safetensors"
    wait_for(half.exists)
    process.send_signal(number)
    process.wait()
    assert not (folder / "out").exists()
    wait_for(lambda: not children_at(folder))
    assert all(check.status != "failed" for check in run(Path("recipe.yml"), Path("out"), QUICK))
    assert left(folder) == {"out"}


def test_sigterm_ends_a_merge_as_ctrl_c_does(folder: Path) -> None:
    code = (
        "import sys, merge.run as r, merge.cli; r._MERGEKIT, r.require_mergekit = sys.argv.pop(1), lambda: None\n"
        "merge.cli.main()"
    )
    command = [sys.executable, "-c", code, STAND_IN, "run", "recipe.yml", "out"]
    environment = {**os.environ, "MERGEKIT_FAULT": "hang"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    wait_for((folder / ".out.partial/out/model.safetensors").exists)
    process.terminate()
    _, said = process.communicate()
    assert process.returncode == 143
    assert said.endswith("error: interrupted: nothing half done is left\n")
    assert left(folder) == set()
    assert not children_at(folder)


def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen in 30 seconds")


def children_at(folder: Path) -> list[str]:
    """Processes that work in the folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith(str(folder / ".out")):
            found.append(target)
    return found


def test_of_builds_at_once_one_writes_and_the_others_find_it_done(folder: Path) -> None:
    processes = [start(folder) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert left(folder) == {"out"}
    assert all(check.status != "failed" for check in verify(Path("out"), "weights"))


def test_a_merge_that_waited_for_another_of_the_same_name_does_not_replace_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def after_another(output: Path, say: Callable[[str], None]) -> Iterator[Path]:
        output.mkdir()
        with exclusive(output, say) as work:
            yield work

    monkeypatch.setattr(merge.run, "exclusive", after_another)
    with pytest.raises(MergeError, match="out is there already"):
        run(Path("recipe.yml"), Path("out"), QUICK)
    assert left(folder) == {"out"}


def test_threads_of_one_process_wait_for_each_other_too(folder: Path) -> None:
    options = RunOptions(depth="weights", exist_ok=True)
    threads = [threading.Thread(target=run, args=(Path("recipe.yml"), Path("out"), options)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert left(folder) == {"out"}


def test_the_arithmetic_that_mergekit_is_asked_for_is_float32_unless_it_accumulates_so_itself(folder: Path) -> None:
    from merge.parents import find_parents
    from merge.recipe import parse_recipe

    def asked(text: str) -> str:
        recipe = parse_recipe(text)
        parents = find_parents(recipe, folder)
        return merge.run.mergekit_config(recipe, parents, {p.reference: f"./{n}" for n, p in enumerate(parents)})

    assert "dtype: bfloat16\nout_dtype: bfloat16" in asked(RECIPE)
    assert "dtype: float32\nout_dtype: bfloat16" in asked(
        RECIPE.replace("linear", "task_arithmetic") + "base_model: cot"
    )
    assert "dtype: float32\nout_dtype: float16" in asked(RECIPE + "out_dtype: float16")


@pytest.mark.parametrize(("text", "number"), [("2GB", 2_000_000_000), ("1.5 kb", 1500), ("17", 17), ("3m", 3_000_000)])
def test_sizes_are_read(text: str, number: int) -> None:
    assert parse_bytes(text) == number


@pytest.mark.parametrize("text", ["", "0", "-1GB", "many", "5XB"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="is no size"):
        parse_bytes(text)

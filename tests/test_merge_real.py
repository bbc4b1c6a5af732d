"""With mergekit, torch and peft themselves, on checkpoints of a few thousand parameters."""

import subprocess
import sys
from pathlib import Path

import pytest

from merge.checkpoint import read_checkpoint
from merge.run import require_mergekit
from merge.verify import verify
from tests.checkpoints import make_adapter, make_checkpoint
from tests.test_merge_cli import run_merge

pytestmark = pytest.mark.real
TWO = """models:
- {model: ./cot, parameters: {weight: 0.3}}
- {model: ./tir, parameters: {weight: 0.7}}
"""
RECIPES = {
    "linear": "merge_method: linear\n" + TWO,
    "slerp": "merge_method: slerp\nbase_model: ./cot\nparameters: {t: 0.7}\nmodels: [{model: ./cot}, {model: ./tir}]\n",
    "task_arithmetic": "merge_method: task_arithmetic\nbase_model: ./base\n" + TWO,
    "ties": "merge_method: ties\nbase_model: ./base\nparameters: {density: 0.5}\n" + TWO,
    "dare_ties": "merge_method: dare_ties\nbase_model: ./base\nparameters: {density: 0.5}\n" + TWO,
    "model_stock": "merge_method: model_stock\nbase_model: ./base\nmodels: [{model: ./cot}, {model: ./tir}]\n",
    "karcher": "merge_method: karcher\nmodels: [{model: ./cot}, {model: ./tir}]\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_mergekit()
    folder = tmp_path_factory.mktemp("real")
    make_checkpoint(folder / "base")
    make_checkpoint(folder / "cot", 1, near=0, shards=2)
    make_checkpoint(folder / "tir", 2, near=0)
    make_adapter(folder / "a", 1)
    make_adapter(folder / "b", 2, use_rslora=True)
    return folder


def test_adapters_merge_to_one_rounding_and_the_result_reads_like_its_parents(folder: Path) -> None:
    """The whole command: peft adds the same adapters for the comparison of what the parents make of a text."""
    (folder / "lora.yml").write_text(RECIPES["linear"].replace("./cot", "./base+./a").replace("./tir", "./base+./b"))
    done = run_merge("run", "lora.yml", "merged", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout
    assert "skipped" not in done.stdout
    assert "loads, logits" in done.stdout
    assert done.stdout.endswith("wrote merged\n")


def test_every_method_gives_a_checkpoint_that_verifies(folder: Path) -> None:
    """One process for all, for mergekit takes seconds to import: its command line is called in it, method by method."""
    for name, text in RECIPES.items():
        (folder / f"{name}.yml").write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _ALL_METHODS, *RECIPES], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in RECIPES:
        checks = {check.name: check for check in verify(folder / f"out-{name}", "weights")}
        assert not [check for check in checks.values() if check.status == "failed"], (name, checks)
        exact = name in ("linear", "slerp", "task_arithmetic")
        assert checks["recomputed"].status == ("ok" if exact else "skipped")
        assert read_checkpoint(folder / f"out-{name}").dtype == "BF16"


_ALL_METHODS = """
import os, sys
from pathlib import Path
import merge.run as it
from merge.verify import Check

def in_this_process(work, recipe, options, progress):
    from click.testing import CliRunner
    from mergekit.io.tasks import LoaderCache
    from mergekit.scripts.run_yaml import main
    LoaderCache().loaders = {}  # it lives as long as its process, and parents have the same names each time
    here = os.getcwd()
    os.chdir(work)
    arguments = ["config.yml", "out", "--lazy-unpickle", "--no-write-model-card", "--no-copy-tokenizer", "--quiet"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    os.chdir(here)
    assert result.exit_code == 0, result.output

it._run_mergekit = in_this_process
for name in sys.argv[1:]:
    it.run(Path(name + ".yml"), Path("out-" + name), it.RunOptions(depth="weights"))
"""

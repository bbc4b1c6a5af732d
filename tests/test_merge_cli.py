"""`python -m merge` as a process: exit codes, one-line errors, and nothing heavy imported before it is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkpoints import make_checkpoint
from tests.conftest import PROJECT


def run_merge(*arguments: str | Path, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "merge", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=900, check=False)


def test_verify_prints_each_finding_and_its_exit_code_says_whether_all_is_well(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "a")
    done = run_merge("verify", folder, "--quick")
    assert done.returncode == 0, done.stderr
    assert "ok       finite: no NaN, no infinity" in done.stdout
    (folder / "tokenizer.json").unlink()
    done = run_merge("verify", folder, "--quick")
    assert done.returncode == 1
    assert "failed   tokenizer: no tokenizer.json" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "none.yml", "out"), 1, "error: cannot read the recipe none.yml: No such file or directory\n"),
        (("run",), 2, "error: Missing argument 'recipe'.\n"),
        (("verify", ".", "--all", "--quick"), 2, "--all and --quick: give one of them\n"),
        (("quantize", ".", "out", "--scheme", "fp7"), 2, "'fp7' is not one of 'fp8', 'w8a8', 'nvfp4', 'w4a16'.\n"),
    ],
)
def test_errors_are_one_line_and_exit_codes_tell_whose_they_are(
    tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = run_merge(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.endswith(said)
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    modules = "cli, run, verify, sweep, quantize, evaluate, miniature.build"
    code = (
        "import sys, importlib\n"
        f"for name in '{modules}'.split(', '): importlib.import_module('merge.' + name)\n"
        "print(*({'torch', 'transformers', 'mergekit', 'peft', 'matplotlib', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=True)
    assert done.stdout.strip() == ""

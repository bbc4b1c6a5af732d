"""No process outlives the one that it works for, however that one ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from merge.child import python_code, python_module
from tests.checkpoints import make_checkpoint
from tests.conftest import PROJECT
from tests.test_merge_run import wait_for

WAITS = "import os, pathlib, time; pathlib.Path(os.environ['PID_FILE']).write_text(str(os.getpid())); time.sleep(60)"


def is_running(pid: int) -> bool:
    """A process that ended and was not waited for has no working folder."""
    try:
        Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return False
    return True


def child_left_by(command: Sequence[str], folder: Path, **environment: str) -> int:
    """The process that the command starts; the command is killed when it runs."""
    file = folder / "pid"
    variables = {**os.environ, "PYTHONPATH": str(PROJECT), "PID_FILE": str(file), **environment}
    process = subprocess.Popen(command, cwd=folder, env=variables)
    wait_for(lambda: file.exists() and file.read_text("utf-8"))
    child = int(file.read_text("utf-8"))
    assert child != process.pid
    assert is_running(child)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return child


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    code = f"import subprocess; subprocess.run({python_code(WAITS)!r})"
    child = child_left_by([sys.executable, "-c", code], tmp_path)
    wait_for(lambda: not is_running(child))


def test_loading_for_verification_ends_with_the_command(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "a")
    (tmp_path / "stand-ins").mkdir()
    (tmp_path / "stand-ins" / "torch.py").write_text(WAITS, "utf-8")
    command = [sys.executable, "-m", "merge", "verify", "a"]
    child = child_left_by(command, tmp_path, PYTHONPATH=f"{PROJECT}{os.pathsep}{tmp_path / 'stand-ins'}")
    wait_for(lambda: not is_running(child))


def test_quantizing_ends_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.test_merge_quantize import make_environment

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_checkpoint(tmp_path / "a")
    make_environment(tmp_path, WAITS)
    child = child_left_by([sys.executable, "-m", "merge", "quantize", "a", "b"], tmp_path)
    wait_for(lambda: not is_running(child))


def test_a_module_of_ours_runs_as_with_m_whatever_lies_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "merge").mkdir()
    (tmp_path / "merge" / "__init__.py").write_text("raise SystemExit('not this one')", "utf-8")
    command = python_module("merge", "verify", "none", "--quick")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("failed   files: none is no checkpoint: no such folder")
    assert (done.returncode, done.stderr) == (1, "")

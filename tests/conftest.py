"""What the tests share: a run of the whole path with a script in place of a model."""

import fcntl
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from solver.config import load_config
from solver.run import RunOptions, RunResult, run
from tests.clock import Clock

settings.register_profile("solver", deadline=None, derandomize=True)
settings.load_profile("solver")

PROJECT = Path(__file__).parent.parent
ENGINES = ("test_engines", "test_real")
"""Files that one worker runs one after the other, for each engine takes gigabytes; and the very first: vLLM forks, and
a process in which torch has computed must not be forked."""
LONGEST = (
    *("test_report_browser", "test_docs", "test_failures", "test_sandbox_hostile", "test_merge_real", "test_sandbox"),
    *("test_rehearse", "test_cli", "test_bundle"),
)
"""Files that come next, so that no worker is left alone with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = [*ENGINES, *LONGEST]
    items.sort(key=lambda item: order.index(item.path.stem) if item.path.stem in order else len(order))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n 2` a file is one worker's, for its tests share what is dear to start, and so are all engine files
    (the marker `xdist_group`, which would say the same, does nothing under pytest 9.2)."""
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

    class ByFile(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "engines" if Path(file).stem in ENGINES else file

    config.option.loadscopereorder = False  # as collected, not by number of tests
    return ByFile(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--model", type=Path, help="a real model folder, to compare its chat template and tokens with ours"
    )


@pytest.fixture
def model_folder(request: pytest.FixtureRequest) -> Path:
    folder: Path | None = request.config.getoption("--model")
    if folder is None:
        pytest.skip("no folder given with --model DIR")
    return folder


def write_script(path: Path, entries: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), "utf-8")
    return path


def write_problems(path: Path, problems: Sequence[tuple[str, str, object]]) -> Path:
    lines = ["id,problem,answer", *(f'{name},"{text}",{answer}' for name, text, answer in problems)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def journal_lines(path: Path, kind: str) -> list[dict[str, Any]]:
    """The whole lines of one kind; a torn last line is left out."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [entry for line in lines if (entry := json.loads(line))["kind"] == kind]


@pytest.fixture
def solve(tmp_path: Path) -> Callable[..., RunResult]:
    """Run problems against a script in this process; files are `submission.csv` and its journal in `tmp_path`."""

    def solve(
        problems: Sequence[tuple[str, str, object]],
        script: Sequence[dict[str, Any]],
        *settings: str,
        resume: bool = False,
        output: str = "submission.csv",
    ) -> RunResult:
        write_script(tmp_path / "script.jsonl", script)
        write_problems(tmp_path / "problems.csv", problems)
        config = load_config("scripted", settings=[f"engine.scripted.script='{tmp_path}/script.jsonl'", *settings])
        options = RunOptions(
            tmp_path / "problems.csv", tmp_path / output, resume=resume, summary=tmp_path / "summary.json", plain=True
        )
        return run(options, config, process_start=time.monotonic())

    return solve


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Limits pass at once; see `tests.clock`."""
    clock = Clock()
    clock.start(monkeypatch)
    yield clock
    clock.ahead = 0.0  # a module that was imported meanwhile may have kept it


def solver_command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "solver", *map(str, arguments)]


@pytest.fixture
def kaggle_ports() -> Iterator[None]:
    """Kaggle's ports are always the same: who serves on this machine's own waits for every other test that does, of
    this run or another."""
    with Path(tempfile.gettempdir(), f"olympiad-solver-ports-{os.getuid()}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def session_ports(request: pytest.FixtureRequest) -> None:
    """For rehearsed sessions: each has Kaggle's ports for itself where it has a network namespace."""
    from submission.isolation import namespaces

    if namespaces() is None:
        request.getfixturevalue("kaggle_ports")


def run_solver(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`solver ...` in this process, which spares it a second of imports; its clock starts now."""
    from solver.cli import main

    command = ["solver", *map(str, arguments)]
    stdout, stderr, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(stdout), redirect_stderr(stderr):
        patch.setattr(sys, "argv", command)
        patch.setattr("solver.run.process_start_time", time.monotonic)
        patch.chdir(PROJECT)
        try:
            main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 0
    return subprocess.CompletedProcess(command, code, stdout.getvalue(), stderr.getvalue())


def spawn_solver(*arguments: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """`python -m solver ...` in a process of its own, as a user starts it."""
    command = solver_command(*arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=PROJECT, check=False)

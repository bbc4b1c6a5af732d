"""What the tests share: a run of the whole path with a script in place of a model."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from hypothesis import settings

from solver.config import load_config
from solver.run import RunOptions, RunResult, run

settings.register_profile("solver", deadline=None, derandomize=True)
settings.load_profile("solver")

PROJECT = Path(__file__).parent.parent


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
        return run(options, config, process_start=monotonic())

    return solve


def solver_command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "solver", *map(str, arguments)]


def run_solver(*arguments: str | Path, timeout: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
    """`python -m solver ...` in a process of its own."""
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run(
        solver_command(*arguments),
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=PROJECT,
        env=environment,
        check=False,
        **options,
    )

"""The whole path with the embedded model and the engine that a fresh machine gets; `make test` runs these."""

import asyncio
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

import solver.model
from solver.config import EngineConfig
from solver.engine import engine_name
from solver.model import find_model, miniature_folder
from tests.conftest import PROJECT, journal_lines, solver_command, spawn_solver
from tests.test_cli import children_of, wait_for

pytestmark = pytest.mark.real
ONE_THREAD = ("--plain", "--set", "engine.threads=1")  # see tests/test_engines.py
SMALL = ("--attempts", "4", *ONE_THREAD, "--set", "attempts.max_tokens=48", "--set", "attempts.tir_share=0.5")


@pytest.fixture(scope="module")
def three_problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("real") / "problems.csv"
    lines = (PROJECT / "examples" / "problems.csv").read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:4]), "utf-8")
    return path


def test_the_converted_base_is_whole_and_ends_its_turns() -> None:
    """By whichever test was first to need it; `tests/test_model.py` kills conversions."""
    folder = asyncio.run(find_model(None, "base"))
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= {path.name for path in folder.iterdir()}
    solver.model._check(folder)


def test_the_default_engine_and_model_solve_a_file(three_problems: Path, tmp_path: Path) -> None:
    output, summary = tmp_path / "s.csv", tmp_path / "summary.json"
    done = spawn_solver("solve", three_problems, "-o", output, "--summary", summary, *SMALL, timeout=900)
    assert done.returncode == 0, done.stderr
    assert len(output.read_text().splitlines()) == 4
    assert re.fullmatch(
        r"3 problems: .*\nscore \d/3.*\n12 attempts, .* tokens/s, .*\nwrote 3 answers to .*\n", done.stdout
    )
    numbers = json.loads(summary.read_text())
    assert numbers["engine"].startswith(engine_name(EngineConfig()))
    assert numbers["tokens"] > 100
    attempts = journal_lines(tmp_path / "s.journal.jsonl", "attempt")
    assert len({attempt["seed"] for attempt in attempts}) == 12
    assert len({attempt["text"] for attempt in attempts}) > 6
    assert {attempt["mode"] for attempt in attempts} == {"cot", "tir"}
    header = journal_lines(tmp_path / "s.journal.jsonl", "header")[0]
    assert header["engine"]["model"] == str(miniature_folder())


def test_the_limit_is_kept_with_the_model_still_loading(three_problems: Path, tmp_path: Path) -> None:
    """Five seconds to start in, which no engine does; twenty are left to end and to write."""
    limit = ("--time-limit", "25s", "--set", "budget.reserve_seconds=20")
    began = time.monotonic()
    done = spawn_solver("solve", three_problems, "-o", tmp_path / "s.csv", *SMALL, *limit)
    assert time.monotonic() - began < 25
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "s.csv").read_text().count("\n") == 4
    assert "3 by fallback (3 no time)" in done.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_whatever_ends_the_solver_ends_its_engine_too(
    three_problems: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Ctrl-C goes to the whole process group, as a terminal sends it."""
    command = solver_command("solve", three_problems, "-o", tmp_path / "s.csv", "--attempts", "4", *ONE_THREAD)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        while "solving" not in (line := process.stderr.readline()):
            assert line, "the solver ended before it solved"
        children = children_of(process.pid)
        os.killpg(process.pid, number)
        errors = process.stderr.read()
    assert process.returncode == code
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    if number == signal.SIGINT:
        assert (tmp_path / "s.csv").read_text().count("\n") == 4
        assert errors.strip().splitlines()[-1] == "interrupted: answers so far are written, --resume continues"

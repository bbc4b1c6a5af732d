"""The whole path with the embedded model and the engine that a fresh machine gets; `make test` runs these."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from solver.config import EngineConfig
from solver.engine import engine_name
from solver.model import miniature_folder
from tests.conftest import PROJECT, journal_lines, run_solver, solver_command
from tests.test_cli import children_of, wait_for

pytestmark = pytest.mark.real
SMALL = ("--attempts", "4", "--plain", "--set", "attempts.max_tokens=48", "--set", "attempts.tir_share=0.5")


@pytest.fixture(scope="module")
def three_problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("real") / "problems.csv"
    lines = (PROJECT / "examples" / "problems.csv").read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:4]), "utf-8")
    return path


def test_a_killed_conversion_leaves_nothing_half_made_and_the_next_one_works(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "solver.model", str(tmp_path / "model")]
    process = subprocess.Popen(command, cwd=PROJECT, env=environment)
    wait_for(lambda: list(tmp_path.glob(".*.partial/*.safetensors")) or process.poll() is not None, seconds=240)
    process.kill()
    process.wait()
    assert not (tmp_path / "model").exists()
    assert subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode == 0
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= {
        path.name for path in (tmp_path / "model").iterdir()
    }
    assert not list(tmp_path.glob(".*.partial"))


def test_the_default_engine_and_model_solve_a_file(three_problems: Path, tmp_path: Path) -> None:
    output, summary = tmp_path / "s.csv", tmp_path / "summary.json"
    done = run_solver("solve", three_problems, "-o", output, "--summary", summary, *SMALL, timeout=300)
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
    began = time.monotonic()
    done = run_solver("solve", three_problems, "-o", tmp_path / "s.csv", *SMALL, "--time-limit", "14s", timeout=60)
    assert time.monotonic() - began < 14
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "s.csv").read_text().count("\n") == 4
    assert "3 by fallback (3 no time)" in done.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_whatever_ends_the_solver_ends_its_engine_too(
    three_problems: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Ctrl-C goes to the whole process group, as a terminal sends it."""
    command = solver_command("solve", three_problems, "-o", tmp_path / "s.csv", "--plain", "--attempts", "4")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        while "solving" not in (line := process.stderr.readline()):
            assert line, "the solver ended before it solved"
        time.sleep(1)
        children = children_of(process.pid)
        os.killpg(process.pid, number)
        errors = process.stderr.read()
    assert process.returncode == code
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    if number == signal.SIGINT:
        assert (tmp_path / "s.csv").read_text().count("\n") == 4
        assert errors.strip().splitlines()[-1] == "interrupted: answers so far are written, --resume continues"

"""The synchronous `Solver`, and the shell's habits: version, help with examples, completion, configuration."""

import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import solver
from solver import Solver
from solver.config import load_config
from solver.errors import EngineError, UsageError
from solver.types import Problem
from tests.conftest import run_solver, solver_command, spawn_solver, write_problems, write_script


def test_five_lines_solve_a_problem(tmp_path: Path) -> None:
    with Solver(engine="scripted", journal=tmp_path / "run.jsonl") as scripted:
        prediction = scripted.solve(Problem("sum", "What is 6 times 7?", 42), time_limit="60s")
        again = scripted.solve_all(["And 6 times 7 again?"])
    assert prediction.answer in (41, 42)
    assert prediction.correct == (prediction.answer == 42)
    assert again[0].problem_id == "problem-2"
    assert (tmp_path / "run.jsonl").read_text("utf-8").count('"kind": "prediction"') == 2


def test_settings_and_errors_are_those_of_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean"):
        Solver(engine="scripted", settings={"atempts.num_attempts": 2})
    failing = Solver(
        engine="scripted", settings={"engine.scripted.start_error": "no such card"}, journal=tmp_path / "j.jsonl"
    )
    with pytest.raises(EngineError, match="no such card"):
        failing.start()
    failing.close()
    failing.close()


def test_a_time_limit_is_kept_and_told(tmp_path: Path) -> None:
    script = write_script(tmp_path / "s.jsonl", [{"texts": ["never"], "fault": "hang"}])
    settings = {"engine.scripted.script": script, "attempts.force_seconds": 0}
    with Solver(engine="scripted", settings=settings, journal=tmp_path / "j.jsonl", time_limit=1.0) as hanging:
        prediction = hanging.solve("What is 6 times 7?")
    assert (prediction.decided_by, prediction.fallback_reason) == ("fallback", "no time")


def test_a_notebook_gets_one_line_that_is_written_over(tmp_path: Path) -> None:
    code = (
        "import sys, types; sys.modules['ipykernel'] = types.ModuleType('ipykernel'); from solver import Solver\n"
        f"with Solver(engine='scripted', journal={str(tmp_path / 'j.jsonl')!r}) as s: s.solve('What is 6*7?')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300, check=True)
    assert b"\r" in done.stderr
    assert b"problem-1: " in done.stderr
    assert b"\x1b" not in done.stderr


def test_only_solver_is_exported_and_only_when_asked_for() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sover'"):
        solver.__getattr__("Sover")
    code = "import sys, solver; sys.exit('solver.facade' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_version_is_told() -> None:
    assert run_solver("--version").stdout == f"olympiad-solver {solver.__version__}\n"


@pytest.mark.parametrize("command", ["solve", "report", "show", "python", "doctor", "config"])
def test_help_gives_an_example(command: str) -> None:
    assert f"python -m solver {command} " in " ".join(run_solver(command, "--help").stdout.split())


def test_the_resolved_configuration_is_read_back_as_it_was(tmp_path: Path) -> None:
    done = run_solver("config", "--resolved", "--preset", "miniature", "--set", "sampling.top_p=0.9")
    assert "top_p = 0.9  # --set\n" in done.stdout
    assert "max_tokens = " in done.stdout
    (tmp_path / "own.toml").write_text(done.stdout, "utf-8")
    assert load_config(file=tmp_path / "own.toml") == load_config("miniature", settings=["sampling.top_p=0.9"])
    assert (
        f"# file {tmp_path / 'own.toml'}"
        in run_solver("config", "--resolved", "--config", tmp_path / "own.toml").stdout
    )


@pytest.mark.parametrize("preset", ["miniature", "openmath", "scripted", "auto"])
def test_every_preset_is_printed_as_toml(preset: str) -> None:
    tomllib.loads(run_solver("config", "--resolved", "--preset", preset).stdout)


def test_completion_knows_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the installed command, whoever asks for it: a shell has no completion for `python -m solver`."""
    # Which shell asks is otherwise looked up among the processes above, where a test runner may have none.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    said = spawn_solver("--show-completion", "bash").stdout
    assert "complete -o default -F _olympiad_solver_completion olympiad-solver" in said
    environment = {"_OLYMPIAD_SOLVER_COMPLETE": "complete_bash", "COMP_WORDS": "olympiad-solver re", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['/venv/bin/olympiad-solver']; from solver.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["report", "replay"]


def test_solve_writes_the_report_too(tmp_path: Path) -> None:
    write_problems(tmp_path / "p.csv", [("a", "What is 6*7?", 42)])
    page = tmp_path / "run.html"
    done = run_solver("solve", tmp_path / "p.csv", "-o", tmp_path / "s.csv", "--engine", "scripted", "--report", page)
    assert done.returncode == 0
    assert f"wrote {page}" in done.stdout
    assert "What is 6*7?" in page.read_text("utf-8")


def test_a_report_that_cannot_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    write_problems(tmp_path / "p.csv", [("a", "What is 6*7?", 42)])
    done = run_solver("solve", tmp_path / "p.csv", "--engine", "scripted", "--report", tmp_path / "none" / "r.html")
    assert done.returncode == 1
    assert "there is no folder" in done.stderr


def test_no_color_is_honoured_on_a_terminal(tmp_path: Path) -> None:
    write_problems(tmp_path / "p.csv", [("a", "What is 6*7?", 42)])
    run_solver("solve", tmp_path / "p.csv", "-o", tmp_path / "s.csv", "--engine", "scripted", "--plain")
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", NO_COLOR="1")
        command = solver_command("show", tmp_path / "s.journal.jsonl")
        os.execv(command[0], command)
    written = b""
    try:
        while data := os.read(terminal, 65_536):
            written += data
    except OSError:  # the terminal is closed with the process
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    assert "✗".encode() in written or "✓".encode() in written
    assert b"\x1b[3" not in written

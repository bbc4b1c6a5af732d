"""The command as a user runs it: a process of its own, its output, its exit code and what it leaves behind."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyte
import pytest

from tests.conftest import (
    PROJECT,
    journal_lines,
    run_solver,
    solver_command,
    spawn_solver,
    write_problems,
    write_script,
)

HEAVY = ("torch", "vllm", "transformers", "pydantic", "polars", "numpy", "sympy", "tokenizers")
PROBLEMS = [(f"p{n}", f"What is {n}+0?", n) for n in range(6)]


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except (OSError, ValueError):
            continue
    return found


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write_problems(tmp_path / "problems.csv", PROBLEMS)
    return tmp_path


def scripted(folder: Path, entries: Sequence[dict[str, Any]], *arguments: str) -> list[str]:
    script = write_script(folder / "script.jsonl", entries)
    return [
        *("solve", str(folder / "problems.csv"), "-o", str(folder / "s.csv"), "--engine", "scripted", "--plain"),
        *("--set", f"engine.scripted.script='{script}'", *arguments),
    ]


def answers(*, pace: float = 0, **more: object) -> list[dict[str, Any]]:
    """A script that answers every problem rightly."""
    return [
        {"when": f"{n}+0", "texts": [f"thinking about it \\boxed{{{n}}}"], "tokens_per_second": pace, **more}
        for n in range(6)
    ]


@pytest.mark.parametrize(
    "statement", ["import solver", "import runpy; runpy.run_module('solver', run_name='__main__')"]
)
def test_import_and_help_load_nothing_heavy(statement: str) -> None:
    code = (
        f"import sys; sys.argv = ['solver', '--help']\n"
        f"try:\n    {statement}\nexcept SystemExit:\n    pass\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'loaded {loaded}' if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_names_the_commands_and_the_options() -> None:
    assert re.search(r"solve .*\n.*score ", run_solver("--help").stdout)
    assert "..." not in run_solver("--help").stdout.split("Commands:")[1]
    for option in ("--preset", "--time-limit", "--resume", "--one-by-one", "--set", "--summary"):
        assert option in run_solver("solve", "--help").stdout


def test_doctor_tells_every_layer_of_the_sandbox() -> None:
    done = spawn_solver("doctor")
    assert done.returncode == 0, done.stdout
    for layer in ("seccomp", "landlock", "own uid", "namespaces"):
        assert f"sandbox: {layer}: " in done.stdout


def test_answers_go_to_the_file_results_to_stdout_and_progress_to_stderr(files: Path) -> None:
    done = spawn_solver(*scripted(files, answers(), "--summary", str(files / "summary.json")))
    assert done.returncode == 0
    assert (files / "s.csv").read_text() == "id,answer\n" + "".join(f"p{n},{n}\n" for n in range(6))
    assert done.stdout.splitlines()[:2] == ["6 problems: 6 by consensus", "score 6/6 (6 by consensus)"]
    assert "6/6  p5: 5  consensus" in done.stderr
    assert run_solver("score", files / "s.csv", files / "problems.csv").stdout == "score 6/6\n"


ERRORS = [
    (["solve", "missing.csv"], 1, "cannot read missing.csv: no such file"),
    (["solve", "{p}", "-o", "{d}"], 1, "is a directory"),
    (["solve", "{p}", "-o", "{d}/none/s.csv"], 1, "there is no folder"),
    (["solve", "{p}", "--atempts", "3"], 2, "--attempts"),
    (["solve", "{p}", "--attempts", "many"], 2, "--attempts"),
    (["solve", "{p}", "--preset", "minature"], 2, "did you mean 'miniature'?"),
    (["solve", "{p}", "--preset", "aimo-3-gpt-oss-120b"], 2, "preset aimo-3-gpt-oss-120b needs --model DIR"),
    (["doctor", "--preset", "openmath"], 2, "preset openmath needs --model DIR"),
    (["solve", "{p}", "--competition", "aimo3"], 2, "did you mean 'aimo-3'?"),
    (["solve", "{p}", "--engine", "vlm"], 2, "vlm"),
    (["solve", "{p}", "--set", "budget.polcy=even"], 2, "did you mean 'budget.policy'?"),
    (["solve", "{p}", "--time-limit", "soon"], 2, "'soon' is no duration"),
    (["solve", "{p}", "--model", "{d}"], 1, "no config.json in"),
    (["solve", "{p}", "--model", "{d}/none"], 1, "no model folder"),
    (["solve", "{p}", "--preset", "miniature", "--config", "x.toml"], 2, "give one of them"),
    (
        ["solve", "{p}", "--engine", "scripted", "--set", "engine.scripted.script='none.jsonl'"],
        2,
        "cannot read the script",
    ),
    (["solve", "{p}", "-o", "{p}"], 2, "is named twice"),
    (["solve", "{p}", "--summary", "{p}"], 2, "is named twice"),
    (["solve", "{p}", "-o", "/dev/null"], 1, "is not a regular file"),
    (["solve", "{p}", "-o", "{d}/s.tsv"], 1, "ends in .csv or .parquet"),
    (["sovle"], 2, "sovle"),
    (["score", "{p}", "{d}/none.csv"], 1, "cannot read"),
]


def test_a_mistake_ends_the_process_with_one_line_and_its_exit_code() -> None:
    for arguments, code, message in (ERRORS[0], ERRORS[3]):
        done = spawn_solver(*arguments)
        assert (done.returncode, done.stderr.count("\n"), done.stdout) == (code, 1, "")
        assert done.stderr.startswith("error: ")
        assert message in done.stderr


@pytest.mark.parametrize(("arguments", "code", "message"), ERRORS)
def test_a_mistake_is_one_line_and_changes_nothing(files: Path, arguments: list[str], code: int, message: str) -> None:
    (files / "s.csv").write_text("kept")
    (files / "s.journal.jsonl").write_text("kept too")
    arguments = [a.replace("{p}", str(files / "problems.csv")).replace("{d}", str(files)) for a in arguments]
    if arguments[0] == "solve" and "-o" not in arguments:
        arguments += ["-o", str(files / "s.csv")]
    done = run_solver(*arguments)
    lines = done.stderr.strip().splitlines()
    assert (done.returncode, len(lines), done.stdout) == (code, 1, ""), done.stderr
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert (files / "s.csv").read_text() == "kept"
    assert (files / "s.journal.jsonl").read_text() == "kept too"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_writes_the_answers_so_far_and_resume_continues(files: Path, number: int, code: int) -> None:
    slow = [*answers()[:2], {"texts": ["x" * 5000], "fault": "hang", "fault_after": 100}]
    with subprocess.Popen(
        solver_command(*scripted(files, slow)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(lambda: len(journal_lines(files / "s.journal.jsonl", "prediction")) == 2)
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == code
    assert "--resume continues" in errors
    assert (files / "s.csv").read_text() == "id,answer\np0,0\np1,1\np2,0\np3,0\np4,0\np5,0\n"
    done = run_solver(*scripted(files, answers(), "--resume"))
    assert done.returncode == 0
    assert "score 6/6" in done.stdout
    assert "2 of 6 problems were decided before" in done.stderr


def test_two_runs_at_once_do_not_write_one_journal(files: Path) -> None:
    slow = [{"texts": ["x" * 5000], "fault": "hang", "fault_after": 100}]
    with subprocess.Popen(solver_command(*scripted(files, slow)), stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: (files / "s.journal.jsonl").exists() and journal_lines(files / "s.journal.jsonl", "header"))
        for more in ([], ["--resume"]):
            done = run_solver(*scripted(files, answers(), *more))
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.startswith("error: another run is writing the journal")
        process.kill()
    assert run_solver(*scripted(files, answers(), "--resume")).returncode == 0


def test_an_interrupt_before_anything_is_solved_leaves_earlier_answers_alone(files: Path) -> None:
    (files / "s.csv").write_text("kept")
    arguments = scripted(files, answers(), "--set", "engine.scripted.start_seconds=60")
    with subprocess.Popen(solver_command(*arguments), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "starting scripted" not in (line := process.stderr.readline()):
            assert line, "the solver ended before its engine started"
        process.send_signal(signal.SIGINT)
        errors = process.stderr.read()
    assert process.returncode == 130
    assert errors.splitlines()[-1].startswith("error: interrupted before anything was solved")
    assert (files / "s.csv").read_text() == "kept"


def test_kill_9_at_any_moment_loses_no_finished_attempt_and_repeats_no_finished_problem(files: Path) -> None:
    script, path = answers(pace=50), files / "s.journal.jsonl"
    seen: dict[tuple[str, int], int] = {}

    def attempts_are_made(least: int) -> bool:
        return path.exists() and len(journal_lines(path, "attempt")) >= least

    for num_attempts in (0, 3, 10, 21):
        command = solver_command(*scripted(files, script, "--resume", "--set", "consensus.quorum=8"))
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for(partial(attempts_are_made, num_attempts))
        process.kill()
        process.wait()
    done = run_solver(*scripted(files, script, "--resume", "--set", "consensus.quorum=8"))
    assert done.returncode == 0
    assert "score 6/6" in done.stdout
    for attempt in journal_lines(path, "attempt"):
        if attempt["stop_reason"] == "answered":
            key = (attempt["problem_id"], attempt["index"])
            seen[key] = seen.get(key, 0) + 1
    assert set(seen.values()) == {1}
    predictions = [p["problem_id"] for p in journal_lines(path, "prediction")]
    assert predictions == [f"p{n}" for n in range(6)]


def test_a_killed_solver_leaves_no_python_session_behind(files: Path) -> None:
    script: list[dict[str, Any]] = [{"texts": ["<tool_call>\nwhile True: pass\n</tool_call>"]}]
    arguments = scripted(files, script, "--attempts", "2", "--set", "sandbox.timeout_seconds=60")
    process = subprocess.Popen(solver_command(*arguments), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for(lambda: children_of(process.pid))
    sessions = children_of(process.pid)
    process.kill()
    process.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in sessions))


CLOCK_RUNS_AHEAD = """
import pytest
from tests.clock import Clock
Clock().start(pytest.MonkeyPatch())
from solver.cli import main
main()
"""


def test_an_attempt_that_cannot_be_cancelled_does_not_hold_the_process(files: Path) -> None:
    script: list[dict[str, Any]] = [*answers()[:5], {"texts": ["x"], "fault": "stubborn"}]
    limit = ("--time-limit", "10m", "--set", "budget.reserve_seconds=200", "--set", "sandbox.spares=0")
    command = [sys.executable, "-c", CLOCK_RUNS_AHEAD, *scripted(files, script, *limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=PROJECT, check=False)
    assert done.returncode == 0
    assert "score 5/6" in done.stdout
    assert "p5: 0  fallback (no time)" in done.stderr


def test_every_answer_a_fallback_is_said_aloud(files: Path) -> None:
    done = run_solver(*scripted(files, [{"texts": ["no"]}]))
    assert "6 problems: 6 by fallback (6 no answer)" in done.stdout
    assert "every answer is the fallback" in done.stderr


LIVE_VIEW = (
    r"3/6 problems +\| +3 right +\| +attempts: 8 running, \d+ ended +\| +\d+ tokens/s",
    r"\d:\d\d used, \d:\d\d left",
    r"4 of 6 +p3 +0 done, 8 running +\d+ tokens +\d:\d\d left",
    r" 7 thinking +\d+ tok +0 code +\d+\.\d s",
    r"tokens held +\| +sandbox: \d+ sessions, 0 blocks",
    r"\] 3/6 +p2: 2 +consensus 2/2",
)


def test_the_live_view_shows_problems_attempts_votes_speed_and_time(files: Path) -> None:
    """It is looked at until all has been seen; the fourth problem hangs as long."""
    script: list[dict[str, Any]] = [*answers()[:3], {"texts": ["x" * 100], "fault": "hang", "fault_after": 32}]
    arguments = scripted(files, script, "--time-limit", "9m")
    arguments.remove("--plain")
    screen = pyte.Screen(150, 30)
    stream = pyte.ByteStream(screen)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS="150", LINES="30")
        os.execv(sys.executable, solver_command(*arguments))
    unseen, lines, until, is_over = set(LIVE_VIEW), set[str](), time.monotonic() + 300, False
    try:
        while data := os.read(terminal, 65_536):
            stream.feed(data)
            lines |= {line.rstrip() for line in screen.display}
            unseen -= {pattern for pattern in unseen if any(re.search(pattern, line) for line in lines)}
            if not is_over and (not unseen or time.monotonic() > until):
                is_over = True
                os.kill(pid, signal.SIGINT)
    except OSError:  # the terminal is closed with the process
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert unseen == set(), "\n".join(sorted(lines))
    assert os.waitstatus_to_exitcode(status) == 130
    assert any("score 3/6" in line for line in lines)


def test_an_unknown_family_is_told_before_anything_starts(files: Path) -> None:
    done = run_solver("solve", files / "problems.csv", "--set", "chat.family=openmaht")
    assert done.returncode == 2
    assert done.stderr == "error: no model family 'openmaht': did you mean 'openmath'?\n"

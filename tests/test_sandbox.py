"""The sandbox's contract: what a session keeps, says, limits and survives. The hostile corpus has a file of its own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

import solver.sandbox.process
from solver.config import SandboxLimits
from solver.errors import SandboxError
from solver.sandbox import PythonSession, SandboxPool, probe_layers
from solver.sandbox.host import end_shared_zygotes, shared_zygote
from solver.types import ExecutionResult
from tests.test_cli import wait_for

LIMITS = SandboxLimits(memory_mib=256)


@pytest.fixture(autouse=True, scope="module")
def no_zygote_left() -> Iterator[None]:
    yield
    end_shared_zygotes()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def in_session(test: Callable[[PythonSession], Awaitable[None]], limits: SandboxLimits = LIMITS, seed: int = 0) -> None:
    async def main() -> None:
        async with asyncio.timeout(300), PythonSession.open(limits, seed) as session:
            await test(session)

    asyncio.run(main())


def run_blocks(
    *blocks: str | tuple[str, float], limits: SandboxLimits = LIMITS, seed: int = 0
) -> list[ExecutionResult]:
    """A block with a number is given so many seconds, another all that a slow machine needs."""
    results: list[ExecutionResult] = []

    async def test(session: PythonSession) -> None:
        for block in blocks:
            code, seconds = block if isinstance(block, tuple) else (block, 60.0)
            results.append(await session.run(code, timeout_seconds=seconds))

    in_session(test, limits, seed)
    return results


def run_block(code: str, limits: SandboxLimits = LIMITS, seconds: float = 60.0) -> ExecutionResult:
    return run_blocks((code, seconds), limits=limits)[0]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that is interrupted has all the time that it needs to end by itself."""
    monkeypatch.setattr(solver.sandbox.process, "GRACE_SECONDS", 60.0)


# What a block shows


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("print(2 + 2)", "4"),
        ("2 + 2", "4"),
        ("x = 3\nx", "3"),
        ("x = 3\nx;", "[no output: the last line's value was None; print(...) shows a value]"),
        ("'text'", "'text'"),
        ("print(1)\n2", "1\n2"),
        ("for i in range(3):\n    i", "[no output: the last line was a statement; print(...) shows a value]"),
        ("total = 5", "[no output: the last line was an assignment; print(total) shows its value]"),
        ("def f():\n    return 1", "[no output: f is defined but was not called or printed]"),
        ("", "[no output: the block holds no code]"),
        ("# nothing", "[no output: the block holds no code]"),
        ("import sympy\nsympy.factorint(10**12 + 39)", "{1000000000039: 1}"),
        ("import asyncio\nasync def f():\n    return 7\nawait f()", "7"),
        ("import sys\nprint(1)\nprint(2, file=sys.stderr)\nprint(3)", "1\n2\n3"),
        ("import os\nos.write(1, b'by the descriptor\\n');", "by the descriptor"),
        ("import ctypes\nctypes.CDLL(None).puts(b'from C')\nctypes.CDLL(None).fflush(None);", "from C"),
        ("print('\\x1b[31mred\\x1b[0m \\x00')", "red \\x00"),
        ("print('\\ud800')", "\\ud800"),
        ("print('é√')", "é√"),
    ],
)
def test_a_block_shows_what_a_notebook_cell_would(code: str, output: str) -> None:
    result = run_block(code)
    assert (result.status, result.output) == ("ok", output)


def test_a_string_with_a_magic_line_in_it_is_left_alone() -> None:
    assert run_block('print("""\n%time\n!ls""")').output == "%time\n!ls"


def test_shell_and_magic_lines_are_answered_with_a_note() -> None:
    result = run_block("!pip install sage\n%matplotlib inline\nif True:\n    !ls\nprint(1)")
    assert result.status == "ok"
    assert result.output.splitlines() == [
        "[shell commands do not run here: left out '!pip install sage'; use Python]",
        "[notebook magics do not run here: left out '%matplotlib inline']",
        "[shell commands do not run here: left out '!ls'; use Python]",
        "1",
    ]


def test_of_long_output_head_and_tail_stay_with_the_exact_count_between() -> None:
    result = run_block("print('a' * 5000 + 'b' * 5000, end='')", limits=LIMITS.model_copy(update={"output_chars": 300}))
    head, note, tail = result.output.split("\n")
    assert (head, tail) == ("a" * 200, "b" * 100)
    assert note == "[... 9,700 characters left out ...]"


def test_a_flood_of_output_neither_grows_the_solver_nor_outlives_its_limit() -> None:
    result, after = run_blocks(("while True: print('x' * 1000)", 0.5), "1")
    assert result.status == "timeout"
    assert "characters left out" in result.output
    assert len(result.output) < 2 * LIMITS.output_chars
    assert after.output == "1"


def test_input_finds_the_end_of_the_file_at_once() -> None:
    result = run_block("input('? ')")
    assert result.status == "error"
    assert "EOFError" in result.output


@pytest.mark.parametrize("code", ["exit()", "quit()", "import sys; sys.exit(3)", "raise SystemExit"])
def test_exit_ends_the_block_alone(code: str) -> None:
    _, ended, after = run_blocks("x = 41", f"print('before')\n{code}\nprint('after')", "x + 1")
    assert (ended.status, ended.output) == ("ok", "before")
    assert after.output == "42"


# Errors


def test_a_traceback_has_the_blocks_own_lines_and_carets() -> None:
    result = run_block("def f(x):\n    return 1 / x\n\nf(0)")
    assert result.status == "error"
    assert result.output == (
        "Traceback (most recent call last):\n"
        '  File "<cell 1>", line 4, in <module>\n    f(0)\n'
        '  File "<cell 1>", line 2, in f\n    return 1 / x\n           ~~^~~\n'
        "ZeroDivisionError: division by zero"
    )


def test_a_traceback_leaves_out_the_frames_of_libraries() -> None:
    result = run_block("import sympy\nsympy.Matrix([[1, 2]]).inv()")
    assert result.status == "error"
    assert "sympy/" not in result.output
    assert "line 2" in result.output
    assert "NonSquareMatrixError" in result.output


def test_a_deep_recursion_is_told_in_a_few_lines() -> None:
    result = run_block("def f(n):\n    return f(n + 1)\nf(0)")
    assert result.status == "error"
    assert "calls left out" in result.output
    assert result.output.splitlines()[-1].startswith("RecursionError")
    assert len(result.output.splitlines()) < 25


def test_frames_of_an_earlier_block_show_that_blocks_source() -> None:
    _, result = run_blocks("def g(x):\n    return x.missing", "g(1)")
    assert 'File "<cell 1>", line 2, in g\n    return x.missing' in result.output
    assert 'File "<cell 2>", line 1, in <module>' in result.output


def test_a_syntax_error_shows_the_line() -> None:
    result = run_block("x = 1\ny = (2")
    assert result.status == "error"
    assert "y = (2" in result.output
    assert "SyntaxError" in result.output


def test_the_text_of_an_error_is_cut() -> None:
    result = run_block("raise ValueError('x' * 100_000)", limits=LIMITS.model_copy(update={"output_chars": 5000}))
    assert len(result.output) < 1000
    assert "characters left out" in result.output


def test_surrogates_in_an_error_or_an_echo_come_out_as_text_that_can_be_stored() -> None:
    for code in ("raise ValueError('\\ud800')", "'\\ud800'", "class A:\n    def __repr__(self): return '\\ud800'\nA()"):
        assert "\\ud800" in run_block(code).output.encode("utf-8").decode("utf-8")


def test_what_was_printed_before_an_error_is_kept() -> None:
    assert run_block("print('first')\n1 / 0").output.startswith("first\nTraceback")


def test_an_error_whose_text_raises_is_told_all_the_same() -> None:
    result = run_block("class E(Exception):\n    def __str__(self): raise OSError\nraise E")
    assert result.status == "error"
    assert "E" in result.output


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.socket()",
        "import os; os.fork()",
        "import subprocess; subprocess.run(['ls'])",
        "import os; os.kill(1, 9)",
        "open('/etc/hostname')",
        "open('/tmp/olympiad-test', 'w')",
        "import multiprocessing; multiprocessing.Pool(2)",
    ],
)
def test_what_the_system_refuses_is_an_ordinary_error(code: str) -> None:
    refused, after = run_blocks(code, "1 + 1")
    assert (refused.status, refused.state_kept) == ("error", True)
    assert after.output == "2"


def test_a_block_longer_than_a_frame_is_refused_and_not_run() -> None:
    result = run_block("x = 1\n" * 100_000)
    assert (result.status, result.state_kept) == ("error", True)
    assert "not run" in result.output


@pytest.mark.parametrize("code", ["\ud800", "x = '\x00'", "\x00"])
def test_code_that_is_no_text_is_an_error_of_the_block(code: str) -> None:
    odd, after = run_blocks(code, "5")
    assert odd.status in ("ok", "error")
    assert after.output == "5"


# State


def test_variables_imports_and_files_last_from_block_to_block() -> None:
    results = run_blocks(
        "import math\nx = 5\nopen('note', 'w').write('kept')",
        "def f(): return x * math.pi",
        "f()",
        "open('note').read()",
    )
    assert [result.status for result in results] == ["ok"] * 4
    assert results[2].output.startswith("15.70")
    assert results[3].output == "'kept'"


def test_sessions_share_nothing() -> None:
    async def main() -> list[ExecutionResult]:
        pool = SandboxPool(LIMITS)
        async with pool.session() as one, pool.session() as two:
            await one.run("import math\nx = 1\nmath.pi = 3\nopen('file', 'w').write('1')")
            return [
                await two.run("x"),
                await two.run("math.pi if 'math' in globals() else 0"),
                await two.run("open('file')"),
            ]

    unknown, pi, file = asyncio.run(main())
    assert "NameError" in unknown.output
    assert pi.output == "0"
    assert "FileNotFoundError" in file.output


def test_random_numbers_follow_the_seed_and_differ_between_seeds() -> None:
    code = "import random, numpy\nprint(random.random(), numpy.random.rand(), hash('text'))"
    first, second, other = (run_blocks(code, seed=seed)[0].output for seed in (7, 7, 8))
    assert first == second
    assert first.split()[:2] != other.split()[:2]
    assert first.split()[2] == other.split()[2]


def test_the_environment_holds_nothing_of_the_solvers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "for nobody")
    assert run_block("import os\n'SECRET_KEY' in os.environ").output == "False"


# Time


@pytest.mark.usefixtures("patient")
def test_a_loop_is_interrupted_and_its_state_kept() -> None:
    _, stuck, after = run_blocks("x = 41", ("print('in')\nwhile True:\n    pass", 0.3), "x + 1")
    assert (stuck.status, stuck.state_kept) == ("timeout", True)
    assert stuck.output.startswith("in\nInterrupted at:\n")
    assert stuck.output.endswith("[timed out after 0.3 s; variables are kept]")
    assert after.output == "42"


UNSTOPPABLE = "import time\nwhile True:\n    try:\n        time.sleep(9)\n    except BaseException: pass"


def test_a_loop_that_swallows_the_interrupt_is_killed_and_cheap_blocks_are_run_again() -> None:
    _, stuck, after = run_blocks("x = 41\nprint('once')", (f"print('in')\n{UNSTOPPABLE}", 0.3), "x + 1")
    assert (stuck.status, stuck.state_kept) == ("timeout", True)
    assert stuck.output.startswith(
        "in\n[timed out after 0.3 s; Python was restarted and the earlier blocks were run again"
    )
    assert "once" not in stuck.output
    assert after.output == "42"


def test_variables_that_would_cost_too_much_to_restore_are_told_lost() -> None:
    limits = LIMITS.model_copy(update={"replay_seconds": 0.1})
    _, stuck, after = run_blocks("import time\ntime.sleep(0.2)\nx = 41", (UNSTOPPABLE, 0.5), "x", limits=limits)
    assert (stuck.status, stuck.state_kept) == ("timeout", False)
    assert stuck.output == "[timed out after 0.5 s; Python was restarted, variables of earlier blocks are lost]"
    assert "NameError" in after.output


def test_a_first_block_that_is_killed_leaves_an_empty_session() -> None:
    stuck, after = run_blocks(("import itertools\nsum(itertools.count())", 0.3), "1 + 1")
    assert (stuck.status, stuck.state_kept) == ("timeout", False)
    assert after.output == "2"


@pytest.mark.usefixtures("patient")
def test_a_reply_after_the_limit_does_not_reach_the_next_block() -> None:
    late = "import time\ntry:\n    time.sleep(90)\nfinally:\n    print('late')"
    slow, after = run_blocks((late, 0.3), "'next'")
    assert slow.status == "timeout"
    assert "late" in slow.output
    assert after.output == "'next'"


def test_an_interrupt_between_blocks_is_ignored() -> None:
    async def test(session: PythonSession) -> None:
        await session.run("x = 1")
        process = session._process
        assert process is not None
        process._signal(signal.SIGINT)
        await asyncio.sleep(0.05)
        assert (await session.run("x")).output == "1"

    in_session(test)


def test_a_block_that_interrupts_itself_is_an_error_and_no_timeout() -> None:
    result = run_block("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhile True: pass")
    assert (result.status, result.state_kept) == ("error", True)
    assert "KeyboardInterrupt" in result.output


def test_no_time_left_is_a_timeout() -> None:
    assert run_block("while True: pass", seconds=0.0).status == "timeout"


def test_processor_time_of_threads_counts_too() -> None:
    code = "import hashlib, threading\ndef work():\n    while True: hashlib.sha256(bytes(1 << 24)).digest()\n"
    code += "threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]\n"
    code += "[t.start() for t in threads]\n[t.join() for t in threads]"
    result = run_block(code, seconds=1.0)
    assert result.status == "timeout"


def test_a_thread_that_runs_on_after_its_block_ends_the_session() -> None:
    async def test(session: PythonSession) -> None:
        await session.run("import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin).start()")
        process = session._process
        assert process is not None
        async with asyncio.timeout(120):
            await process.exited
        result = await session.run("1")
        assert result.status == "crashed"
        assert "something kept running after its block" in result.output

    in_session(test)


# Ends


def test_a_crash_is_named_and_cheap_variables_come_back() -> None:
    _, crashed, after = run_blocks("x = 41", "import ctypes\nctypes.string_at(0)", "x + 1")
    assert (crashed.status, crashed.state_kept) == ("crashed", True)
    assert "SIGSEGV" in crashed.output
    assert after.output == "42"


def test_leaving_the_process_is_a_crash() -> None:
    left, after = run_blocks("import os\nos._exit(3)", "1")
    assert (left.status, left.state_kept) == ("crashed", False)
    assert "exit code 3" in left.output
    assert after.output == "1"


def test_a_block_over_its_memory_gets_a_memory_error_and_keeps_its_state() -> None:
    _, large, after = run_blocks("x = 41", "y = [0] * 10**9", "x + 1")
    assert (large.status, large.state_kept) == ("memory", True)
    assert "256 MiB" in large.output
    assert after.output == "42"


def test_the_largest_session_is_ended_when_all_together_take_too_much() -> None:
    limits = SandboxLimits(memory_mib=1024, total_memory_mib=150)

    async def main() -> tuple[ExecutionResult, ExecutionResult]:
        pool = SandboxPool(limits)
        async with pool.session() as small, pool.session() as large:
            await small.run("a = bytearray(20 << 20)")
            killed = await large.run("import time\na = bytearray(300 << 20)\ntime.sleep(90)", timeout_seconds=90)
            return killed, await small.run("len(a) >> 20")

    killed, kept = asyncio.run(main())
    assert killed.status == "memory"
    assert "too much memory" in killed.output
    assert kept.output == "20"


def test_scratch_has_a_quota() -> None:
    code = "for i in range(100):\n    with open(f'file{i}', 'wb') as file: file.write(bytes(1 << 20))"
    result = run_block(code, limits=LIMITS.model_copy(update={"scratch_mib": 4}))
    assert result.status in ("error", "crashed")


def test_a_session_survives_the_death_of_its_zygote_as_crashed() -> None:
    async def test(session: PythonSession) -> None:
        await session.run("x = 41")
        zygote, process = shared_zygote(LIMITS), session._process
        assert process is not None
        os.kill(zygote.pid, signal.SIGKILL)
        await process.exited
        lost = await session.run("x")
        after = await session.run("x + 1")
        assert lost.status == "crashed"
        assert lost.state_kept
        assert after.output == "42"
        assert shared_zygote(LIMITS) is not zygote

    in_session(test)


def test_a_zygote_that_dies_under_a_running_block_ends_it_as_crashed() -> None:
    async def test(session: PythonSession) -> None:
        await session.run("1")
        running = asyncio.create_task(session.run("import time\ntime.sleep(30)", timeout_seconds=30))
        await asyncio.sleep(0.2)
        os.kill(shared_zygote(LIMITS).pid, signal.SIGKILL)
        assert (await running).status == "crashed"
        assert (await session.run("1")).output == "1"

    in_session(test)


def test_a_cancelled_block_ends_its_process_and_the_session_goes_on() -> None:
    async def test(session: PythonSession) -> None:
        await session.run("x = 41")
        running = asyncio.create_task(session.run("import time\ntime.sleep(30)", timeout_seconds=30))
        await asyncio.sleep(0.1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await session.run("1")).status == "crashed"
        assert (await session.run("x + 1")).output == "42"

    in_session(test)


# The pool


def test_a_started_pool_reports_its_layers_and_leaves_nothing_behind() -> None:
    async def main() -> tuple[int, int]:
        pool = SandboxPool(LIMITS)
        report = await pool.start()
        assert report.problem is None
        assert report.layers["seccomp"]["on"] or report.layers["own uid"]["on"]
        async with pool.session() as session:
            assert (await session.run("1")).output == "1"
        pid = shared_zygote(LIMITS).pid
        await pool.close()
        await pool.close()
        assert shared_zygote(LIMITS).num_sessions == 0
        end_shared_zygotes()
        return pid, open_descriptors()

    pid, first = asyncio.run(main())
    assert not is_there(pid)
    assert asyncio.run(main())[1] == first


def test_closed_sessions_leave_no_process_descriptor_or_file() -> None:
    async def main() -> None:
        pool = SandboxPool(LIMITS)
        async with pool.session() as session:
            await session.run("1")
        zygote = shared_zygote(LIMITS)
        before = open_descriptors()
        for _ in range(5):
            async with pool.session() as session:
                await session.run("open('file', 'w').write('x')")
                process = session._process
                assert process is not None
                pid = process.pid
            assert not is_there(pid)
        assert zygote.num_sessions == 0
        assert open_descriptors() == before

    asyncio.run(main())


def test_no_more_blocks_run_at_once_than_there_are_cores_and_waiting_is_free() -> None:
    async def main() -> list[ExecutionResult]:
        pool = SandboxPool(LIMITS)
        assert pool.running._value == len(os.sched_getaffinity(0))
        async with pool.session() as one, pool.session() as two:
            for _ in range(pool.running._value):
                await pool.running.acquire()
            waiting = [asyncio.create_task(session.run("'ran'", timeout_seconds=1.5)) for session in (one, two)]
            await asyncio.sleep(2)
            assert not any(task.done() for task in waiting)
            pool.running.release()
            return await asyncio.gather(*waiting)

    assert [result.output for result in asyncio.run(main())] == ["'ran'"] * 2


# The layers


def test_every_layer_is_reported_with_the_reason() -> None:
    report = probe_layers(LIMITS)
    assert {"namespaces", "own uid", "landlock", "seccomp", "files"} <= set(report.layers)
    assert all(it["detail"] for it in report.layers.values())
    assert report.missing_libraries == {}
    assert any(line.startswith("seccomp: ") for line in report.lines())


def test_a_sandbox_without_its_minimum_refuses_and_names_the_layer_and_the_flag() -> None:
    limits = SandboxLimits(without_layers=("seccomp", "own uid"))

    async def main() -> None:
        async with PythonSession.open(limits) as session:
            await session.run("1")

    with pytest.raises(SandboxError, match=r"seccomp.*own uid.*--unsafe-sandbox") as error:
        asyncio.run(main())
    assert "\n" not in str(error.value)


def test_the_flag_overrides_the_minimum() -> None:
    limits = SandboxLimits(without_layers=("seccomp", "own uid"), unsafe=True)
    assert run_block("1 + 1", limits=limits).output == "2"


@pytest.mark.parametrize(
    "without",
    [
        ("namespaces",),
        ("private root",),
        # these load every module of the libraries first
        pytest.param(("namespaces", "landlock"), marks=pytest.mark.real),
        pytest.param(("namespaces", "landlock", "chroot"), marks=pytest.mark.real),
    ],
)
def test_a_session_works_and_reads_nothing_outside_with_fewer_layers(without: tuple[str, ...], tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("secret", "ascii")
    limits = SandboxLimits.model_validate({"without_layers": without, "memory_mib": 256})
    codes = ["import sympy\nsympy.integrate(sympy.Symbol('x'))", f"open({str(canary)!r}).read()"]
    solved, refused, gone = run_blocks(*codes, f"open({str(canary)!r}, 'w')", limits=limits)
    end_shared_zygotes()
    assert (solved.status, solved.output) == ("ok", "x**2/2")
    assert (refused.status, gone.status) == ("error", "error")
    assert canary.read_text("ascii") == "secret"


# The command


def run_command(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "solver", "python", *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=300, check=False)


def test_the_command_shows_one_block_as_the_model_sees_it() -> None:
    done = run_command("-c", "x = 20\nprint('out')\nx * 2")
    assert (done.returncode, done.stdout) == (0, "out\n40\n")
    assert done.stderr.startswith("[ok, ")


def test_the_command_reads_a_block_from_standard_input_and_tells_of_failure() -> None:
    done = run_command(given="1 / 0")
    assert done.returncode == 1
    assert done.stdout.endswith("ZeroDivisionError: division by zero\n")


def test_the_command_refuses_in_one_line_where_nothing_confines() -> None:
    done = run_command("-c", "1", "--set", 'sandbox.without_layers=["seccomp", "own uid"]')
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "--unsafe-sandbox" in done.stderr


def test_nothing_is_left_when_the_solver_is_killed() -> None:
    script = (
        "import asyncio\nfrom solver.sandbox import PythonSession, SandboxLimits\n"
        "from solver.sandbox.host import shared_zygote\n"
        "async def main():\n"
        "    async with PythonSession.open(SandboxLimits()) as session:\n"
        "        await session.run('1')\n"
        "        print(session._process.pid, shared_zygote(SandboxLimits()).pid, flush=True)\n"
        "        await session.run('while True: pass', timeout_seconds=60)\n"
        "asyncio.run(main())\n"
    )
    solver = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert solver.stdout is not None
    pids = [int(pid) for pid in solver.stdout.readline().split()]
    assert all(is_there(pid) for pid in pids)
    solver.kill()
    solver.communicate()
    wait_for(lambda: not any(is_there(pid) for pid in pids))

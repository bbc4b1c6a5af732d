"""Runs the hostile corpus through the sandbox and looks around after every snippet. Prints one JSON line per finding.

python hostile_run.py SANDBOX_LIMITS_AS_JSON [NAME...]. It ends with exit code 0 when every snippet was run, whatever
was found; the last line is {"done": how many, ...}.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from solver.config import SandboxLimits
from solver.sandbox import SandboxPool
from solver.sandbox.host import shared_zygote

CORPUS = Path(__file__).with_name("data") / "hostile"
_STATUSES = {"ok", "error", "timeout", "memory", "crashed"}
_BLOCK_SECONDS = 0.4
_FRESH_SECONDS = float(os.environ.get("HOSTILE_FRESH_SECONDS", "30"))  # 1 on an idle machine; these are shared
_MAX_GROWTH_MIB = 64


def read_corpus() -> dict[str, str]:
    """Name to code, of every `# %% name` cell."""
    snippets: dict[str, str] = {}
    for file in sorted(CORPUS.glob("*.txt")):
        for cell in file.read_text("utf-8").split("# %% ")[1:]:
            name, _, code = cell.partition("\n")
            assert name not in snippets, name
            snippets[f"{file.stem}: {name.strip()}"] = code
    return snippets


@dataclass
class Outside:
    """What hostile code would like to reach, and whether it has."""

    folder: Path
    secret: str
    listeners: list[socket.socket] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    at_first: os.stat_result = field(default_factory=lambda: Path("/").stat())

    @classmethod
    def make(cls, folder: Path, zygote_pid: int) -> "Outside":
        folder.chmod(0o755)
        self = cls(folder, secret=os.urandom(8).hex())
        self.canary.write_text(f"SECRET {self.secret}", "ascii")
        self.canary.chmod(0o644)
        self.at_first = self.canary.stat()
        port = self._listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        with contextlib.suppress(OSError):  # no IPv6 here
            self._listen(socket.AF_INET6, socket.SOCK_STREAM, ("::1", port))
        self._listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port))
        self._listen(socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "socket"))
        abstract = f"olympiad-{os.urandom(8).hex()}"
        self._listen(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}")
        (folder / "socket").chmod(0o777)
        self.names = {
            "@CANARY@": str(self.canary),
            "@PORT@": str(port),
            "@SOCKET@": str(folder / "socket"),
            "@ABSTRACT@": abstract,
            "@SOLVER@": str(os.getpid()),
            "@ZYGOTE@": str(zygote_pid),
            "@SOURCE@": str(Path(sys.modules["solver"].__file__ or "").parent),
        }
        return self

    @property
    def canary(self) -> Path:
        return self.folder / "canary"

    def fill_in(self, code: str) -> str:
        for name, value in self.names.items():
            code = code.replace(name, value)
        return code.replace("ESCAPED", r"E\x53CAPED")  # the same word, but not where a traceback shows the source

    def damage(self) -> list[str]:
        found = []
        if sorted(path.name for path in self.folder.iterdir()) != ["canary", "socket"]:
            found.append("files were made or removed beside the canary")
        elif self.canary.read_text("ascii") != f"SECRET {self.secret}":
            found.append("the canary's bytes changed")
        else:
            now = self.canary.stat()
            if any(
                getattr(now, it) != getattr(self.at_first, it)
                for it in ("st_mode", "st_uid", "st_mtime_ns", "st_nlink")
            ):
                found.append("the canary's metadata changed")
        for listener in self.listeners:
            with contextlib.suppress(BlockingIOError):
                listener.recv(1) if listener.type == socket.SOCK_DGRAM else listener.accept()
                found.append(f"a connection on {listener.getsockname()!r}")
        return found

    def _listen(self, family: int, kind: int, address: Any) -> int:
        listener = socket.socket(family, kind)
        listener.bind(address)
        if kind == socket.SOCK_STREAM:
            listener.listen()
        os.set_blocking(listener.fileno(), False)
        self.listeners.append(listener)
        return listener.getsockname()[1] if family == socket.AF_INET else 0


def session_processes(zygote_pid: int) -> set[int]:
    """Processes of the sandbox: those that show its command line, as every fork of the zygote does, less itself."""
    mark, found = Path(f"/proc/{zygote_pid}/cmdline").read_bytes(), set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes() == mark:
                found.add(int(path.parent.name))
    return found


def resident_mib() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


async def run_corpus(limits: SandboxLimits, only: list[str]) -> None:
    pool = SandboxPool(limits)
    report = await pool.start()
    zygote = shared_zygote(limits)
    await zygote.until_ready()
    say(layers={name: it["on"] for name, it in report.layers.items()}, uid=os.getuid())
    baseline, at_rest, slowest, count = resident_mib(), session_processes(zygote.pid), 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        outside = Outside.make(Path(folder), max(at_rest))
        for name, code in read_corpus().items():
            if only and not any(word in name for word in only):
                continue
            count += 1
            try:
                async with asyncio.timeout(200), pool.session(1) as session:
                    first = await session.run(outside.fill_in(code), timeout_seconds=_BLOCK_SECONDS)
                    second = await session.run("40 + 2", timeout_seconds=5.0)
            except Exception as error:  # noqa: BLE001  a session must not raise; which it did is the finding
                say(name=name, finding=f"the session raised {error!r}")
                continue
            findings = outside.damage()
            if first.status not in _STATUSES or second.status not in _STATUSES:
                findings.append(f"status {first.status}, then {second.status}")
            if "ESCAPED" in first.output or outside.secret in first.output:
                findings.append(f"it got through: {first.output[-300:]}")
            if len(first.output) > 2 * limits.output_chars:
                findings.append(f"{len(first.output)} characters of output")
            began = monotonic()
            async with pool.session(2) as fresh:
                result = await fresh.run("print(2 + 2)", timeout_seconds=_FRESH_SECONDS)
            slowest = max(slowest, monotonic() - began)
            if result.output != "4" or monotonic() - began > _FRESH_SECONDS:
                findings.append(f"a fresh session: {result.output!r} after {monotonic() - began:.2f} s")
            if shared_zygote(limits) is not zygote or zygote.is_gone:
                findings.append("the zygote is gone")
            left = await leftovers(zygote.pid, at_rest)
            if left:
                findings.append(f"processes left behind: {left}")
            if resident_mib() - baseline > _MAX_GROWTH_MIB:
                findings.append(f"the solver grew by {resident_mib() - baseline} MiB")
            for finding in findings:
                say(name=name, finding=finding)
            if "-v" in sys.argv:
                say(name=name, status=first.status, output=first.output[-400:], after=second.output[:60])
    await pool.close()
    say(done=count, slowest_fresh_session=round(slowest, 3), growth_mib=resident_mib() - baseline)


async def leftovers(zygote_pid: int, at_rest: set[int]) -> set[int]:
    """Sessions that still live well after theirs ended (milliseconds, where nothing else uses the cores)."""
    left: set[int] = set()
    until = monotonic() + 30
    while monotonic() < until:
        left = session_processes(zygote_pid) - at_rest
        if not left:
            break
        await asyncio.sleep(0.02)
    return left


def say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    # spares would be processes of the sandbox that no snippet left behind
    chosen = SandboxLimits.model_validate({"spares": 0, "memory_mib": 256} | json.loads(sys.argv[1]))
    asyncio.run(run_corpus(chosen, [word for word in sys.argv[2:] if word != "-v"]))

"""The solver's handle on a zygote: starts it, asks it for forks, hears of exits, ends it. Works with any event loop,
one at a time: tests and notebooks make several, and a zygote costs seconds."""

import array
import asyncio
import atexit
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from asyncio import AbstractEventLoop, Future
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from solver.config import SandboxLimits
from solver.errors import SandboxError
from solver.sandbox import surroundings
from solver.sandbox.process import SessionProcess
from solver.sandbox.remove import remove_tree

_START_SECONDS = 120.0
_FORK_SECONDS = 20.0
_END_SECONDS = 2.0
_MAX_MESSAGE = 1 << 16


@dataclass(frozen=True, slots=True)
class ZygoteKey:
    """Settings that a zygote is made with; sessions that agree in them share one."""

    without_layers: tuple[str, ...]
    is_unsafe: bool


class Zygote:
    """One zygote process and the sessions it forked."""

    def __init__(self, key: ZygoteKey) -> None:
        """Starts the process, without waiting for it.

        Raises:
            SandboxError: it cannot be started at all.
        """
        self.layers: dict[str, dict[str, Any]] | None = None
        self.problem: str | None = None
        self.missing: dict[str, str] = {}
        self.preload_seconds = 0.0
        self.is_ready = self.is_gone = False
        self.base_pages = 0
        self._sessions: dict[int, SessionProcess] = {}
        self._forked: dict[int, Future[None]] = {}
        self._number = 0
        self.owner = os.getpid()
        self._waiting: set[Future[None]] = set()
        self._loop: AbstractEventLoop | None = None
        self._directory = tempfile.mkdtemp(prefix="olympiad-solver-python-")
        Path(self._directory).chmod(0o711)  # sessions with a uid of their own pass through to their scratch
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        os.set_blocking(self._control.fileno(), False)
        with theirs:
            try:
                self._process = self._launch(key, theirs)
            except OSError as error:
                self._control.close()
                shutil.rmtree(self._directory, ignore_errors=True)
                raise SandboxError(f"no Python process can be started: {error.strerror}") from None

    def _launch(self, key: ZygoteKey, control: socket.socket) -> subprocess.Popen[bytes]:
        settings = {
            "control_fd": control.fileno(),
            "directory": self._directory,
            "readable": surroundings.readable_paths(),
            "sys_path": surroundings.library_paths(),
            "without": key.without_layers,
            "unsafe": key.is_unsafe,
        }
        package = Path(__file__).resolve().parents[1]
        return subprocess.Popen(
            [
                sys.executable,
                "-S",
                "-s",
                "-P",
                str(package / "sandbox" / "boot.py"),
                str(package),
                json.dumps(settings),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._stderr,
            stderr=self._stderr,
            pass_fds=[control.fileno()],
            cwd="/",
            env=surroundings.clean_environment(),
            start_new_session=True,  # Ctrl-C in the terminal is the solver's
        )

    @property
    def num_sessions(self) -> int:
        return len(self._sessions)

    @property
    def pid(self) -> int:
        """Of the process that we started; with namespaces the zygote itself is its only child."""
        return self._process.pid

    async def until_probed(self) -> None:
        """Wait until the layers are known.

        Raises:
            SandboxError: the required minimum is not reached, or the process died.
        """
        await self._until(lambda: self.layers is not None)
        if self.problem is not None:
            raise SandboxError(
                f"model-written Python cannot be confined here ({self.problem}); --unsafe-sandbox runs it"
            )

    async def until_ready(self) -> None:
        """Wait until libraries are loaded and sessions can be forked. Raises SandboxError as `until_probed` does."""
        await self.until_probed()
        await self._until(lambda: self.is_ready)

    async def fork(self, limits: SandboxLimits) -> SessionProcess:
        """A new session, confining itself.

        Raises:
            SandboxError: the zygote is gone.
        """
        await self.until_ready()
        loop = asyncio.get_running_loop()
        self._number += 1
        number = self._number
        ours, theirs = socket.socketpair()
        reader, writer = os.pipe()
        scratch = None
        if not self.has_private_root:
            scratch = self._make_scratch(number)
        process = SessionProcess(number, ours, reader, scratch, loop)
        process.base_pages = self.base_pages
        self._sessions[number] = process
        self._forked[number] = forked = loop.create_future()
        request = {"memory_mib": limits.memory_mib, "scratch_mib": limits.scratch_mib, "scratch": scratch}
        try:
            await self._send({"fork": number, **request}, [theirs.fileno(), writer])
        finally:
            theirs.close()
            os.close(writer)
        try:
            async with asyncio.timeout(_FORK_SECONDS):
                await forked
        except TimeoutError:
            self.end_now()
        except asyncio.CancelledError:
            process.kill("closed")
            raise
        if self.is_gone:
            raise SandboxError("the process that forks Python sessions died")
        return process

    def _make_scratch(self, number: int) -> str:
        path = Path(self._directory) / str(number)
        path.mkdir(mode=0o700)
        return str(path)

    @property
    def has_private_root(self) -> bool:
        return bool(self.layers and self.layers.get("private root", {}).get("on"))

    async def close(self) -> None:
        """End it and every session; gone from the process table when this returns."""
        sessions = list(self._sessions.values())
        self.end_now()
        for process in sessions:
            process.on_exit(None)
        await asyncio.sleep(0)

    def end_now(self) -> None:
        """As `close`, for an exit without an event loop."""
        if not self._control._closed:  # type: ignore[attr-defined]
            self._detach()
            self._control.close()
        if self._process.poll() is None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
        if not self.is_gone:
            self._lost()
        self._stderr.close()
        remove_tree(self._directory)

    async def _until(self, is_so: Any) -> None:
        self._attach()
        deadline = monotonic() + _START_SECONDS
        while not is_so():
            if self.is_gone:
                raise SandboxError(f"the process for model-written Python died: {self._last_words()}")
            if monotonic() > deadline:
                raise SandboxError(f"the process for model-written Python was not ready after {_START_SECONDS:.0f} s")
            future = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            await asyncio.wait([future], timeout=1.0)
            self._waiting.discard(future)

    async def _send(self, message: dict[str, Any], descriptors: list[int]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        body = json.dumps(message).encode("ascii")
        while not self.is_gone:
            try:
                self._control.sendmsg([body], rights)
                return
            except BlockingIOError:
                await asyncio.sleep(0.001)
            except OSError:
                self._lost()

    def _attach(self) -> None:
        """Listen in the running loop. Sessions of a loop that has ended are nobody's, and end."""
        loop = asyncio.get_running_loop()
        if loop is self._loop or self.is_gone:
            return
        if self._loop is not None:
            self._detach()
            for process in list(self._sessions.values()):
                process.kill("closed")
        self._waiting.clear()
        self._forked.clear()
        self._loop = loop
        loop.add_reader(self._control, self._on_message)

    def _detach(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._control)
        self._loop = None

    def _on_message(self) -> None:
        try:
            data, rights, _, _ = self._control.recvmsg(_MAX_MESSAGE, socket.CMSG_SPACE(4))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, rights = b"", []
        if not data:
            self._lost()
            return
        descriptors = array.array("i")
        for _, _, content in rights:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
        self._take(json.loads(data), list(descriptors))

    def _take(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if "forked" in message:
            number = message["forked"]
            if (process := self._sessions.get(number)) is not None:
                process.forked(descriptors[0])
            else:
                os.close(descriptors[0])
            if (forked := self._forked.pop(number, None)) is not None and not forked.done():
                forked.set_result(None)
        elif "exited" in message:
            if (process := self._sessions.pop(message["exited"], None)) is not None:
                process.on_exit(message["code"])
                if process.scratch is not None:  # it may hold a hundred thousand files
                    asyncio.get_running_loop().run_in_executor(None, remove_tree, process.scratch)
        elif "layers" in message:
            self.layers, self.problem = message["layers"], message["problem"]
            if self.has_private_root:  # it has become the root of the zygote; here it is an empty directory
                with contextlib.suppress(OSError):
                    Path(self._directory).rmdir()
        elif "ready" in message:
            self.is_ready, self.missing = True, message["missing"]
            self.preload_seconds, self.base_pages = message["preload_seconds"], message["base_pages"]
        self._wake()

    def _lost(self) -> None:
        """The zygote has died, and its sessions with it."""
        self.is_gone = True
        self._detach()
        sessions, self._sessions = self._sessions, {}
        for process in sessions.values():
            process.kill("closed")
            process.on_exit(None)
        for forked in self._forked.values():
            if not forked.done() and not forked.get_loop().is_closed():
                forked.set_result(None)
        self._forked.clear()
        self._wake()

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done() and not future.get_loop().is_closed():
                future.set_result(None)

    def _last_words(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else f"exit code {self._process.poll()}"


_shared: dict[ZygoteKey, Zygote] = {}


def shared_zygote(limits: SandboxLimits) -> Zygote:
    """This process's zygote for such limits, started where there is none or where it died."""
    key = ZygoteKey(limits.without_layers, limits.unsafe)
    zygote = _shared.get(key)
    if zygote is None or zygote.is_gone:
        if zygote is not None:
            zygote.end_now()
        zygote = _shared[key] = Zygote(key)
    return zygote


@atexit.register
def end_shared_zygotes() -> None:
    """End every zygote of this process; the next session starts another."""
    while _shared:
        zygote = _shared.popitem()[1]
        if zygote.owner == os.getpid():  # not in a fork of the process that started it
            zygote.end_now()

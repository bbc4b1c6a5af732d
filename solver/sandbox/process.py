"""The solver's handle on one session's process: its socket, its output, its clock. Trusts nothing that it says."""

import contextlib
import os
import signal
import socket
import time
from asyncio import AbstractEventLoop, Future, TimerHandle
from dataclasses import dataclass
from time import monotonic
from typing import Any, Literal

from solver.sandbox import wire
from solver.sandbox.output import OutputCapture

GRACE_SECONDS = 0.5
_READ_BYTES = 1 << 16
_FAST_BYTES = 1 << 20
_PAUSE_SECONDS = 0.001
_SHORT_SECONDS = 0.01
"""A block shorter than this is read once, at its end: waking up for its output as well would halve the blocks a second.
Its output waits in the pipe, which holds 64 KiB."""
_HANG_UP_SECONDS = 0.05
_KINDS = ("ok", "error", "memory", "interrupted")

KilledFor = Literal["timeout", "memory", "protocol", "idle", "tasks", "scratch", "closed"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the session says of a block: `kind` as in `solver.sandbox.cell.Outcome`."""

    kind: str
    error: str
    hint: str


class SessionProcess:
    """One confined process. `run` sends it a block; whatever happens to it ends in `on_exit`, called once."""

    def __init__(self, number: int, channel: socket.socket, output: int, scratch: str | None, loop: AbstractEventLoop):
        self.number, self.scratch = number, scratch
        self.pid = 0
        """In the solver's pid namespace; 0 before the fork is known."""
        self.exit_code: int | None = None
        self.killed_for: KilledFor | None = None
        self.failure: str | None = None
        """Why it could not confine itself; it has then run nothing."""
        self.is_ready = False
        """It has confined itself and waits for a block."""
        self.was_interrupted = False
        self.base_pages = 0
        self.idle_since = monotonic()
        self.cpu_at_start = self.cpu_when_idle = 0.0
        self.cpu_limit = 0.0
        self.exited: Future[None] = loop.create_future()
        self._channel, self._output, self._loop = channel, output, loop
        self._pidfd = -1
        self._buffer = bytearray()
        self._pending: tuple[int, Future[Reply | None]] | None = None
        self._capture: OutputCapture | None = None
        self._fast_bytes = _FAST_BYTES
        self._timer: TimerHandle | None = None
        self._is_open, self._is_reading = True, False
        os.set_blocking(channel.fileno(), False)
        os.set_blocking(output, False)
        loop.add_reader(channel, self._on_message)

    @property
    def is_alive(self) -> bool:
        return not self.exited.done() and self.killed_for is None

    @property
    def is_busy(self) -> bool:
        return self._pending is not None

    def forked(self, pidfd: int) -> None:
        self._pidfd = pidfd
        self.pid = _pid_of(pidfd)
        if self.killed_for is not None:
            self._signal(signal.SIGKILL)

    def on_exit(self, code: int | None) -> None:
        """The process is gone; `code` as subprocess has it, None where its zygote went with it."""
        if self.exited.done():
            return
        self.exit_code = code
        self._drain()
        self._close()
        if not self._loop.is_closed():
            self.exited.set_result(None)
            self._answer(None)

    def reseed(self, seed: int) -> None:
        with contextlib.suppress(OSError):
            self._channel.send(wire.pack({"seed": seed}))

    async def run(self, number: int, code: str, timeout_seconds: float, capture: OutputCapture) -> Reply | None:
        """Run a block; None where the process did not live to answer. Cancelled, it kills the process."""
        self._drain()  # what a thread wrote between the blocks is nobody's
        self._capture, self._fast_bytes, self.was_interrupted = capture, _FAST_BYTES, False
        future: Future[Reply | None] = self._loop.create_future()
        self._pending = (number, future)
        self.cpu_at_start, self.cpu_limit = self.cpu_seconds(), timeout_seconds
        if self.exited.done():
            self._answer(None)
        try:
            if not future.done():
                short = min(_SHORT_SECONDS, timeout_seconds)
                self._timer = self._loop.call_later(short, self._read_along, timeout_seconds - short)
                await self._send(wire.pack({"id": number, "code": code}))
            return await future
        finally:
            if not future.done() or future.cancelled():
                self._pending = None
                self.kill("closed")
            self._stop_timer()
            self._stop_reading()
            self._capture = None

    def interrupt(self) -> None:
        """The block's time is up: SIGINT, and SIGKILL where that has not ended it after the grace."""
        if self._pending is None or self.was_interrupted:
            return
        self.was_interrupted = True
        self._signal(signal.SIGINT)
        self._stop_timer()
        self._timer = self._loop.call_later(GRACE_SECONDS, self.kill, "timeout")

    def kill(self, reason: KilledFor) -> None:
        if self.killed_for is None and not self.exited.done():
            self.killed_for = reason
            self._signal(signal.SIGKILL)

    def cpu_seconds(self) -> float:
        """Processor time used so far; 0 where the process is gone."""
        if self.pid == 0:
            return 0.0
        try:
            return _cpu_seconds(self.pid)
        except OSError:
            return 0.0

    async def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # gone: `on_exit` answers
            try:
                sent = self._channel.send(data)
            except BlockingIOError:
                sent = 0
            if sent < len(data):
                await self._loop.sock_sendall(self._channel, data[sent:])

    def _on_message(self) -> None:
        try:
            data = self._channel.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._channel)
            self._loop.call_later(_HANG_UP_SECONDS, self.kill, "protocol")  # if it is not dead, as most are by then
            return
        self._buffer += data
        try:
            self._read_frames()
        except (ValueError, KeyError, TypeError):
            self._loop.remove_reader(self._channel)
            self.kill("protocol")

    def _read_frames(self) -> None:
        while len(self._buffer) >= wire.HEADER:
            end = wire.HEADER + wire.body_length(bytes(self._buffer[: wire.HEADER]))
            if len(self._buffer) < end:
                return
            message = wire.unpack(bytes(self._buffer[wire.HEADER : end]))
            del self._buffer[:end]
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if "failed" in message and not self.is_ready:
            self.failure = str(message["failed"])[:500]
            return
        if message.get("ready") is True and not self.is_ready:
            self.is_ready = True
            return
        if self._pending is None or message["id"] != self._pending[0] or message["kind"] not in _KINDS:
            raise ValueError("a reply to nothing")
        if not isinstance(message["error"], str) or not isinstance(message["hint"], str):
            raise TypeError("a reply without texts")
        self._drain()
        self._answer(Reply(message["kind"], message["error"], message["hint"]))

    def _answer(self, reply: Reply | None) -> None:
        pending, self._pending = self._pending, None
        self._stop_timer()
        self.idle_since = monotonic()
        self.cpu_when_idle = -1.0  # read by the watch when it next looks
        if pending is not None and not pending[1].done():
            pending[1].set_result(reply)

    def _read_along(self, seconds_left: float) -> None:
        """The block is no short one: take its output as it comes, and interrupt it when its time is up."""
        self._timer = self._loop.call_later(seconds_left, self.interrupt)
        self._read_on()

    def _on_output(self) -> None:
        """One read for each turn of the event loop; a flood is slowed down, so that it takes nobody's time."""
        if not self._read_output():
            self._stop_reading()
        elif self._fast_bytes <= 0:
            self._stop_reading()
            self._loop.call_later(_PAUSE_SECONDS, self._read_on)

    def _read_on(self) -> None:
        if self._is_open and self._capture is not None:
            self._is_reading = True
            self._loop.add_reader(self._output, self._on_output)

    def _stop_reading(self) -> None:
        if self._is_reading and not self._loop.is_closed():
            self._loop.remove_reader(self._output)
        self._is_reading = False

    def _read_output(self) -> int:
        try:
            data = os.read(self._output, _READ_BYTES)
        except BlockingIOError:
            return -1
        except OSError:
            return 0
        self._fast_bytes -= len(data)
        if self._capture is not None:
            self._capture.feed(data)
        return len(data)

    def _drain(self) -> None:
        """What the pipe holds now; bounded, since another thread may be filling it."""
        if self._is_open:
            for _ in range(16):
                if self._read_output() <= 0:
                    break

    def _signal(self, number: int) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        if not self._is_open:
            return
        self._stop_reading()
        self._is_open = False
        if not self._loop.is_closed():
            self._loop.remove_reader(self._channel)
        self._channel.close()
        os.close(self._output)
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


def _pid_of(pidfd: int) -> int:
    """The process's id as this process sees it: the zygote may live in another pid namespace."""
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as file:  # noqa: PTH123  faster, and it is once a session
        for line in file:
            if line.startswith("Pid:"):
                return max(0, int(line.split()[1]))
    return 0


def _cpu_seconds(pid: int) -> float:
    # the clock of another process, numbered as clock_getcpuclockid(3) does it
    return time.clock_gettime(~pid << 3 | 2)

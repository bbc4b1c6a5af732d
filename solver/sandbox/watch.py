"""What no limit inside a session can hold: memory of all sessions together, threads that outlive their block,
processor time, tasks, and files where the scratch directory has no quota of its own. Looked at a few times a second."""

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from solver.config import SandboxLimits
from solver.sandbox.process import SessionProcess

_PERIOD_SECONDS = 0.2
_IDLE_CPU_SECONDS = 0.5
_MAX_TASKS = 72
_MAX_FILES = 4096
_MIN_FREE_MIB = 512
_MIB = 1 << 20
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Watch:
    """Ends the sessions of one pool that take what they may not. Runs while there are any."""

    def __init__(self, limits: SandboxLimits, processes: Callable[[], Iterable[SessionProcess]]) -> None:
        self._limits, self._processes = limits, processes
        self._total_mib = limits.total_memory_mib or max(256, available_mib() * 3 // 4)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look_often())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.get_loop().is_closed():
            task.cancel()
            await asyncio.wait([task])

    async def _look_often(self) -> None:
        while processes := [process for process in self._processes() if not process.exited.done()]:
            await asyncio.sleep(_PERIOD_SECONDS)
            for process in processes:
                self._look(process)
            self._look_at_memory(processes)

    def _look(self, process: SessionProcess) -> None:
        if not process.is_alive or process.pid == 0:
            return
        used = process.cpu_seconds()
        if process.is_busy:
            if used - process.cpu_at_start > process.cpu_limit:
                process.interrupt()
        elif process.cpu_when_idle < 0:
            process.cpu_when_idle = used
        elif used - process.cpu_when_idle > _IDLE_CPU_SECONDS and process.is_ready:
            process.kill("idle")
        if _num_tasks(process.pid) > _MAX_TASKS:
            process.kill("tasks")
        if process.scratch is not None and _is_over(process.scratch, self._limits.scratch_mib * _MIB):
            process.kill("scratch")

    def _look_at_memory(self, processes: list[SessionProcess]) -> None:
        grown = {process: grown_mib(process) for process in processes if process.is_alive}
        if not grown:
            return
        if sum(grown.values()) > self._total_mib or (available_mib() < _MIN_FREE_MIB and max(grown.values()) > 64):
            max(grown, key=grown.__getitem__).kill("memory")


def grown_mib(process: SessionProcess) -> int:
    """Resident memory beyond what the session was born with."""
    try:
        with open(f"/proc/{process.pid}/statm", encoding="ascii") as file:  # noqa: PTH123  read five times a second
            resident = int(file.read().split()[1])
    except (OSError, IndexError):
        return 0
    return max(0, resident - process.base_pages) * _PAGE // _MIB


def available_mib() -> int:
    """Memory free for use: of the machine, or of the container where that has less."""
    machine = [line.split()[1] for line in _read("/proc/meminfo").splitlines() if line.startswith("MemAvailable:")]
    free = [int(kib) // 1024 for kib in machine]
    for limit, used, stat in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        root = "/sys/fs/cgroup"
        texts = _read(f"{root}/{limit}").strip(), _read(f"{root}/{used}").strip()
        if all(text.isdecimal() for text in texts) and int(texts[0]) < 1 << 50:
            cached = [
                line.split()[1] for line in _read(f"{root}/{stat}").splitlines() if line.startswith("inactive_file")
            ]
            free.append((int(texts[0]) - int(texts[1]) + int((cached or ["0"])[0])) // _MIB)
    return min(free, default=1024)


def _read(path: str) -> str:
    try:
        return Path(path).read_text("ascii", "replace")
    except OSError:
        return ""


def _num_tasks(pid: int) -> int:
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[17]) if len(fields) > 17 else 0


def _is_over(directory: str, max_bytes: int) -> bool:
    """Whether the files below hold more, or are too many. Files that are open but deleted are not seen."""
    total = files = 0
    folders = [directory]
    while folders:
        try:
            entries = os.scandir(folders.pop())
        except OSError:
            continue
        with entries:
            for entry in entries:
                files += 1
                if files > _MAX_FILES:
                    return True
                try:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                except OSError:
                    continue
    return total > max_bytes

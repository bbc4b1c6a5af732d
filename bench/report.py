"""Where a measurement's figures go, with the command, the commit and the machine that made them."""

import datetime
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def write_report(name: str, body: str, options: Sequence[str] = ()) -> Path:
    command = " ".join(["python -m bench", name, *options])
    head = [
        f"# {name}",
        "",
        f"    {command}",
        "",
        f"- commit {_commit()}, {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        f"- {_cpu()}, {len(os.sched_getaffinity(0))} cores, {_memory_gib()} GiB, Python {platform.python_version()}",
        f"- load average at the end {os.getloadavg()[0]:.1f}",
        "",
        "",
    ]
    path = RESULTS / f"{name}.md"
    path.write_text("\n".join(head) + body.rstrip("\n") + "\n", "utf-8")
    print(path.read_text("utf-8"))
    return path


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (header, ["---"] * len(header), *rows)]
    return "\n".join(lines) + "\n"


def spread(values: Sequence[float], digits: int) -> str:
    """Median (lowest, highest)."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}, {max(values):.{digits}f})"


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "solver", "bench/*.py")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with uncommitted changes" if changed else "")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or sys.platform


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)

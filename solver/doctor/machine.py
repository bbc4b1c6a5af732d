"""What stands around the model: processor, GPU, packages, disk, clock, sandbox."""

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from solver.competition import find_competition
from solver.config import SolverConfig
from solver.doctor.lines import Line, count, installed_version
from solver.model import embedded_folder
from solver.sandbox import probe_layers

_LEAST_FREE_GIB = 2  # for journal, report and the embedded model


def check_machine(_config: SolverConfig) -> Iterator[Line]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    detail = (
        f"{platform.system()} {platform.machine()}, {count(cores, 'core')}, {memory:.0f} GiB, "
        f"Python {platform.python_version()}"
    )
    yield Line("machine", "ok", detail)
    busy = os.getloadavg()[0]
    if busy > cores + 1:
        yield Line(
            "machine",
            "warning",
            f"load average {busy:.1f} on {count(cores, 'core')}",
            "end what else runs: it costs speed",
        )


def check_wheels(_config: SolverConfig) -> Iterator[Line]:
    """Whether what the package itself asks for is installed, in fitting versions."""
    from packaging.requirements import Requirement

    missing, total = [], 0
    for text in metadata.requires("olympiad-solver") or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        total += 1
        version = installed_version(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            missing.append(f"{requirement} ({version or 'not installed'})")
    if missing:
        yield Line("wheels", "problem", "; ".join(missing), "pip install -c constraints.txt .")
    else:
        yield Line("wheels", "ok", f"{total} required packages are installed, in fitting versions")


def check_disk(_config: SolverConfig) -> Iterator[Line]:
    places = {
        "here": Path.cwd(),
        "for models": embedded_folder().parent,
        "for temporary files": Path(tempfile.gettempdir()),
    }
    for name, path in places.items():
        while not path.exists():
            path = path.parent
        free = shutil.disk_usage(path).free / 2**30
        is_low = free < _LEAST_FREE_GIB
        detail = f"{free:.1f} GiB free {name} ({path})"
        yield Line(
            "disk",
            "warning" if is_low else "ok",
            detail,
            "make room: a journal that stops cannot be resumed" if is_low else "",
        )


def check_time(config: SolverConfig) -> Iterator[Line]:
    competition = find_competition(config.competition)
    limit = config.budget.time_limit_seconds or competition.time_limit
    if time.time() < 1_735_689_600:  # 2025: certificates and file times are wrong, the monotonic clock is not
        yield Line(
            "time", "warning", "the system's clock is years behind", "set it; the time limit itself is not affected"
        )
    if limit is None:
        yield Line("time", "ok", "no time limit")
        return
    left = limit - config.budget.reserve_seconds
    if left <= 0:
        detail = f"the limit of {limit:.0f} s is used up by the reserve of {config.budget.reserve_seconds:.0f} s"
        yield Line("time", "problem", detail, "raise --time-limit, or lower budget.reserve_seconds")
        return
    each = "" if competition.expected_problems is None else f", {left / competition.expected_problems:.0f} s a problem"
    yield Line("time", "ok", f"a limit of {limit:.0f} s, {left:.0f} s of it for problems{each}")


def check_sandbox(config: SolverConfig) -> Iterator[Line]:
    report = probe_layers(config.sandbox)
    for name, layer in report.layers.items():
        yield Line("sandbox", "ok", f"{name}: {'yes' if layer['on'] else 'no'} ({layer['detail']})")
    for name, why in report.missing_libraries.items():
        yield Line("sandbox", "problem", f"{name}: cannot be imported ({why})", f"pip install {name}")
    if report.problem is not None:
        remedy = "see solver/sandbox/README.md; --unsafe-sandbox runs it all the same"
        yield Line("sandbox", "problem", f"code cannot be run safely: {report.problem}", remedy)

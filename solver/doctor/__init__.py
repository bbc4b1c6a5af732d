"""Whether a run would start here, and what to do where it would not: one line for each thing, in under five seconds,
without loading the model. `deep` loads it and has it solve one problem.

Each check returns lines and raises nothing of its own; whatever a part refuses with becomes a line with its remedy.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict

from solver import __version__
from solver.config import SolverConfig
from solver.doctor import engine, machine, model
from solver.doctor.canary import check_canary
from solver.doctor.lines import Check, Line, caught, count

_CHECKS: dict[str, Check] = {
    "machine": machine.check_machine,
    "gpu": engine.check_gpu,
    "engine": engine.check_engine,
    "wheels": machine.check_wheels,
    "model": model.check_folder,
    "disk": machine.check_disk,
    "time": machine.check_time,
    "sandbox": machine.check_sandbox,
}


def examine(config: SolverConfig, *, deep: bool = False) -> Iterator[Line]:
    """Every line of the doctor, as it is found."""
    failed = False
    for name, check in _CHECKS.items():
        for line in caught(name, check, config):
            failed = failed or line.state == "problem"
            yield line
    if deep and failed:
        yield Line("canary", "warning", "not run", "repair the problems above first")
    elif deep:
        yield from caught("canary", check_canary, config)


def as_json(lines: list[Line]) -> str:
    is_well = all(line.state != "problem" for line in lines)
    return json.dumps({"ok": is_well, "version": __version__, "checks": [asdict(line) for line in lines]}, indent=2)


def verdict(lines: list[Line]) -> str:
    """The last line: whether a run would start."""
    problems = sum(line.state == "problem" for line in lines)
    warnings = sum(line.state == "warning" for line in lines)
    if problems:
        return f"A run would not start here: {count(problems, 'problem')}, {count(warnings, 'warning')}."
    return "A run would start here" + (f", with {count(warnings, 'warning')}." if warnings else ".")

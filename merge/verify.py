"""Is this checkpoint right? Checks that need no torch first, then loading it and reading a text with it.

Usable on any checkpoint folder; with `provenance.json` beside the weights (what `merge run` and `merge quantize` write)
the parents are compared too. Each failure says what would have gone wrong later.
"""

import json
import math
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from merge import checks
from merge.child import python_module
from merge.errors import CheckpointError
from merge.parents import Parent
from merge.recompute import recomputed
from merge.subject import Check, Depth, Failed, Skipped, Subject, read_subject

NLL_MARGIN = 1.0
"""Nats a token that a merge may be worse than its worst parent, or a checkpoint than uniform guessing."""


def verify(folder: Path, depth: Depth = "full", parents: Sequence[Parent] = ()) -> list[Check]:
    """Every check, in order. `parents`: those just merged; without them, those that provenance names, hashed again."""
    try:
        subject = read_subject(folder, parents)
    except CheckpointError as error:
        return [Check("files", "failed", f"{error}; no engine could load it")]
    broken = [Check("provenance", "failed", subject.broken)] if subject.broken else []
    return [*broken, *(_run(name, check, subject, depth) for name, check in _CHECKS.items())]


def _run(name: str, check: "_Check", subject: Subject, depth: Depth) -> Check:
    try:
        return Check(name, "ok", check(subject, depth))
    except (Failed, CheckpointError) as failure:
        return Check(name, "failed", str(failure))
    except Skipped as reason:
        return Check(name, "skipped", str(reason))
    except Exception as error:  # noqa: BLE001  a damaged file can end a check in any way; the others are still to be told
        return Check(name, "failed", f"it could not be checked: {type(error).__name__}: {' '.join(str(error).split())}")


def _logits(subject: Subject, depth: Depth) -> str:
    if depth == "weights":
        raise Skipped("not asked for; a layer that is missing would show here")
    result, *parents = probe_in_child([Parent("", subject.checkpoint), *subject.parents])
    if result["missing"] or result["unexpected"]:
        names = [*result["missing"], *result["unexpected"]]
        raise Failed(f"loads, but {names[0]} is missing or unknown: that layer would be random or left out")
    nll, chance = result["nll"], math.log(result["vocabulary"])
    said = f"{nll:.3f} nats a token on a fixed text (guessing: {chance:.2f}"
    if not nll < chance + NLL_MARGIN:
        raise Failed(f"{said}): weights and names do not belong together")
    theirs = [parent["nll"] for parent in parents]
    if theirs and nll > max(theirs) + NLL_MARGIN:
        raise Failed(f"{said}; its worst parent {max(theirs):.3f}): it lost what they know; are they of one base?")
    return said + (f"; its parents: {', '.join(f'{value:.3f}' for value in theirs)})" if theirs else ")")


def probe_in_child(models: Sequence[Parent]) -> list[dict[str, Any]]:
    """`merge.probe` of each, in one process of its own."""
    need = 4 * 1.2 * max(model.base.num_parameters for model in models)
    free = _free_memory()
    if need + 2**30 > free:
        raise Skipped(f"{need / 1e9:.0f} GB of memory to load it in float32, {free / 1e9:.0f} GB free: not loaded here")
    folders = [[model.base.folder, *([model.adapter.folder] if model.adapter else [])] for model in models]
    paths = json.dumps([[str(folder.resolve()) for folder in pair] for pair in folders])
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        python_module("merge.probe", paths), capture_output=True, text=True, env=environment, check=False
    )
    results: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()] or ["no message"]
        raise Failed(f"{models[len(results)].base.folder} does not load: {lines[-1].strip()}")
    return results


def _free_memory() -> int:
    """Bytes that could be had without swapping, where the system tells."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


_Check = Callable[[Subject, Depth], str]
_CHECKS: dict[str, _Check] = {
    "files": checks.files,
    "manifest": checks.manifest,
    "tensors": checks.tensors,
    "dtypes": checks.dtypes,
    "tied embeddings": checks.tied,
    "finite": checks.finite,
    "recomputed": recomputed,
    "tokenizer": checks.tokenizer,
    "chat template": checks.chat_template,
    "generation config": checks.generation,
    "loads, logits": _logits,
}

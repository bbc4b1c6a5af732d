"""The health gate: is this the machine and is this the model that the submission was made for?

Kaggle's visible test has answers that are all zero, so a dead model with the fallback 0 passes it; a canary with
another answer does not let it.
"""

import contextlib
import json
import subprocess
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from solver.errors import OutputError
from solver.problem import write_atomically
from solver.types import EngineInfo, Prediction
from submission.config import HealthConfig

State = Literal["starting", "ok", "degraded", "dead"]
_SHORT = 300
_SHOWN_REASONS = 3


def shorten(error: object) -> str:
    """One line: longer ones overflow the wire's metadata, and Kaggle then shows that instead."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str
    memory_gib: float


def find_gpus() -> list[Gpu]:
    """What nvidia-smi lists; nothing where it is not there or does not answer."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_gpus(done.stdout)


def parse_gpus(listing: str) -> list[Gpu]:
    gpus = []
    for line in listing.splitlines():
        name, _, mebibytes = line.rpartition(",")
        with contextlib.suppress(ValueError):
            gpus.append(Gpu(name.strip(), int(mebibytes) / 1024))
    return gpus


def judge_gpus(gpus: list[Gpu], expected: HealthConfig) -> list[str]:
    """What is wrong with the machine."""
    if expected.gpu is None:
        return []
    there = ", ".join(f"{gpu.name} {gpu.memory_gib:.0f} GiB" for gpu in gpus) or "no GPU"
    fitting = [g for g in gpus if expected.gpu.lower() in g.name.lower() and g.memory_gib >= expected.gpu_memory_gib]
    if len(fitting) >= expected.num_gpus:
        return []
    wanted = f"{expected.num_gpus} x {expected.gpu}, {expected.gpu_memory_gib:g} GiB"
    return [f"the machine has {there}, the preset needs {wanted}: set machine_shape in kernel-metadata.json"]


def judge_canary(canary: Prediction, expected: HealthConfig) -> list[str]:
    """What is wrong with the model."""
    if canary.num_tokens == 0:
        return [f"the model wrote nothing ({canary.fallback_reason or 'no attempt'})"]
    reasons = []
    if expected.canary_must == "answer" and canary.answer != expected.canary_answer:
        reasons.append(f"the model answered {canary.answer} to '{expected.canary}', not {expected.canary_answer}")
    speed = canary.num_tokens / max(canary.seconds, 1e-6)
    if expected.tokens_per_second is not None and speed < expected.tokens_per_second / 2:
        reasons.append(f"{speed:.0f} tokens/s, the preset expects {expected.tokens_per_second:.0f}")
    return reasons


@dataclass
class Health:
    """What health.json says; written anew after every answer."""

    path: Path
    is_scored: bool
    state: State = "starting"
    reasons: list[str] = field(default_factory=list)
    gpus: list[Gpu] = field(default_factory=list)
    engine: EngineInfo | None = None
    canary: dict[str, Any] | None = None
    restarts: int = 0
    decided_by: Counter[str] = field(default_factory=Counter)
    fallback_reasons: Counter[str] = field(default_factory=Counter)
    unwritten: str | None = None
    """Why the file could not be written."""

    @property
    def num_answers(self) -> int:
        return self.decided_by.total()

    def note(self, state: State, reasons: list[str]) -> None:
        self.state = state
        self.reasons += [shorten(reason) for reason in reasons]
        self.write()

    def count(self, prediction: Prediction) -> None:
        self.decided_by[prediction.decided_by] += 1
        if prediction.fallback_reason is not None:
            self.fallback_reasons[prediction.fallback_reason] += 1
        self.write()

    def line(self) -> str:
        """The state of things, as the last line of the log should tell it."""
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(self.fallback_reasons.items()))
        fallbacks = f"{self.decided_by['fallback']} of {self.num_answers} answers are fallbacks"
        shown = [*dict.fromkeys(self.reasons)][-_SHOWN_REASONS:]
        reasons = f"; {'; '.join(shown)}" if shown else ""
        return f"{fallbacks}{f' ({why})' if why else ''}; health {self.state}{reasons}"

    def as_record(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "mode": "scored" if self.is_scored else "commit",
            "reasons": self.reasons,
            "answers": self.num_answers,
            "decided_by": dict(self.decided_by),
            "fallbacks": self.decided_by["fallback"],
            "fallback_reasons": dict(self.fallback_reasons),
            "restarts": self.restarts,
            "canary": self.canary,
            "gpus": [asdict(gpu) for gpu in self.gpus],
            "engine": asdict(self.engine) if self.engine else None,
            "written": time.time(),
        }

    def write(self) -> None:
        """A full disk is noted and not raised: answers matter more."""
        try:
            write_atomically(self.path, (json.dumps(self.as_record(), indent=2) + "\n").encode())
        except (OutputError, OSError) as error:
            self.unwritten = shorten(error)

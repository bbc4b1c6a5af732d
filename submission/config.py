"""A submission's settings: presets in `submission/presets/*.toml`, each over a preset of the solver, resolved into the
bundle's `submission.json`."""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from solver.competition import find_competition
from solver.config import SolverConfig, load_config
from solver.errors import UsageError, nearest
from submission.protocol import Protocol, find_protocol


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HealthConfig(Section):
    """What must hold before the first scored problem. In a commit run a failure ends the notebook; in a scored run it
    is written to health.json, and the engine is started again with the `degraded` settings."""

    gpu: str | None = None
    """Part of the GPU's name, such as "H100"; None: a GPU is not looked for."""
    num_gpus: int = Field(1, ge=1)
    gpu_memory_gib: float = 0.0
    """Of each."""
    tokens_per_second: float | None = None
    """What the canary should reach in all; below half of it the engine counts as degraded."""
    canary: str = "What is the sum of 123 and 654?"
    canary_answer: int = 777
    """An answer of the contest, and never the fallback: a dead model answers zero, and the visible test's answers are
    all zero."""
    canary_must: Literal["answer", "tokens"] = "answer"
    """tokens: enough that the model writes; for a model too small to be trusted with a sum."""
    canary_seconds: float = Field(300.0, gt=0)
    start_seconds: float = Field(1500.0, gt=0)
    """How long the first problem waits for the engine and the canary without losing time of its own."""
    degraded: tuple[str, ...] = ()
    """Settings (a.b=c) laid over the solver's where it failed with its own."""
    restarts: int = Field(3, ge=0)


class WheelsConfig(Section):
    image: str = "py311"
    """A profile of `submission/images.toml`."""
    requirements: tuple[str, ...] = ()
    """Beside the solver itself and what it needs."""
    constrained: bool = False
    """Take the versions of this repository's constraints.txt, as its tests do."""
    replaces: tuple[str, ...] = ()
    """Packages of the image that the bundle may replace by another version."""


class KaggleConfig(Section):
    owner: str = "your-kaggle-name"
    slug: str = "olympiad-solver"
    title: str = "Olympiad Solver"
    machine_shape: str | None = None
    """Kaggle's name of the accelerator; None: a CPU notebook."""
    docker_image: str | None = None
    """The digest of the image to run in, as `kaggle kernels pull -m` tells it; None: Kaggle's newest."""
    model_kind: Literal["dataset", "model"] = "dataset"
    """What a local model folder is uploaded as."""
    model_slug: str = "olympiad-solver-model"
    model_source: str | None = None
    """A model that lies on Kaggle already: owner/model/framework/variation/version."""
    model_license: str = "apache-2.0"
    framework: str = "transformers"


class SubmissionConfig(Section):
    name: str
    competition: str
    solver: dict[str, Any]
    """A tree of `SolverConfig`; its model folder is found at run time."""
    health: HealthConfig = HealthConfig()
    wheels: WheelsConfig = WheelsConfig()
    kaggle: KaggleConfig = KaggleConfig()

    @property
    def protocol(self) -> Protocol:
        return find_protocol(self.competition)

    @property
    def needs_model(self) -> bool:
        return bool(self.solver.get("engine", {}).get("name") != "scripted")

    def without_model(self) -> "SubmissionConfig":
        """The same submission with texts played in place of its model: what can be rehearsed without weights or GPU."""
        played = load_preset("scripted")
        solver = played.solver | {"budget": self.solver.get("budget", {})}
        return self.model_copy(update={"solver": solver, "health": played.health})

    def on_image(self, name: str) -> "SubmissionConfig":
        return self.model_copy(update={"wheels": self.wheels.model_copy(update={"image": name})})

    def solver_config(self, settings: Sequence[str] = (), model: Path | None = None) -> SolverConfig:
        """Raises UsageError."""
        flags: dict[str, Any] = {"competition": self.competition, "concurrent_problems": 1}
        if model is not None:
            flags["engine.model"] = model
        return load_config(tree=self.solver, settings=settings, flags=flags)


def preset_names() -> list[str]:
    return sorted(path.name.removesuffix(".toml") for path in _presets().iterdir() if path.name.endswith(".toml"))


def load_preset(name: str, settings: Mapping[str, Any] | None = None) -> SubmissionConfig:
    """The preset; `settings` are laid over it ({"kaggle.owner": "me"}); None values are left out.

    Raises:
        UsageError: an unknown preset or setting.
    """
    if name not in preset_names():
        raise UsageError(f"no submission preset '{name}': {nearest(name, preset_names())}")
    tree = tomllib.loads((_presets() / f"{name}.toml").read_text("utf-8"))
    tree["name"] = name
    flags = dict(_flat(tree.get("solver", {})))
    tree["solver"] = load_config(tree.pop("solver_preset"), flags=flags).model_dump(mode="json", exclude_unset=True)
    for key, value in (settings or {}).items():
        if value is not None:
            section, _, field = key.partition(".")
            (tree.setdefault(section, {}) if field else tree)[field or section] = value
    return parse_config(tree, f"submission preset {name}")


def parse_config(tree: Any, where: str) -> SubmissionConfig:
    """Raises UsageError."""
    try:
        config = SubmissionConfig.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{where}, {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    find_protocol(config.competition)
    config.solver_config()
    contest, canary = find_competition(config.competition), config.health.canary_answer
    if contest.admits(canary) != canary or canary == contest.fallback:
        raise UsageError(f"{where}, health.canary_answer: {canary} cannot tell a dead model in {contest.name}")
    return config


def read_config(path: Path) -> SubmissionConfig:
    """A bundle's submission.json. Raises UsageError."""
    try:
        return parse_config(json.loads(path.read_text("utf-8")), str(path))
    except OSError as error:
        raise UsageError(f"{path.parent.parent} is no bundle ({path}: {str(error.strerror).lower()})") from None
    except ValueError as error:
        raise UsageError(f"{path} is no bundle's submission.json: {error}") from None


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _presets() -> Any:
    return resources.files("submission") / "presets"

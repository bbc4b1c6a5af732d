"""Every setting, one frozen model a stage: from a TOML preset or file, then `--set a.b=c`, then the command's flags.

An unknown name is an error that tells the nearest valid one; nothing is ignored in silence.
"""

import copy
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from solver.competition import find_competition
from solver.errors import UsageError, nearest

EngineName = Literal["auto", "vllm", "transformers", "scripted"]
DEFAULT_PRESET = "miniature"

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?|(\d+(?:\.\d+)?)")


def parse_duration(text: str) -> float:
    """Seconds of "4h50m", "10m", "90s", "1.5h" or "90". ValueError otherwise."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or not any(match.groups()):
        raise ValueError(f"'{text}' is no duration: write it like 4h50m, 10m or 90s")
    hours, minutes, seconds, bare = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + bare


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScriptedConfig(Section):
    """The engine that plays texts instead of sampling them; see `solver.engine.scripted`."""

    script: Path | None = None
    """A JSON Lines file of entries; None: the built-in one."""
    tokens_per_second: float = Field(0.0, ge=0)
    """Pace of one attempt; 0: as fast as the event loop turns."""
    start_seconds: float = Field(0.0, ge=0)
    start_error: str | None = None
    close_seconds: float = Field(0.0, ge=0)


class EngineConfig(Section):
    name: EngineName = "auto"
    """auto: vLLM where it is installed, else transformers."""
    model: Path | None = None
    """A folder with config.json, tokenizer.json and safetensors; None: the embedded model."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: the checkpoint's own, but float32 on a CPU without bfloat16 instructions."""
    max_model_len: int = Field(32_768, ge=64)
    """Tokens of prompt, output and code results together."""
    max_num_seqs: int = Field(16, ge=1)
    """Attempts decoded at once."""
    block_size: int | None = Field(None, ge=1)
    """Tokens in a block of the KV cache; a prefix is found again in whole blocks. None: the engine's own choice."""
    gpu_memory_utilization: float = Field(0.92, gt=0, le=1)
    cpu_kv_cache_gib: int = Field(2, ge=1)
    enforce_eager: bool = False
    """Do not compile: on a CPU compiling gives 1.3x the speed for over two minutes at every start."""
    threads: int | None = Field(None, ge=1)
    """Threads of a CPU engine; None: one for each core."""
    scripted: ScriptedConfig = ScriptedConfig()


class ChatConfig(Section):
    format: Literal["openmath"] = "openmath"
    """The model family's way to write prompts and code calls."""
    system_prompt: str | None = None
    cot_prompt: str = "openmath-cot"
    tir_prompt: str = "openmath-tir"
    """Names of files in `solver/prompts/`, or paths."""
    max_code_calls: int = Field(8, ge=0)
    remaining_calls_text: bool = True
    """Tell the model after each code result how many calls are left."""


class SamplingConfig(Section):
    temperature: float = Field(0.7, ge=0)
    top_p: float = Field(0.95, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    min_p: float = Field(0.0, ge=0, le=1)
    repetition_penalty: float = Field(1.0, gt=0)


class AttemptsConfig(Section):
    num_attempts: int = Field(8, ge=1)
    tir_share: float = Field(1.0, ge=0, le=1)
    """The share of attempts that may run Python; the others reason in text alone."""
    max_tokens: int = Field(16_384, ge=1)
    """Tokens of one attempt, code output included."""
    stop_at_answer: bool = True
    """End an attempt at its first complete boxed answer outside its thinking."""
    force_seconds: float = Field(5.0, ge=0)
    """Kept back from a problem's time (never more than a fifth of it) for attempts that have no answer: the start of a
    box is put into their mouths. Forced answers vote only where no attempt finished with an answer. 0: never."""


class ConsensusConfig(Section):
    quorum: int | None = Field(4, ge=1)
    """Equal answers that decide a problem (never more than there are attempts); None: no quorum."""
    uncatchable: bool = True
    """Stop when the attempts still running cannot change the winner."""


class BudgetConfig(Section):
    """How a contest's time is shared out; `solver.budget` explains the policies.

    The seconds left unset scale with the contest: their published values were chosen for 360 s a problem.
    """

    policy: Literal["bank", "clamp", "even"] = "bank"
    time_limit_seconds: float | None = Field(None, gt=0)
    """Wall clock from the start of the process; None: the competition's, or no limit."""
    reserve_seconds: float = Field(10.0, ge=0)
    """Kept back for closing the engine and writing the answers."""
    floor_seconds: float = Field(0.0, ge=0)
    """A problem gets at least this much while there is time: less than one attempt takes buys nothing."""
    base_seconds: float | None = Field(None, gt=0)
    draw_seconds: float | None = Field(None, ge=0)
    """bank: the most that one problem may take out of the shared bank on top of its base."""
    cap_seconds: float | None = Field(None, gt=0)

    @field_validator("time_limit_seconds", mode="before")
    @classmethod
    def _duration(cls, value: Any) -> Any:
        return parse_duration(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.base_seconds and self.cap_seconds and self.cap_seconds < self.base_seconds:
            raise ValueError(f"cap_seconds {self.cap_seconds:g} is below base_seconds {self.base_seconds:g}")
        return self


SandboxLayer = Literal["namespaces", "private root", "own uid", "landlock", "seccomp", "chroot"]


class SandboxLimits(Section):
    """What one Python session may use."""

    timeout_seconds: float = Field(6.0, gt=0)
    """Wall clock of one block."""
    memory_mib: int = Field(1024, ge=64)
    """On top of what the session's libraries take."""
    scratch_mib: int = Field(32, ge=1)
    """Of files in the session's own folder."""
    total_memory_mib: int | None = Field(None, ge=64)
    """Of all sessions together, on top of the libraries; None: three quarters of what is free at the start."""
    replay_seconds: float = Field(2.0, ge=0)
    """A session that had to be killed gets its variables back where its earlier blocks took no longer in all."""
    spares: int = Field(2, ge=0)
    """Sessions forked ahead of need."""
    unsafe: bool = False
    """Run even where neither system calls can be filtered nor a session can have a uid of its own."""
    without_layers: tuple[SandboxLayer, ...] = ()
    """Layers not to use; for tests of the others."""
    output_chars: int = Field(1000, ge=100)
    """Of one block's output; more keeps head and tail."""


class SolverConfig(Section):
    competition: str = "open"
    seed: int = Field(0, ge=0)
    concurrent_problems: int | Literal["auto"] = "auto"
    """Problems in flight at once; auto: as many as keep the engine's slots full. 1 is contest timing."""
    engine: EngineConfig = EngineConfig()
    chat: ChatConfig = ChatConfig()
    sampling: SamplingConfig = SamplingConfig()
    attempts: AttemptsConfig = AttemptsConfig()
    consensus: ConsensusConfig = ConsensusConfig()
    budget: BudgetConfig = BudgetConfig()
    sandbox: SandboxLimits = SandboxLimits()

    @field_validator("competition")
    @classmethod
    def _known_competition(cls, value: str) -> str:
        find_competition(value)
        return value

    @field_validator("concurrent_problems")
    @classmethod
    def _positive(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("must be 1 or more, or auto")
        return value

    @property
    def lanes(self) -> int:
        """Problems solved at the same time."""
        if self.concurrent_problems == "auto":
            return max(1, self.engine.max_num_seqs // self.attempts.num_attempts)
        return self.concurrent_problems


def preset_names() -> list[str]:
    return sorted(path.name.removesuffix(".toml") for path in _presets().iterdir() if path.name.endswith(".toml"))


def load_config(
    preset: str | None = None,
    file: Path | None = None,
    settings: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    *,
    tree: Mapping[str, Any] | None = None,
) -> SolverConfig:
    """The resolved configuration: the preset, file or `tree`, then `settings` ("a.b=c"), then `flags` ({"a.b": value}).

    Raises:
        UsageError: an unknown preset, setting or value, in one line.
    """
    if tree is not None:
        values = copy.deepcopy(dict(tree))
    else:
        values = _read_toml(file) if file is not None else _read_preset(preset or DEFAULT_PRESET)
    for key, value in (*map(_parse_setting, settings), *(flags or {}).items()):
        _put(values, key, value)
    try:
        return SolverConfig.model_validate(values)
    except ValidationError as error:
        raise UsageError(_first_problem(error)) from None


def _presets() -> Any:
    return resources.files("solver") / "presets"


def _read_preset(name: str) -> dict[str, Any]:
    if name not in preset_names():
        raise UsageError(f"no preset '{name}': {nearest(name, preset_names())}")
    return tomllib.loads((_presets() / f"{name}.toml").read_text("utf-8"))


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None


def _parse_setting(setting: str) -> tuple[str, Any]:
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {setting}: write it as section.name=value")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _put(tree: dict[str, Any], dotted_key: str, value: Any) -> None:
    *sections, name = dotted_key.split(".")
    for section in sections:
        inner = tree.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"unknown setting '{dotted_key}': '{section}' is a value, not a section")
        tree = inner
    tree[name] = value


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown setting '{key}': {nearest(key, _setting_names(SolverConfig))}"
    if isinstance(raised := problem.get("ctx", {}).get("error"), UsageError):
        return str(raised)
    reason = problem["msg"].removeprefix("Value error, ")
    return f"setting '{key}': {reason[0].lower()}{reason[1:]}, not {problem['input']!r}" if key else reason


def _setting_names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _setting_names(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name

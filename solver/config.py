"""Every setting, one frozen model a stage: from a TOML preset or file, then `--set a.b=c`, then the command's flags.

An unknown name is an error that tells the nearest valid one; nothing is ignored in silence.
"""

import copy
import difflib
import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from solver.competition import find_competition
from solver.errors import UsageError, nearest
from solver.types import Effort, Mode

EngineName = Literal["auto", "vllm", "tensorrt-llm", "transformers", "openai", "scripted"]
Embedded = Literal["miniature", "base"]
DEFAULT_PRESET = "miniature"
_EMBEDDED_FAMILIES = ("auto", "miniature")
LEFT_TO_THE_FAMILY = frozenset(
    {
        "chat.max_code_calls",
        "sampling.temperature",
        "sampling.top_p",
        "sampling.top_k",
        "sampling.min_p",
        "attempts.max_tokens",
        "engine.max_model_len",
    }
)
"""What the model's family fills in where nobody sets it (`solver.chat.settle`); the defaults hold without a model."""

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?|(\d+(?:\.\d+)?)")
_KIND = re.compile(r"(?P<count>[1-9]\d{0,3}) +(?P<mode>cot|tir)(?: +(?P<effort>low|medium|high))?")


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


class SpeculationConfig(Section):
    """Tokens drafted ahead and checked by the model in one step. It pays while a step waits for memory: up to about 16
    attempts on one GPU, not on a CPU. The distribution stays the same; the text of a seed does not."""

    method: Literal["ngram", "suffix", "eagle3", "mtp", "draft_model"]
    num_speculative_tokens: int = Field(3, ge=1)
    model: Path | None = None
    """The EAGLE-3 head or the draft model; ngram, suffix and mtp need none."""
    prompt_lookup_max: int | None = Field(None, ge=1)
    """ngram: the longest run of tokens that is looked up in the transcript."""

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        needs_model = self.method in ("eagle3", "draft_model")
        if needs_model != (self.model is not None):
            verb = "needs" if needs_model else "takes no"
            raise ValueError(f"the method {self.method} {verb} engine.speculation.model")
        return self


class EngineConfig(Section):
    name: EngineName = "auto"
    """auto: vLLM where it is installed, else transformers."""
    model: Path | None = None
    """A folder with config.json, tokenizer.json and safetensors; None: the embedded model."""
    embedded: Embedded = "miniature"
    """Which embedded model: the miniature, or the untrained base that it was trained from."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: the checkpoint's own, but float32 on a CPU without bfloat16 instructions."""
    max_model_len: int = Field(32_768, ge=64)
    """Tokens of prompt, output and code results together. Left open: the model family's, up to 40,960."""
    max_num_seqs: int = Field(16, ge=1)
    """Attempts decoded at once."""
    block_size: int | None = Field(None, ge=1)
    """Tokens in a block of the KV cache; a prefix is found again in whole blocks. None: the engine's own choice."""
    gpu_memory_utilization: float = Field(0.92, gt=0, le=1)
    cpu_kv_cache_gib: int = Field(2, ge=1)
    """vLLM on a CPU: its KV cache. transformers: what it keeps of earlier turns, so as not to compute them again."""
    enforce_eager: bool = False
    """Do not compile: on a CPU compiling gives 1.3x the speed for over two minutes at every start."""
    threads: int | None = Field(None, ge=1)
    """Threads of a CPU engine; None: one for each core."""
    quantization: str | None = None
    """Weights are quantized on load: vLLM's fp8 needs no calibrated checkpoint. None: as the checkpoint is."""
    kv_cache_dtype: str = "auto"
    """auto: the model's own; fp8 halves the KV cache on a GPU."""
    speculation: SpeculationConfig | None = None
    stream_interval: int = Field(1, ge=1)
    """Tokens in one Completion; 20 or more spares the event loop on a fast GPU."""
    tensor_parallel_size: int = Field(1, ge=1)
    extra: dict[str, Any] = {}
    """More of the engine's own arguments, by their names there."""
    base_urls: tuple[str, ...] = ()
    """openai: servers of one and the same model, such as http://localhost:8000/v1."""
    served_model: str | None = None
    """openai: the model's name there; None: the first that the server lists."""
    api_key_variable: str = "OPENAI_API_KEY"
    """openai: the environment variable with the key, where the server wants one. A key is never in a configuration,
    which every journal repeats."""
    start_seconds: float = Field(60.0, gt=0)
    """openai: so long a server may take to answer before the run."""
    retry_seconds: float = Field(60.0, gt=0)
    """openai: so long a turn tries again, since its last token, before the engine counts as failed."""
    scripted: ScriptedConfig = ScriptedConfig()

    @field_validator("name", mode="before")
    @classmethod
    def _a_server_is_no_engine(cls, value: Any) -> Any:
        if str(value).lower() == "sglang":
            raise ValueError("an SGLang server is reached with the engine openai and engine.base_urls")
        return value

    @field_validator("base_urls", mode="before")
    @classmethod
    def _one_url(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("base_urls")
    @classmethod
    def _check_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise ValueError("write it like http://localhost:8000/v1")
        return urls


class ChatConfig(Section):
    family: str = "auto"
    """The model family (docs/families.md), and with it the way to write prompts and code calls; auto: as recognised in
    the model's folder."""
    effort: Effort | None = None
    """How much to reason, where the family can be told; None: the family's default."""
    system_prompt: str | None = None
    """In place of the family's own."""
    cot_prompt: str | None = None
    tir_prompt: str | None = None
    """Names of files in `solver/prompts/`, or paths; None: the family's own."""
    max_code_calls: int = Field(8, ge=0)
    """Left open: the model family's."""
    remaining_calls_text: bool | None = None
    """Tell the model after each code result how many calls are left; None: as the family was trained."""


class SamplingConfig(Section):
    """Temperature, top-p, top-k and min-p are the model family's where they are left open."""

    temperature: float = Field(0.7, ge=0)
    top_p: float = Field(0.95, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    min_p: float = Field(0.0, ge=0, le=1)
    repetition_penalty: float = Field(1.0, gt=0)
    logprobs: int | None = Field(None, ge=1, le=20)
    """Measure each attempt's mean entropy over so many of the most likely tokens; it breaks ties between answers with
    equal votes. None: no log-probabilities are asked for."""


@dataclass(frozen=True, slots=True)
class AttemptKind:
    """One kind of attempts of a mix."""

    count: int
    mode: Mode
    effort: Effort | None


def parse_kind(text: str) -> AttemptKind:
    """ "8 tir high" -> 8 attempts with Python at high effort. ValueError otherwise."""
    match = _KIND.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is no kind of attempts: write it like '7 cot' or '8 tir high'")
    effort = cast("Effort | None", match["effort"])
    return AttemptKind(int(match["count"]), cast("Mode", match["mode"]), effort)


class AttemptsConfig(Section):
    num_attempts: int = Field(8, ge=1)
    tir_share: float = Field(1.0, ge=0, le=1)
    """The share of attempts that may run Python; the others reason in text alone."""
    mix: tuple[str, ...] = ()
    """In place of the share: kinds of attempts such as "7 cot" and "8 tir high" (how many, mode, effort), spread
    evenly over a problem's attempts and repeated where there are more of them."""
    thinking_tokens: int | None = Field(None, ge=1)
    """Tokens after which thinking is closed and the answer written, in families made for it (docs/families.md)."""
    max_tokens: int = Field(16_384, ge=1)
    """Tokens of one attempt, code output included. Left open: the model family's, up to 32,768."""
    max_turn_tokens: int | None = Field(None, ge=1)
    """Tokens of one turn, between two code calls; an attempt that needs more ends. None: as many as the attempt has."""
    loop_repeats: int = Field(20, ge=0)
    """End an attempt when 30 tokens have been repeated so often; 0: never."""
    duplicate_prefix: int = Field(256, ge=0)
    """Attempts that begin with the same so many tokens count as one vote, the engine having ignored their seeds.
    0: never. At temperature 0 attempts are meant to be equal, and each counts."""
    stop_at_answer: bool = True
    """End an attempt at its first complete boxed answer outside its thinking."""
    force_seconds: float = Field(5.0, ge=0)
    """Kept back from a problem's time (never more than a fifth of it) for attempts that have no answer: the start of a
    box is put into their mouths. Forced answers vote only where no attempt finished with an answer. 0: never."""

    @field_validator("mix", mode="before")
    @classmethod
    def _one_kind(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("mix")
    @classmethod
    def _check_mix(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for kind in value:
            parse_kind(kind)
        return value

    @property
    def kinds(self) -> tuple[AttemptKind, ...]:
        return tuple(map(parse_kind, self.mix))


RuleName = Literal["forecast", "quorum", "margin", "uncatchable", "adaptive-consistency", "esc", "short-m", "all"]
_RULE_OF = {
    "risk": "forecast",
    "prior": "forecast",
    "min_votes": "forecast",
    "straggler_ratio": "forecast",
    "straggler_weight": "forecast",
    "quorum": "quorum",
    "margin": "margin",
    "min_finished": "margin",
    "posterior": "adaptive-consistency",
    "window": "esc",
    "first": "short-m",
}


class ConsensusConfig(Section):
    """When a problem is decided; `solver.stop_rules` explains the rules. A setting that belongs to one rule chooses it
    where no rule is named. The defaults of `forecast` are fitted on recorded attempts by `solver tune`."""

    rule: RuleName = "forecast"
    uncatchable: bool = True
    """Under any rule: stop when the attempts still running cannot change the winner."""
    risk: float = Field(0.12, ge=0, lt=1)
    """forecast: the chance that the pending attempts would have changed the winner."""
    prior: float = Field(0.7, gt=0)
    """forecast: what the leader, the runner-up and everything else each start with, in votes."""
    min_votes: int = Field(2, ge=1)
    straggler_ratio: float = Field(1.75, gt=0)
    """forecast: an attempt with this many times the tokens that finished ones took is a straggler, ..."""
    straggler_weight: float = Field(0.5, ge=0, le=1)
    """... and so many of them are expected to vote as the others did."""
    quorum: int | None = Field(None, ge=1)
    """None: 4, or as many as there are attempts."""
    margin: int = Field(2, ge=1)
    min_finished: int = Field(3, ge=1)
    """margin: not before so many have finished."""
    posterior: float = Field(0.95, gt=0.5, lt=1)
    """adaptive-consistency."""
    window: int = Field(5, ge=2)
    """esc."""
    first: int = Field(3, ge=1)
    """short-m."""

    @model_validator(mode="before")
    @classmethod
    def _rule_that_is_meant(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        meant = {_RULE_OF[name] for name, value in data.items() if name in _RULE_OF and value is not None}
        if "rule" not in data and len(meant) == 1:
            return {**data, "rule": meant.pop()}
        return data

    @model_validator(mode="after")
    def _only_settings_of_the_rule(self) -> Self:
        for name, rule in _RULE_OF.items():
            if rule != self.rule and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} belongs to the rule '{rule}', and the rule is '{self.rule}'")
        return self


class GenSelectConfig(Section):
    """The model compares solutions where the vote is split (`solver.genselect`). Off by default: it pays for models
    that were trained to do it; others have been seen to confirm the majority or to lose points."""

    enabled: bool = False
    max_leader_share: float = Field(0.7, gt=0, lt=1)
    """Not asked where the leader has more of the votes."""
    min_seconds: float = Field(20.0, ge=0)
    """Not asked where the problem has less time left."""
    max_candidates: int = Field(16, ge=2, le=16)
    group_size: int = Field(8, ge=2, le=16)
    """Solutions compared at once; more of them meet in a knockout."""
    judgments: int = Field(8, ge=1)
    """Comparisons of one group, each in another order; most judgments win."""
    show: Literal["summaries", "traces"] = "summaries"
    """What is compared: the model's own write-up of each work, or the work itself."""
    summary_tokens: int = Field(2_048, ge=16)
    judgment_tokens: int = Field(2_048, ge=16)
    judge_finalists: int = Field(0, ge=0, le=16)
    """Hybrid: so many that the last comparison leaves are judged each alone, and the best judged wins. 0: no."""
    prompt: str | None = None
    """A file in `solver/prompts/`, or a path; None: the model family's, or a general one."""


class BudgetConfig(Section):
    """How a contest's time is shared out; `solver.budget` explains the policies.

    The seconds left unset scale with the contest: their published values were chosen for 360 s a problem.
    """

    policy: Literal["price", "bank", "clamp", "even"] = "price"
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
    attempt_seconds: float | None = Field(None, gt=0)
    """price: what one attempt is expected to take, until that is measured; None: an equal share of the time."""

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
    genselect: GenSelectConfig = GenSelectConfig()
    budget: BudgetConfig = BudgetConfig()
    sandbox: SandboxLimits = SandboxLimits()

    @field_validator("competition")
    @classmethod
    def _known_competition(cls, value: str) -> str:
        find_competition(value)
        return value

    @field_validator("concurrent_problems", mode="before")
    @classmethod
    def _positive_or_auto(cls, value: Any) -> Any:
        is_number = re.fullmatch(r"\s*\+?\d+\s*", str(value)) is not None
        if value != "auto" and not (is_number and int(value) >= 1):
            raise ValueError("must be 1 or more, or auto")
        return value

    @model_validator(mode="after")
    def _a_rule_that_can_be_met(self) -> Self:
        needed = {"quorum": self.consensus.quorum or 1, "esc": self.consensus.window, "short-m": self.consensus.first}
        if needed.get(self.consensus.rule, 0) > self.attempts.num_attempts:
            name = {"quorum": "quorum", "esc": "window", "short-m": "first"}[self.consensus.rule]
            raise ValueError(
                f"consensus.{name} {needed[self.consensus.rule]} is above attempts.num_attempts "
                f"{self.attempts.num_attempts}: it could never be met"
            )
        return self

    @property
    def lanes(self) -> int:
        """Problems solved at the same time."""
        if self.concurrent_problems == "auto":
            return max(1, self.engine.max_num_seqs // self.attempts.num_attempts)
        return self.concurrent_problems


def preset_names() -> list[str]:
    return sorted(path.name.removesuffix(".toml") for path in _presets().iterdir() if path.name.endswith(".toml"))


def preset_path(name: str) -> Path:
    """The file of a preset. Raises UsageError, which names the nearest."""
    if name not in preset_names():
        raise UsageError(f"no preset '{name}': {_near_preset(name)}")
    return Path(str(_presets() / f"{name}.toml"))


def preset_comment(name: str) -> str:
    """What the preset's file says first: what it is for, and where its numbers come from."""
    head = preset_path(name).read_text("utf-8").splitlines()
    return " ".join(line.removeprefix("#").strip() for line in itertools.takewhile(lambda it: it.startswith("#"), head))


def preset_meant(
    preset: str | None,
    config: Path | None = None,
    names_model: bool = False,
    settings: Sequence[str] = (),
    engine: str | None = None,
) -> str | None:
    """The preset that a command's options mean; None: the default one, or `config` in its place.

    Raises UsageError where both are named.
    """
    if preset is not None and config is not None:
        raise UsageError("--preset and --config: give one of them")
    if preset is not None or config is not None:
        return preset
    if engine == "scripted":
        return "scripted"  # the miniature's limits count tokens of a real tokenizer
    names_model = names_model or any(it.partition("=")[0].strip() == "engine.model" for it in settings)
    return "auto" if names_model else None  # the miniature's limits would cut a real model short


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
    changes = [*map(_parse_setting, settings), *(flags or {}).items()]
    _leave_other_rules(values, changes)
    for key, value in changes:
        _put(values, key, value)
    try:
        return SolverConfig.model_validate(values)
    except ValidationError as error:
        raise UsageError(_first_problem(error)) from None


def require_model(config: SolverConfig, origin: str | Path | None) -> None:
    """Raises UsageError where `origin`, a preset or file, is made for a family that the embedded model is not of, and
    no folder is named: it would run the miniature in another model's words."""
    needs_folder = config.engine.name != "scripted" and config.chat.family not in _EMBEDDED_FAMILIES
    if origin is not None and needs_folder and config.engine.model is None:
        made = "the configuration" if isinstance(origin, Path) else "preset"
        raise UsageError(f"{made} {origin} needs --model DIR, a folder of the family {config.chat.family}")


def _leave_other_rules(values: dict[str, Any], changes: Sequence[tuple[str, Any]]) -> None:
    """Where `changes` choose a stopping rule, by name or by one of its settings, what a preset or file says of another
    rule has no meaning any more."""
    names = [(key.removeprefix("consensus."), value) for key, value in changes if key.startswith("consensus.")]
    named = [value for name, value in names if name == "rule"]
    meant = {_RULE_OF[name] for name, _ in names if name in _RULE_OF}
    chosen = named[-1] if named else meant.pop() if len(meant) == 1 else None
    given = values.get("consensus")
    if chosen is not None and isinstance(given, dict):
        kept = {name: value for name, value in given.items() if _RULE_OF.get(name, chosen) == chosen}
        values["consensus"] = {name: value for name, value in kept.items() if name != "rule" or value == chosen}


def setting_sources(
    preset: str | None = None,
    file: Path | None = None,
    settings: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Where each setting that is not a default comes from; what stands later wins over what stands earlier."""
    tree = _read_toml(file) if file is not None else _read_preset(preset or DEFAULT_PRESET)
    origin = f"file {file}" if file is not None else f"preset {preset or DEFAULT_PRESET}"
    given = [*map(_parse_setting, settings)]
    _leave_other_rules(tree, [*given, *(flags or {}).items()])
    sources = dict.fromkeys(_names(tree), origin)
    sources |= dict.fromkeys((name for name, _ in given), "--set")
    return sources | dict.fromkeys(flags or {}, "option")


def _names(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _presets() -> Any:
    return resources.files("solver") / "presets"


def _read_preset(name: str) -> dict[str, Any]:
    return tomllib.loads(preset_path(name).read_text("utf-8"))


def _near_preset(name: str) -> str:
    """A preset whose name begins like it, such as aimo3, counts as near too."""
    start = _letters(name)
    begun = [known for known in preset_names() if start and _letters(known).startswith(start)]
    return f"did you mean '{begun[0]}'?" if begun else nearest(name, preset_names())


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


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
    problems = error.errors()  # a misspelt name explains the field that is missing
    problem = next((it for it in problems if it["type"] == "extra_forbidden"), problems[0])
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown setting '{key}': {_near_setting(key)}"
    if isinstance(raised := problem.get("ctx", {}).get("error"), UsageError):
        return str(raised)
    reason = problem["msg"].removeprefix("Value error, ")
    return f"setting '{key}': {reason[0].lower()}{reason[1:]}, not {problem['input']!r}" if key else reason


def _near_setting(key: str) -> str:
    """The setting that is meant: nearly so called in its section, or so called in another; else what there is."""
    *sections, name = key.split(".")
    beside = sorted(_section(sections).model_fields)
    if close := difflib.get_close_matches(name, beside, n=1, cutoff=0.7):
        return f"did you mean '{'.'.join([*sections, close[0]])}'?"
    elsewhere = {known.rpartition(".")[2]: known for known in _setting_names(SolverConfig)}
    if close := difflib.get_close_matches(name, elsewhere, n=1, cutoff=0.85):
        return f"did you mean '{elsewhere[close[0]]}'?"
    return f"{'.'.join(sections) + ' has' if sections else 'there is'} {', '.join(beside)}"


def _section(names: Sequence[str]) -> type[BaseModel]:
    model: type[BaseModel] = SolverConfig
    for name in names:
        annotation = model.model_fields[name].annotation
        kinds = (annotation, *get_args(annotation))  # a section that may be None
        model = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return model


def _setting_names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _setting_names(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name

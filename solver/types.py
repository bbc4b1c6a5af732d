"""The nouns, in the order in which a problem meets them. Standard library only.

Times are seconds. `Deadline.at` is on the monotonic clock (`time.monotonic()`, which is also asyncio's `loop.time()`);
`Attempt.started` counts from the start of the process.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["cot", "tir"]
"""How an attempt works: chain of thought alone, or tool-integrated reasoning (the model may run Python)."""

Effort = Literal["low", "medium", "high"]
"""How much an attempt reasons, where its model family can be told; a family that can only stop thinking does so at
`low`."""

StopReason = Literal["answered", "ended", "max_tokens", "loop", "deadline", "cancelled", "error"]
"""Why an attempt ended. answered: a boxed answer. ended: the model closed its turn without one. max_tokens: its own
token limit or the context. loop: it wrote the same over and over. deadline: the problem's time. cancelled: the problem
was decided without it, or the run was interrupted. error: the engine failed."""

DecidedBy = Literal["consensus", "majority", "genselect", "fallback"]
"""consensus: a stopping rule fired. majority: the most votes when attempts or time ran out. genselect: the model chose.
fallback: no attempt gave an answer; the competition's fallback value was handed out."""

ExecutionStatus = Literal["ok", "error", "timeout", "memory", "crashed"]

FallbackReason = Literal["no answer", "no time", "error", "interrupted"]
"""no answer: attempts ran and none gave one. no time: the run's clock ended before an attempt could. error: the engine,
or an attempt's Python, could not work."""


@dataclass(frozen=True, slots=True)
class Problem:
    id: str
    text: str
    answer: int | None = None


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock, passed down as a value; `math.inf` means no limit."""

    at: float

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    def before(self, seconds: float) -> "Deadline":
        """The moment this many seconds earlier."""
        return Deadline(self.at - seconds)

    def capped(self, seconds: float) -> "Deadline":
        """This moment, or `seconds` from now where that is sooner."""
        return Deadline(min(self.at, time.monotonic() + seconds))


NEVER = Deadline(math.inf)


@dataclass(frozen=True, slots=True)
class ProblemBudget:
    deadline: Deadline
    max_attempts: int
    goes_on: Callable[[int, int, float], bool] | None = None
    """Asked when an attempt finishes, with the leader's votes, the attempts finished and the seconds since the start:
    whether the problem is still worth its time. None: always."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one turn is sampled. `stop` strings and `stop_token_ids` end the turn; the tokens that completed the stop
    are part of the output."""

    max_tokens: int
    temperature: float = 0.7
    top_p: float = 1.0
    top_k: int = 0
    """0: all tokens."""
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    logprobs: int | None = None
    """Tell each token's log-probability, and the entropy over so many of the most likely ones."""
    ignore_eos: bool = False
    """Sample on past the model's own end-of-text token; for measurements of fixed length."""


FinishReason = Literal["stop", "length"]


@dataclass(slots=True)  # not frozen: one is made for every token, and freezing makes that four times as dear
class Completion:
    """What an engine sampled since the last `Completion` of the same turn."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None = None
    """Of each token, in nats, before truncation by top-p and the like."""
    finish_reason: FinishReason | None = None
    entropies: tuple[float, ...] | None = None
    """At each token, in nats; see `solver.engine.stopping.entropy`."""
    num_cached_tokens: int | None = None
    """Tokens of the prompt that the engine had not to compute again; told once in a turn, where the engine tells."""


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """One block of Python that a session ran. `state_kept`: its variables are still there for the next block."""

    status: ExecutionStatus
    output: str
    seconds: float
    state_kept: bool = True
    started: float | None = None
    """Seconds since the start of the process; None outside a run."""


@dataclass(frozen=True, slots=True)
class Attempt:
    problem_id: str
    index: int
    seed: int
    mode: Mode
    answer: int | None
    stop_reason: StopReason
    text: str
    """Everything after the prompt, tool output included."""
    num_prompt_tokens: int
    num_tokens: int
    """Tokens the model wrote."""
    num_tool_tokens: int
    """Tokens put in by us, code output above all; they count against the same limit."""
    executions: tuple[ExecutionResult, ...]
    started: float
    seconds: float
    mean_entropy: float | None = None
    forced: bool = False
    """The answer was not the model's own decision: it was made to box one when it had ended or run out of time."""
    effort: Effort | None = None
    """As configured; None: the family's default."""
    turn_seeds: tuple[int, ...] = ()
    """The seed of each turn; the first is `seed`."""
    error: str | None = None
    confirmed: bool = False
    """The answer stands in the last output of its code."""
    fingerprint: str | None = None
    """A hash of how its tokens begin; None where they are too few to tell. Two attempts with the same one are the
    engine's fault: it sampled under another seed."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer and who voted for it."""

    answer: int
    votes: int
    attempts: tuple[int, ...]
    forced: bool = False
    """Its votes are forced answers; there were no others."""
    confirmed: int = 0
    """Votes whose answer executed code had printed."""
    forced_votes: int = 0
    """Forced answers that agree. They do not count as votes; they break a tie."""
    mean_entropy: float | None = None
    """Of its attempts' tokens, in nats; None where the engine gave no log-probabilities."""


@dataclass(frozen=True, slots=True)
class Prediction:
    problem_id: str
    answer: int
    decided_by: DecidedBy
    candidates: tuple[Candidate, ...]
    seconds: float
    fallback_reason: FallbackReason | None = None
    num_attempts: int = 0
    """Attempts that finished or reached the deadline."""
    num_tokens: int = 0
    correct: bool | None = None
    """None where the reference answer is not known."""
    confidence: float | None = None
    """How likely a vote of this shape is right (`solver.confidence`); None where nobody voted."""
    started: float | None = None
    """When work on it began, since the start of the process; None where none did."""
    budget_seconds: float | None = None
    """What it was given; None: no limit."""

    @property
    def is_final(self) -> bool:
        """Whether `--resume` may keep it: not where the run, and not the model, failed the problem."""
        return self.fallback_reason in (None, "no answer")


@dataclass(frozen=True, slots=True)
class EngineInfo:
    name: str
    version: str
    model: str
    device: str
    dtype: str
    max_model_len: int
    max_num_seqs: int
    """Attempts the engine decodes at once; more of them queue inside it."""
    start_seconds: float
    kv_cache_tokens: int | None = None
    """Tokens that the KV cache has room for; None where it grows as it goes."""
    settings: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What a user should know before the run, each in one line."""

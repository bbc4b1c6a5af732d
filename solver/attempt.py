"""One attempt: the model writes, Python runs what it asks for, until an answer, a limit or the deadline."""

import asyncio
import contextlib
import hashlib
import math
import re
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Literal

from solver.answer import extract_answer
from solver.chat import ChatFormat, CodeCall, Tokenizer, read_prompt
from solver.competition import Competition
from solver.config import AttemptsConfig, SolverConfig
from solver.engine import Engine
from solver.errors import PromptTooLongError
from solver.hygiene import LoopDetector, fingerprint
from solver.sandbox import PythonSession, SandboxPool
from solver.status import AttemptStatus
from solver.types import (
    Attempt,
    Deadline,
    Effort,
    ExecutionResult,
    FinishReason,
    Mode,
    Problem,
    SamplingParams,
    StopReason,
)


@dataclass(frozen=True)
class Tools:
    """What every attempt of a run works with."""

    config: SolverConfig
    competition: Competition
    engine: Engine
    tokenizer: Tokenizer
    chat: ChatFormat
    sandbox: SandboxPool
    max_model_len: int
    process_start: float
    """On the monotonic clock."""
    turnstile: AbstractAsyncContextManager[object] = field(default_factory=nullcontext)
    """Held while an attempt waits for Python. The scripted engine plays nothing meanwhile, so that the order in which
    attempts finish, and with it a run, does not depend on how long a process takes. Open for every other engine."""


TurnEnd = FinishReason | Literal["answered", "loop"]

_FORCE_SHARE = 0.2  # of a problem's time, at the most, is kept back for forced answers
_FORCED_TOKENS = 24
_NEAR = 200  # characters between the start of a box and its end


def turn_seed(run_seed: int, problem_id: str, attempt: int, turn: int) -> int:
    """The seed of one turn: different for every problem, attempt and turn, the same in every run with `run_seed`."""
    name = f"{run_seed}/{problem_id}/{attempt}/{turn}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=6).digest())


def attempt_mode(index: int, config: AttemptsConfig) -> tuple[Mode, Effort | None]:
    """How a problem's attempts work, spread evenly so that any first few hold the same shares."""
    if not config.mix:
        share = config.tir_share
        return ("tir" if int((index + 1) * share + 1e-9) > int(index * share + 1e-9) else "cot"), None
    kinds, used = config.kinds, [0] * len(config.kinds)
    total = sum(kind.count for kind in kinds)
    for done in range(index % total + 1):
        behind = [kind.count * (done + 1) / total - taken for kind, taken in zip(kinds, used, strict=True)]
        chosen = behind.index(max(behind))
        used[chosen] += 1
    return kinds[chosen].mode, kinds[chosen].effort


class AttemptRun:
    """An attempt while it runs. `run` makes it; `record` is what there is of it at any moment."""

    def __init__(self, problem: Problem, index: int, deadline: Deadline, tools: Tools, status: AttemptStatus) -> None:
        self.problem, self.index = problem, index
        self._deadline, self._tools, self._status = deadline, tools, status
        self._mode, self._effort = attempt_mode(index, tools.config.attempts)
        if self._mode not in tools.chat.modes:
            self._mode = "cot"  # a family that calls no code; a mix that asks for it was refused at the start
        self._prompt = tools.chat.prompt(problem, self._mode, self._effort)
        status.num_prompt_tokens = len(self._prompt)
        self._tokens: list[int] = []
        """Everything after the prompt, as the model sees it."""
        self._closing = tools.tokenizer.tokens_with("}")
        self._tail, self._num_read = "", 0
        """The end of the text up to the last closed brace that was looked at, and how many tokens that text is."""
        self._num_tool_tokens = 0
        self._loops = LoopDetector(repeats=tools.config.attempts.loop_repeats)
        self._executions: list[ExecutionResult] = []
        self._num_turns = 0
        self._entropy, self._num_entropies = 0.0, 0
        self._turn_seeds = [turn_seed(tools.config.seed, problem.id, index, 0)]
        self._answer: int | None = None
        self._judged: tuple[int, int | None] = 0, None
        """How many tokens were last searched for an answer, and what was found."""
        self._forced = False
        self._forced_from: int | None = None
        """Where among the tokens the text begins that makes the attempt answer."""
        self._error: str | None = None
        self._began = monotonic()

    async def run(self) -> Attempt:
        """Make the attempt. Ends by itself at the deadline; cancelled, it aborts what runs in engine and sandbox.

        Raises:
            EngineError: the engine has failed; no attempt of this run can go on.
        """
        stop_reason: StopReason = "deadline"
        kept_back = min(self._tools.config.attempts.force_seconds, _FORCE_SHARE * self._deadline.remaining())
        with contextlib.suppress(TimeoutError):
            async with _timeout_at(self._deadline.before(kept_back)), self._session() as session:
                stop_reason = await self._converse(session)
        self._answer = self._final_answer()
        if self._answer is None and kept_back and stop_reason != "loop":
            with contextlib.suppress(TimeoutError):
                async with _timeout_at(self._deadline):
                    await self._force_answer()
            self._answer = self._answer_after(self._forced_from)
            self._forced = self._answer is not None
        return self.record(stop_reason)

    def record(self, stop_reason: StopReason, error: str | None = None) -> Attempt:
        return Attempt(
            problem_id=self.problem.id,
            index=self.index,
            seed=self._turn_seeds[0],
            mode=self._mode,
            effort=self._effort,
            answer=self._answer,
            stop_reason=stop_reason,
            text=self._tools.tokenizer.decode(self._tokens),
            num_prompt_tokens=len(self._prompt),
            num_tokens=len(self._tokens) - self._num_tool_tokens,
            num_tool_tokens=self._num_tool_tokens,
            executions=tuple(self._executions),
            started=self._began - self._tools.process_start,
            seconds=monotonic() - self._began,
            mean_entropy=self._entropy / self._num_entropies if self._num_entropies else None,
            turn_seeds=tuple(self._turn_seeds),
            forced=self._forced,
            confirmed=self._is_confirmed(),
            fingerprint=self._fingerprint(),
            error=error or self._error,
        )

    @asynccontextmanager
    async def _session(self) -> AsyncGenerator[PythonSession, None]:
        async with AsyncExitStack() as stack:
            async with self._tools.turnstile:
                session = await stack.enter_async_context(self._tools.sandbox.session(self._turn_seeds[0]))
            try:
                yield session
            finally:
                async with self._tools.turnstile:
                    await stack.aclose()

    async def _converse(self, session: PythonSession) -> StopReason:
        chat, calls_left = self._tools.chat, self._tools.chat.max_code_calls
        while (params := self._turn_params(calls_left)) is not None:
            turn_start = len(self._tokens)
            finish = await self._write(params)
            calls = self._calls(turn_start) if finish == "stop" else []
            if calls:
                outputs = [await self._output(session, call, calls_left - n) for n, call in enumerate(calls)]
                calls_left = max(0, calls_left - len(calls))
                self._append(chat.code_results(calls, outputs, calls_left, self._effort))
            elif not self._goes_on(finish, turn_start, params):
                return self._stop_reason(finish)
        if not self._tokens:
            self._error = f"the prompt has {len(self._prompt)} tokens, the context {self._tools.max_model_len}"
        return "max_tokens"

    def _calls(self, turn_start: int) -> list[CodeCall]:
        if self._mode == "cot":
            return []
        return self._tools.chat.code_calls(self._tokens[turn_start:], self._effort)

    def _goes_on(self, finish: TurnEnd, turn_start: int, params: SamplingParams) -> bool:
        """Whether the model is to write on although its turn ended without a call: at the end of its tokens for
        thinking, or at a stop string that closed no call."""
        if finish == "stop":
            end = self._tools.tokenizer.decode(self._tokens[turn_start:][-64:])
            return any(stop in end[-len(stop) - 8 :] for stop in params.stop)
        budget = self._tools.config.attempts.thinking_tokens
        if finish in ("answered", "loop") or budget is None or not turn_start < budget <= len(self._tokens):
            return False
        self._append(self._tools.chat.end_thinking(self._tokens, self._effort) or [])
        return True

    def _turn_params(self, calls_left: int) -> SamplingParams | None:
        """How the next turn is sampled, or None where no token is left for it."""
        config, used = self._tools.config.attempts, len(self._tokens)
        max_tokens = min(config.max_tokens, self._room()) - used
        if max_tokens <= 0:
            return None
        max_tokens = min(max_tokens, config.max_turn_tokens or max_tokens)
        budget = config.thinking_tokens
        if budget is not None and used < budget:
            max_tokens = min(max_tokens, budget - used)
        stop = self._tools.chat.stop_strings(self._mode, calls_left)
        turn, self._num_turns = self._num_turns, self._num_turns + 1
        return self._sampling_params(turn, max_tokens, stop)

    def _sampling_params(self, turn: int, max_tokens: int, stop: tuple[str, ...]) -> SamplingParams:
        config = self._tools.config
        if turn == len(self._turn_seeds):
            self._turn_seeds.append(turn_seed(config.seed, self.problem.id, self.index, turn))
        return SamplingParams(
            max_tokens=max_tokens,
            **config.sampling.model_dump(),
            seed=self._turn_seeds[turn],
            stop=stop,
            stop_token_ids=self._tools.chat.stop_token_ids,
        )

    def _room(self) -> int:
        """Tokens that the context has after the prompt."""
        return self._tools.max_model_len - len(self._prompt)

    async def _force_answer(self) -> None:
        """Let an attempt without an answer write one: the start of a box is put into its mouth."""
        while self._tokens and self._tokens[-1] in self._tools.chat.stop_token_ids:
            self._tokens.pop()
        opening = self._tools.chat.force_answer(self._tokens, self._effort)
        max_tokens = min(_FORCED_TOKENS, self._room() - len(self._tokens) - len(opening))
        if max_tokens > 0:
            self._forced_from = len(self._tokens)
            self._append(opening)
            await self._write(self._sampling_params(len(self._turn_seeds), max_tokens, stop=("}",)))

    async def _write(self, params: SamplingParams) -> TurnEnd:
        """The model's turn. answered: its answer stands, and what it would write after that is not wanted."""
        finish: FinishReason = "length"
        try:
            turn = self._tools.engine.generate(self._prompt + self._tokens, params)
            async with aclosing(turn) as completions:
                async for completion in completions:
                    new = completion.token_ids
                    self._tokens += new
                    self._status.num_tokens += len(new)
                    if completion.entropies is not None:
                        self._entropy += sum(completion.entropies)
                        self._num_entropies += len(completion.entropies)
                    finish = completion.finish_reason or finish
                    if self._loops.is_looping(new):
                        return "loop"
                    if not self._closing.isdisjoint(new) and self._has_answered():
                        return "answered"
        except PromptTooLongError as error:
            self._error = str(error)
            return "length"
        return finish

    def _has_answered(self) -> bool:
        """Whether the brace just closed is that of an answer. The whole text is read only where a box is near."""
        if not self._tools.config.attempts.stop_at_answer:
            return False
        text = self._tail + self._tools.tokenizer.decode(self._tokens[self._num_read :])
        self._tail, self._num_read = text[-_NEAR:], len(self._tokens)
        return "box" in text and self._final_answer() is not None

    def _final_answer(self) -> int | None:
        if self._judged[0] != len(self._tokens):
            text = self._tools.chat.final_text(self._tokens, self._effort)
            self._judged = len(self._tokens), extract_answer(text, self._tools.competition)
        return self._judged[1]

    def _answer_after(self, start: int | None) -> int | None:
        """The answer in the tokens from `start`, whatever was left open before them: code that was never closed too."""
        if start is None:
            return None
        return extract_answer(self._tools.tokenizer.decode(self._tokens[start:]), self._tools.competition)

    def _stop_reason(self, finish: TurnEnd) -> StopReason:
        if finish == "answered" or self._final_answer() is not None:
            return "answered"
        if finish == "loop":
            return "loop"
        return "ended" if finish == "stop" else "max_tokens"

    def _is_confirmed(self) -> bool:
        """Whether the answer is among the numbers in the last line that its code printed."""
        outputs = [execution.output for execution in self._executions if execution.status == "ok"]
        lines = outputs[-1].split("\n") if outputs else []
        last = next((line for line in reversed(lines) if line.strip()), "")
        numbers = (int(number) for number in re.findall(r"(?<![\w.])-?\d{1,18}(?![\w.])", last[:1000]))
        admits = self._tools.competition.admits
        return self._answer is not None and not self._forced and self._answer in map(admits, numbers)

    def _fingerprint(self) -> str | None:
        config = self._tools.config
        return fingerprint(self._tokens, config.attempts.duplicate_prefix) if config.sampling.temperature else None

    async def _output(self, session: PythonSession, call: CodeCall, calls_left: int) -> str:
        """What the model is told about a call: its output, or why it was not run."""
        if call.error is not None:
            return call.error
        if calls_left <= 0:
            return read_prompt("openmath-no-calls-left")
        return (await self._execute(session, call.code)).output

    async def _execute(self, session: PythonSession, code: str) -> ExecutionResult:
        seconds = min(self._tools.config.sandbox.timeout_seconds, self._deadline.remaining())
        started = monotonic() - self._tools.process_start
        self._status.running_code = True
        try:
            async with self._tools.turnstile:
                result = await session.run(code, timeout_seconds=seconds)
        finally:
            self._status.running_code = False
        self._status.count(result)
        self._executions.append(replace(result, started=started))
        return result

    def _append(self, tokens: list[int]) -> None:
        """What the model did not write itself: it counts against its tokens all the same."""
        self._tokens += tokens
        self._num_tool_tokens += len(tokens)
        self._tail, self._num_read = "", len(self._tokens)


def _timeout_at(deadline: Deadline) -> asyncio.Timeout:
    return asyncio.timeout_at(None if math.isinf(deadline.at) else deadline.at)

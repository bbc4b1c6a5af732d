"""Plays texts instead of sampling them: the whole path in a second, without a model; for tests and rehearsals.

A script is a JSON Lines file; each line is one entry:

    {"when": "47 apples", "texts": ["So <tool_call>\\nprint(6*7)\\n</tool_call> and \\\\boxed{42}", ...]}
    {"when": "",          "texts": ["I do not know."]}

The first entry whose `when` stands in the prompt is played. An attempt's seed chooses among its texts; a text goes on
in the next turn where the code call stopped it. Optional: "forced" (what is played after a box that was opened for an
attempt without an answer, such as "42}"), "tokens_per_second" (the entry's own pace), "fault": "error"
(the engine dies), "turn" (the turn alone fails), "hang" (no token comes, ever) or "stubborn" (it hangs and does not let
itself be cancelled), after "fault_after" tokens. Tokens are bytes (`solver.chat.tokenizer.ByteTokenizer`).
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, fields
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from solver import __version__
from solver.chat.tokenizer import ByteTokenizer
from solver.config import EngineConfig
from solver.engine.base import check_fits
from solver.engine.stopping import StopChecker
from solver.errors import EngineError, TurnError, UsageError
from solver.types import Completion, EngineInfo, SamplingParams

_CHUNK = 16  # tokens in one Completion
_ASSISTANT = "<|im_start|>assistant\n"


@dataclass(frozen=True, slots=True)
class Entry:
    texts: tuple[str, ...]
    when: str = ""
    forced: str = ""
    tokens_per_second: float | None = None
    fault: Literal["error", "turn", "hang", "stubborn"] | None = None
    fault_after: int = 0


BUILT_IN = (
    # what a submission asks before the first problem, to see that the model is alive
    Entry(when="the sum of 123 and 654", texts=("By inspection the answer is \\boxed{777}.",)),
    Entry(
        texts=(
            "Let me compute.\n<tool_call>\nprint(6 * 7)\n</tool_call>\nSo the answer is \\boxed{42}.",
            "By inspection the answer is \\boxed{42}.",
            "A slip leads to \\boxed{41}.",
        )
    ),
)


class ScriptedEngine:
    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._entries = BUILT_IN if config.scripted.script is None else read_script(config.scripted.script)
        self._tokenizer = ByteTokenizer()
        self._slots = asyncio.Semaphore(config.max_num_seqs)
        self._failed: str | None = None
        self.running = 0
        """Requests in progress now."""
        self.turnstile = asyncio.Lock()
        """Nothing is played while it is held; see `solver.attempt.Tools`."""

    async def start(self) -> EngineInfo:
        began = monotonic()
        if self._config.scripted.start_seconds:
            await asyncio.sleep(self._config.scripted.start_seconds)
        if self._config.scripted.start_error:
            raise EngineError(self._config.scripted.start_error)
        return EngineInfo(
            name="scripted",
            version=__version__,
            model="script",
            device="none",
            dtype="none",
            max_model_len=self._config.max_model_len,
            max_num_seqs=self._config.max_num_seqs,
            start_seconds=monotonic() - began,
        )

    async def generate(self, prompt: list[int], params: SamplingParams) -> AsyncGenerator[Completion, None]:
        check_fits(prompt, self._config.max_model_len)
        async with self._slots:
            self.running += 1
            try:
                async for completion in self._play(prompt, params):
                    yield completion
            finally:
                self.running -= 1

    async def is_idle(self) -> bool:
        return self.running == 0

    async def close(self) -> None:
        await asyncio.sleep(self._config.scripted.close_seconds)

    async def _play(self, prompt: list[int], params: SamplingParams) -> AsyncGenerator[Completion, None]:
        entry, text = self._choose(self._tokenizer.decode(prompt), params.seed or 0)
        tokens = [*self._tokenizer.encode(text), 257]  # ends its turn, as a model does
        stops = StopChecker(params, self._tokenizer, eos_token_ids=(257,))
        pace = self._config.scripted.tokens_per_second if entry.tokens_per_second is None else entry.tokens_per_second
        chunk: list[int] = []
        for number, token in enumerate(tokens):
            if self._failed or (entry.fault and number >= entry.fault_after):
                await self._fail(entry)
            chunk.append(token)
            finish = stops.feed(token)
            if finish or len(chunk) == _CHUNK:
                await asyncio.sleep(len(chunk) / pace if pace else 0)
                async with self.turnstile:
                    pass
                yield Completion(tuple(chunk), finish_reason=finish)
                chunk = []
            if finish:
                return

    async def _fail(self, entry: Entry) -> None:
        if entry.fault == "turn":
            raise TurnError("the script told the turn to fail")
        if entry.fault == "error":
            self._failed = "the script told the engine to fail"
        if self._failed:
            raise EngineError(self._failed)
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if entry.fault != "stubborn":
                    raise

    def _choose(self, prompt: str, seed: int) -> tuple[Entry, str]:
        """The entry for this prompt, and the rest of the text that the seed chooses or that was begun."""
        entry = next((e for e in self._entries if e.when in prompt), None)
        if entry is None:
            raise EngineError("no entry of the script fits the prompt: end it with one whose 'when' is empty")
        _, marker, said = prompt.rpartition(_ASSISTANT)
        if not marker or not said:
            return entry, entry.texts[seed % len(entry.texts)]
        if said.endswith("\\boxed{"):
            return entry, entry.forced
        turns = said.count("</tool_call>\n```output\n")
        for text in entry.texts:
            parts = text.split("</tool_call>")
            if len(parts) > turns and all(part in said for part in parts[:turns]):
                return entry, "</tool_call>".join(parts[turns:])
        return entry, ""


def read_script(path: Path) -> tuple[Entry, ...]:
    """Raises UsageError."""
    try:
        lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
        entries = tuple(_entry(json.loads(line)) for line in lines)
    except OSError as error:
        raise UsageError(f"cannot read the script {path}: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is no script: {error}") from None
    if not entries:
        raise UsageError(f"{path} is no script: it has no entries")
    return entries


def _entry(values: dict[str, Any]) -> Entry:
    known = {field.name for field in fields(Entry)}
    if unknown := set(values) - known:
        raise ValueError(f"unknown key {', '.join(sorted(unknown))}")
    texts = values.get("texts")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError("an entry needs texts, a list of strings")
    entry = Entry(**{**values, "texts": tuple(texts)})
    if entry.fault not in (None, "error", "turn", "hang", "stubborn"):
        raise ValueError(f"no fault '{entry.fault}': there is error, turn, hang, stubborn")
    if not isinstance(entry.tokens_per_second, int | float | None) or not isinstance(entry.fault_after, int):
        raise ValueError("tokens_per_second and fault_after are numbers")
    return entry

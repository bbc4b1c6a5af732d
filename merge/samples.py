"""What supervised fine-tuning reads: samples of a problem and the model's own turns, and their tokens.

A sample is a line of JSON: `problem`, `mode` (cot or tir), `turns`, `answer`, `effort` (or null). Turns alternate: the
model's own text, what Python printed, own text again, and so on. Only own text is learned. A turn that Python follows
ends in the chat format's end of a call; a sample whose last turn does so is cut there, and no end is learned.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from solver.chat import ChatFormat, Tokenizer
from solver.errors import UsageError
from solver.types import Effort, ExecutionResult, Mode, Problem

_CALL_END = "\n</tool_call>"


@dataclass(frozen=True, slots=True)
class Sample:
    problem: str
    mode: Mode
    turns: tuple[str, ...]
    answer: int
    effort: Effort | None = None

    @classmethod
    def of_program(cls, problem: str, program: str, answer: int) -> "Sample":
        """The model writes the program, reads the answer from its output, and boxes it."""
        call = f"<tool_call>\n{program}{_CALL_END}"
        return cls(problem, "tir", (call, str(answer), f"\nThe answer is \\boxed{{{answer}}}."), answer)

    def cut_at_call(self) -> "Sample":
        """Without what follows the program: a quarter fewer tokens where boxing an output is no longer news."""
        return replace(self, turns=self.turns[:1])

    @property
    def is_whole(self) -> bool:
        return not self.turns[-1].endswith(_CALL_END)


@dataclass(frozen=True, slots=True)
class TokenSample:
    """Tokens of a whole transcript, and which of them the model wrote itself."""

    token_ids: list[int]
    is_own: list[bool]

    def __len__(self) -> int:
        return len(self.token_ids)


def tokenize(sample: Sample, chat: ChatFormat, tokenizer: Tokenizer) -> TokenSample:
    """The tokens that a run would have sampled and appended, by the same chat format."""
    ids = chat.prompt(Problem("sample", sample.problem), sample.mode, sample.effort)
    own = [False] * len(ids)
    for index, turn in enumerate(sample.turns):
        if index % 2 == 0:
            tokens = tokenizer.encode(turn)
        else:
            result = ExecutionResult("ok", turn, 0.0, state_kept=True)
            tokens = chat.code_result(result, chat.max_code_calls - index // 2 - 1)
        ids += tokens
        own += [index % 2 == 0] * len(tokens)
    end = [chat.stop_token_ids[0]] if sample.is_whole else []
    return TokenSample([*ids, *end], own + [True] * len(end))


def write_samples(path: Path, samples: Iterable[Sample]) -> int:
    """Returns how many. All are drawn before the file is opened: what was there is not lost to a journal that cannot be
    read."""
    lines = [json.dumps(asdict(sample), ensure_ascii=False) + "\n" for sample in samples]
    path.write_text("".join(lines), "utf-8")
    return len(lines)


def read_samples(path: Path) -> Iterator[Sample]:
    """Raises UsageError, which names the line."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    with file:
        for number, line in enumerate(file, 1):
            try:
                yield _parse(json.loads(line.decode("utf-8")))
            except (ValueError, KeyError, TypeError) as error:
                what = f"{type(error).__name__}: {error}"
                raise UsageError(f"{path}, line {number} is no training sample: {what}") from None


def _parse(record: Mapping[str, Any]) -> Sample:
    """Raises ValueError, KeyError or TypeError."""
    problem, mode, turns, effort = record["problem"], record["mode"], record["turns"], record.get("effort")
    if not isinstance(problem, str):
        raise ValueError("problem is no text")
    if mode not in get_args(Mode) or effort not in (None, *get_args(Effort)):
        raise ValueError(f"there is no mode {mode!r} with effort {effort!r}")
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, str) for turn in turns):
        raise ValueError("turns is no list of texts")
    return Sample(problem, mode, tuple(turns), int(record["answer"]), effort)

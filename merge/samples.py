"""What supervised fine-tuning reads: samples of a problem and the model's own turns, and their tokens.

A sample is a line of JSON: `problem`, `mode` (cot or tir), `turns`, `answer`. Turns alternate: the model's own text,
what Python printed, own text again, and so on. Only own text is learned. A turn that Python follows ends in the chat
format's end of a call.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from solver.chat import ChatFormat, Tokenizer
from solver.errors import UsageError
from solver.types import ExecutionResult, Mode, Problem


@dataclass(frozen=True, slots=True)
class Sample:
    problem: str
    mode: Mode
    turns: tuple[str, ...]
    answer: int

    @classmethod
    def of_program(cls, problem: str, program: str, answer: int) -> "Sample":
        """The model writes the program, reads the answer from its output, and boxes it."""
        call = f"<tool_call>\n{program}\n</tool_call>"
        return cls(problem, "tir", (call, str(answer), f"\nThe answer is \\boxed{{{answer}}}."), answer)


@dataclass(frozen=True, slots=True)
class TokenSample:
    """Tokens of a whole transcript, and which of them the model wrote itself."""

    token_ids: list[int]
    is_own: list[bool]

    def __len__(self) -> int:
        return len(self.token_ids)


def tokenize(sample: Sample, chat: ChatFormat, tokenizer: Tokenizer, max_code_calls: int = 8) -> TokenSample:
    """The tokens that a run would have sampled and appended, by the same chat format."""
    ids = chat.prompt(Problem("sample", sample.problem), sample.mode)
    own = [False] * len(ids)
    for index, turn in enumerate(sample.turns):
        if index % 2 == 0:
            tokens = tokenizer.encode(turn)
        else:
            result = ExecutionResult("ok", turn, 0.0, state_kept=True)
            tokens = chat.code_result(result, max_code_calls - index // 2 - 1)
        ids += tokens
        own += [index % 2 == 0] * len(tokens)
    return TokenSample([*ids, chat.stop_token_ids[0]], [*own, True])


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    lines = (json.dumps(asdict(sample), ensure_ascii=False) + "\n" for sample in samples)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines)


def read_samples(path: Path) -> Iterator[Sample]:
    """Raises UsageError, which names the line."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line)
                yield Sample(record["problem"], record["mode"], tuple(record["turns"]), int(record["answer"]))
            except (ValueError, KeyError, TypeError) as error:
                raise UsageError(f"{path}, line {number} is no training sample: {error!r}") from None

"""Rejection sampling: the solver's own attempts that were right, as training samples (Nemotron-Math, arXiv 2512.15489).

What the model wrote is taken apart at the code results that the chat format put in, so that only its own text is
learned. Attempts made to answer, attempts whose last call stood open, and attempts without a reference answer are left
out.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from merge.samples import Sample
from solver.chat import ChatFormat, Tokenizer, build_chat, load_tokenizer
from solver.config import SolverConfig
from solver.errors import UsageError
from solver.types import ExecutionResult


def samples_of_journal(journal: Path, model: Path | None, per_problem: int) -> Iterator[Sample]:
    """The right attempts of a run, in the chat format that its header names; `model`: the folder with its tokenizer.

    Raises:
        UsageError: the file is no journal, or its run had a model folder that is not here and none is given.
    """
    header = next((entry for entry in _entries(journal) if entry.get("kind") == "header"), None)
    if header is None:
        raise UsageError(f"{journal} has no header: it is no journal of the solver")
    config = SolverConfig.model_validate(header["config"])
    folder = model or config.engine.model
    if folder is None:
        raise UsageError(f"the run of {journal} used the embedded model: name its folder with --model")
    tokenizer = load_tokenizer(folder)
    return right_attempts(journal, build_chat(config.chat, tokenizer), tokenizer, per_problem)


def right_attempts(journal: Path, chat: ChatFormat, tokenizer: Tokenizer, per_problem: int) -> Iterator[Sample]:
    """At most `per_problem` samples of each problem and mode, the shortest first, none twice.

    Raises:
        UsageError: the file is no journal.
    """
    problems: dict[str, tuple[str, int]] = {}
    attempts: list[dict[str, Any]] = []
    for entry in _entries(journal):
        if entry.get("kind") == "prediction" and entry.get("reference") is not None:
            problems[entry["problem_id"]] = (entry["problem"], entry["reference"])
        elif entry.get("kind") == "attempt" and not entry.get("forced") and entry.get("answer") is not None:
            attempts.append(entry)
    taken: dict[tuple[str, str, str | None], int] = {}
    seen: set[tuple[str, str]] = set()
    for entry in sorted(attempts, key=lambda it: it["num_tokens"]):
        text, answer = problems.get(entry["problem_id"], ("", None))
        key = (entry["problem_id"], entry["mode"], entry.get("effort"))
        if answer is None or entry["answer"] != answer or taken.get(key, 0) >= per_problem:
            continue
        turns = take_apart(entry, chat, tokenizer)
        if turns is not None and (entry["problem_id"], entry["text"]) not in seen:
            seen.add((entry["problem_id"], entry["text"]))
            taken[key] = taken.get(key, 0) + 1
            yield Sample(text, entry["mode"], turns, answer, entry.get("effort"))


def take_apart(attempt: dict[str, Any], chat: ChatFormat, tokenizer: Tokenizer) -> tuple[str, ...] | None:
    """The attempt's turns; None where its text does not hold its code results as the chat format writes them."""
    turns: list[str] = []
    rest: str = attempt["text"]
    for number, execution in enumerate(attempt["executions"], 1):
        result = ExecutionResult(**execution)
        appended = tokenizer.decode(chat.code_result(result, chat.max_code_calls - number))
        own, found, rest = rest.partition(appended)
        if not found:
            return None
        turns += [own, result.output]
    for end in chat.stop_token_ids:
        rest = rest.removesuffix(tokenizer.decode([end]))
    return (*turns, rest) if rest.strip() else None


def _entries(journal: Path) -> Iterator[dict[str, Any]]:
    try:
        file = journal.open(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {journal}: {error.strerror}") from None
    with file:
        for number, line in enumerate(file, 1):
            if not line.endswith("\n"):
                return  # torn: the run died while it was written
            try:
                entry = json.loads(line)
            except ValueError:
                raise UsageError(f"{journal}, line {number}: not a journal line") from None
            if isinstance(entry, dict):
                yield entry

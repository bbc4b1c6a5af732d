"""One line of a journal as a record: whatever a field holds, what is counted and drawn is a number. Pure."""

import math
from collections.abc import Mapping
from typing import Any

from solver.report.visible import one_line
from solver.types import Attempt, Candidate, ExecutionResult, Prediction

_KNOWN = {"kind", "text_hash", "problem", "reference", "text"}
_ERROR_CHARS = 120


def parse_attempt(entry: Mapping[str, Any]) -> Attempt:
    """The attempt without its text. Raises KeyError, TypeError or ValueError where a field cannot be what it says."""
    known = {name: entry[name] for name in Attempt.__dataclass_fields__ if name in entry}
    known["executions"] = tuple(_execution(e) for e in entry.get("executions") or ())
    known["turn_seeds"] = tuple(entry.get("turn_seeds") or ())
    known["text"] = ""
    known |= {name: str(entry[name]) for name in ("problem_id", "stop_reason", "mode") if name in entry}
    texts = {"mode": "tir", "stop_reason": "ended"}
    numbers = dict.fromkeys(("seed", "started", "seconds", "num_prompt_tokens", "num_tokens", "num_tool_tokens"), 0)
    defaults: dict[str, Any] = {"answer": None, **texts, **numbers}
    attempt = Attempt(**{**defaults, **known})
    # What is counted and drawn must be numbers, whoever wrote the file.
    _require_numbers(attempt.index, attempt.started, attempt.seconds, attempt.num_tokens, attempt.num_tool_tokens)
    _require_numbers(*(n for n in (attempt.answer, attempt.mean_entropy) if n is not None))
    return attempt


def _execution(entry: Mapping[str, Any]) -> ExecutionResult:
    """One code call; of its output only the last line of what failed, since all of it stands in the text."""
    status: Any = str(entry["status"])
    seconds, started = entry.get("seconds", 0.0), entry.get("started")
    _require_numbers(seconds, *(() if started is None else (started,)))
    said = "" if status == "ok" else _last_line(str(entry.get("output", "")))
    return ExecutionResult(status, said, seconds, bool(entry.get("state_kept", True)), started)


def parse_prediction(entry: Mapping[str, Any]) -> Prediction:
    """Raises KeyError, TypeError or ValueError where a field cannot be what it says."""
    known = {name: entry[name] for name in Prediction.__dataclass_fields__ if name in entry}
    known["candidates"] = tuple(
        Candidate(c["answer"], c["votes"], tuple(c.get("attempts") or ()), bool(c.get("forced")))
        for c in entry.get("candidates") or ()
    )
    known |= {name: str(entry[name]) for name in ("problem_id", "decided_by") if name in entry}
    prediction = Prediction(**{"decided_by": "majority", "seconds": 0.0, **known})
    _require_numbers(prediction.answer, prediction.seconds, *(c.votes for c in prediction.candidates))
    _require_numbers(*(n for n in (prediction.started, prediction.budget_seconds) if n is not None))
    return prediction


def _last_line(output: str) -> str:
    lines = output[-4 * _ERROR_CHARS :].strip().splitlines()
    return one_line(lines[-1], _ERROR_CHARS) if lines else ""


def _require_numbers(*values: object) -> None:
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        raise TypeError("not a number")


def unknown_fields(entry: Mapping[str, Any], record: type[Any]) -> dict[str, Any]:
    """What this version does not know."""
    return {k: v for k, v in entry.items() if k not in record.__dataclass_fields__ and k not in _KNOWN}


def last_number(text: str) -> str | None:
    """The last run of digits, without the commas in it."""
    end = len(text)
    while end and not text[end - 1].isdigit():
        end -= 1
    start = end
    while start and (text[start - 1].isdigit() or text[start - 1] == ","):
        start -= 1
    return text[start:end].replace(",", "")[:40] or None

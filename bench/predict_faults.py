"""1,000 predicts, each with a fault drawn at random below it (or none): is each answered by its deadline + 2 s with a
frame of the right shape? The solver plays texts; the faults are those of `submission.faults`."""

import argparse
import logging
import random
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from time import monotonic

import polars as pl

from bench.report import table, write_report
from submission.config import SubmissionConfig
from submission.contest import Contest
from submission.faults import FAULTS, inject
from submission.server import make_predict

_SECONDS = 0.5  # of each problem
_LATE_SECONDS = 2.0


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench predict_faults", description=__doc__)
    parser.add_argument("--predicts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        rows, late, invalid, restarts = _run(Path(folder), options.predicts, options.seed)
    body = table(["fault", "predicts", "fallbacks", "latest answer after its deadline, s"], rows)
    body += f"\n{options.predicts} predicts, {late} answered later than deadline + {_LATE_SECONDS:g} s, "
    body += f"{invalid} without a valid frame; the engine was started again {restarts} times.\n"
    write_report("predict_faults", body, arguments)


def _run(folder: Path, predicts: int, seed: int) -> tuple[list[list[object]], int, int, int]:
    random_faults = random.Random(seed)
    drawn = {number: random_faults.choice([None, *FAULTS]) for number in range(1, predicts + 1)}
    inject(drawn.get)
    contest = Contest(_config(predicts), folder, is_scored=True, expected_problems=predicts, process_start=monotonic())
    contest.start()
    predict = make_predict(contest)
    counts: Counter[str] = Counter()
    fallbacks: Counter[str] = Counter()
    latest: dict[str, float] = defaultdict(lambda: float("-inf"))
    late = invalid = 0
    for number in range(1, predicts + 1):
        name = drawn[number] or "none"
        before = contest.health.decided_by["fallback"]
        frame = predict(pl.Series("id", [f"{number:06x}"]), pl.Series("problem", ["What is 6 times 7?"]))
        over = monotonic() - contest.deadline.at
        counts[name] += 1
        fallbacks[name] += contest.health.decided_by["fallback"] - before
        latest[name] = max(latest[name], over)
        late += over > _LATE_SECONDS
        invalid += not _is_valid(frame, f"{number:06x}")
    contest.close()
    rows: list[list[object]] = [[name, counts[name], fallbacks[name], f"{latest[name]:.2f}"] for name in sorted(counts)]
    return rows, late, invalid, contest.health.restarts


def _is_valid(frame: object, problem_id: str) -> bool:
    return (
        isinstance(frame, pl.DataFrame)
        and frame.schema == {"id": pl.String, "answer": pl.Int64}
        and frame["id"].to_list() == [problem_id]
        and 0 <= frame["answer"][0] <= 99_999
    )


def _config(predicts: int) -> SubmissionConfig:
    budget = {"policy": "bank", "time_limit_seconds": predicts * _SECONDS * 4, "cap_seconds": _SECONDS}
    return SubmissionConfig.model_validate(
        {
            "name": "faults",
            "competition": "aimo-3",
            "solver": {
                "engine": {"name": "scripted", "max_model_len": 8192},
                "attempts": {"num_attempts": 4, "max_tokens": 1024},
                "budget": budget | {"base_seconds": _SECONDS, "draw_seconds": 0.0},
            },
            "health": {"canary_must": "tokens", "canary_seconds": 10, "restarts": 10_000},
        }
    )

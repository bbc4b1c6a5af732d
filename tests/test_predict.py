"""Kaggle's `predict` over a scripted engine: always a valid frame, in time, whatever happens below it."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import polars as pl
import pytest

from solver.errors import UsageError
from solver.types import Candidate, Deadline, Prediction, Problem
from submission.aimo1 import LocalEnv, answer_all
from submission.config import HealthConfig, SubmissionConfig, load_preset, parse_config, preset_names
from submission.contest import Contest
from submission.doctor import Gpu, judge_canary, judge_gpus, parse_gpus, shorten
from submission.errors import HealthError
from submission.faults import FAULTS, inject, stop_injecting
from submission.server import _run_seed, make_predict
from tests.clock import Clock
from tests.conftest import write_script

H100 = HealthConfig(gpu="H100", gpu_memory_gib=78)


def config(health: dict[str, Any] | None = None, **engine: Any) -> SubmissionConfig:
    return SubmissionConfig.model_validate(
        {
            "name": "test",
            "competition": "aimo-3",
            "solver": {
                "engine": {"name": "scripted", "max_model_len": 8192, **engine},
                "attempts": {"num_attempts": 4, "max_tokens": 2048},
                "budget": {"reserve_seconds": 0, "base_seconds": 60, "draw_seconds": 0, "cap_seconds": 60},
            },
            "health": {"canary": "6 times 7?", "canary_answer": 42, "canary_must": "tokens"} | (health or {}),
        }
    )


@pytest.fixture
def contest(tmp_path: Path) -> Iterator[Callable[..., Contest]]:
    """Start one; it is closed after the test."""
    made: list[Contest] = []

    def start(settings: SubmissionConfig | None = None, seconds: float = 600, **options: Any) -> Contest:
        values = {"is_scored": True, "expected_problems": 10, "process_start": monotonic()} | options
        chosen = settings or config()
        contest = Contest(chosen, tmp_path, settings=(f"budget.time_limit_seconds={seconds}",), **values)
        contest.start()
        made.append(contest)
        return contest

    yield start
    stop_injecting()
    for contest in made:
        contest.close()


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> Callable[[Contest], None]:
    """Problems of this contest get a third of a second from now on; a minute else, which nothing here uses up."""

    def hurry(contest: Contest) -> None:
        next_deadline = contest._next_deadline
        monkeypatch.setattr(contest, "_next_deadline", lambda: next_deadline().capped(0.3))

    return hurry


def ask(contest: Contest, name: str = "0a1b2c") -> pl.DataFrame:
    return make_predict(contest)(pl.Series("id", [name]), pl.Series("problem", ["What is 6 times 7?"]))


def assert_valid(frame: Any, name: str = "0a1b2c") -> None:
    assert isinstance(frame, pl.DataFrame)
    assert frame.columns == ["id", "answer"]
    assert frame.dtypes == [pl.String, pl.Int64]
    assert frame["id"].to_list() == [name]
    assert 0 <= frame["answer"][0] <= 99_999


def test_predict_is_a_plain_function_that_answers_in_any_thread(contest: Any) -> None:
    predict = make_predict(contest())
    assert predict.__name__ == "predict"
    frames: list[pl.DataFrame] = []
    thread = threading.Thread(
        target=lambda: frames.append(predict(pl.Series("id", ["a"]), pl.Series("problem", ["?"])))
    )
    thread.start()
    thread.join()
    assert_valid(frames[0], "a")


def test_predict_takes_what_gateways_and_mocks_pass(contest: Any) -> None:
    predict = make_predict(contest())
    text = pl.Series("problem", ["?"])
    assert_valid(predict(pl.Series("id", ["a"]), text, pl.Series("answer", [7])), "a")
    assert_valid(predict(pl.DataFrame({"id": ["a"]}), pl.DataFrame({"problem": ["?"]})), "a")
    assert_valid(predict("a", "?"), "a")
    assert predict(pl.Series("id", [123]), text)["id"].to_list() == [123]  # ids of digits alone arrive as numbers
    assert predict(None, None)["answer"].dtype == pl.Int64
    assert predict(pl.Series("id", [], dtype=pl.String), text).height == 1


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"blocked-loop"}))
def test_predict_answers_in_time_whatever_fails(fault: str, contest: Any, hurry: Any) -> None:
    inject(lambda number: fault if number == 1 else None)
    started = contest()
    if fault in ("hang", "slow"):
        hurry(started)
    assert_valid(ask(started))
    assert started.deadline.at + 30 > monotonic()
    assert_valid(ask(started, "ffffff"), "ffffff")
    assert started.health.num_answers == 2


def test_an_engine_that_dies_is_started_again_within_the_same_problem(contest: Any) -> None:
    inject(lambda number: "engine-crash" if number == 1 else None)
    started = contest()
    assert ask(started)["answer"][0] in (41, 42)
    assert started.health.restarts == 1
    assert started.health.decided_by["fallback"] == 0
    assert started.health.state == "degraded"


def test_an_engine_that_cannot_be_started_leaves_fallbacks_at_once(contest: Any) -> None:
    started = contest(config({"restarts": 0}, scripted={"start_error": "CUDA out of memory"}))
    began = monotonic()
    for name in ("a", "b", "c"):
        assert_valid(ask(started, name), name)
    assert monotonic() - began < 60  # the time of one
    record = json.loads((started._work / "health.json").read_text("utf-8"))
    assert record["state"] == "dead"
    assert record["fallback_reasons"] == {"error": 3}
    assert "CUDA out of memory" in record["reasons"][0]


def test_degraded_settings_are_what_a_failed_start_is_tried_again_with(contest: Any) -> None:
    health = {"degraded": ["engine.scripted.start_error=''"]}
    started = contest(config(health, scripted={"start_error": "CUDA out of memory"}))
    assert ask(started)["answer"][0] in (41, 42)
    assert started.health.state == "degraded"
    assert started.health.restarts == 1


def test_a_commit_run_with_a_dead_model_fails_loudly(contest: Any, tmp_path: Path) -> None:
    dead = contest(config({"restarts": 0}, scripted={"start_error": "no such file"}), is_scored=False)
    with pytest.raises(HealthError, match="this submission is dead: no such file"):
        dead.require_health()
    script = write_script(tmp_path / "script.jsonl", [{"when": "", "texts": ["I do not know."]}])
    wrong = contest(config({"canary_must": "answer"}, scripted={"script": str(script)}), is_scored=False)
    with pytest.raises(HealthError, match="degraded: the model answered 0 to '6 times 7\\?', not 42"):
        wrong.require_health()


def test_a_commit_run_of_fallbacks_alone_fails_loudly(contest: Any, hurry: Any) -> None:
    started = contest(is_scored=False)
    started.require_health()
    hurry(started)
    inject(lambda number: "hang")
    ask(started)
    with pytest.raises(HealthError, match="1 of 1 answers are fallbacks"):
        started.require_answers()


def test_the_best_candidate_at_the_deadline_is_the_answer(contest: Any, tmp_path: Path, clock: Clock) -> None:
    entry = {"when": "", "texts": ["\\boxed{17}"]}
    slow = {"when": "6 times 7", "texts": ["\\boxed{42}", "so " * 900], "tokens_per_second": 5}
    script = write_script(tmp_path / "script.jsonl", [slow, entry])
    settings = config({"canary": "1 + 1"}, scripted={"script": str(script)})
    settings.solver["sandbox"] = {"spares": 0}
    started = contest(settings)
    assert ask(started)["answer"][0] == 42
    assert started.health.decided_by["majority"] + started.health.decided_by["consensus"] == 1


@pytest.mark.parametrize("expected", [2, 10])
def test_more_problems_than_expected_still_get_their_time(expected: int, contest: Any) -> None:
    started = contest(seconds=600, expected_problems=expected)
    deadlines = []
    for number in range(4):
        assert_valid(ask(started, str(number)), str(number))
        deadlines.append(started.deadline)
    assert all(deadline.at <= started._limit.at for deadline in deadlines)
    assert deadlines[-1].remaining() > 0


def test_when_the_time_is_over_answers_come_at_once(contest: Any) -> None:
    started = contest(seconds=1, process_start=monotonic() - 10)
    began = monotonic()
    assert_valid(ask(started))
    assert monotonic() - began < 30
    assert started.health.fallback_reasons["no time"] == 1


def test_a_health_file_that_cannot_be_written_costs_no_answer(contest: Any, tmp_path: Path) -> None:
    started = contest()
    started.health.path = tmp_path / "gone" / "health.json"
    assert_valid(ask(started))
    assert started.health.unwritten


def test_every_line_of_the_log_may_be_the_last_and_counts_the_fallbacks(contest: Any, hurry: Any, capsys: Any) -> None:
    inject(lambda number: "hang" if number == 2 else None)
    started = contest()
    ask(started, "a")
    hurry(started)
    ask(started, "b")
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "problem 2, b" in last
    assert "1 of 2 answers are fallbacks (1 no time); health ok" in last


def test_the_gate_knows_the_gpu_by_kind_memory_and_number() -> None:
    gpus = parse_gpus("NVIDIA H100 80GB HBM3, 81559\n")
    assert judge_gpus(gpus, H100) == []
    assert "Tesla P100-PCIE-16GB 16 GiB" in judge_gpus(parse_gpus("Tesla P100-PCIE-16GB, 16384\n"), H100)[0]
    assert "no GPU" in judge_gpus([], H100)[0]
    assert judge_gpus([Gpu("NVIDIA L4", 22.5)] * 3, HealthConfig(gpu="L4", num_gpus=4, gpu_memory_gib=22)) != []
    assert judge_gpus([], HealthConfig()) == []


def test_the_gate_tells_silence_a_wrong_sum_and_slowness_apart() -> None:
    def canary(answer: int, tokens: int, seconds: float) -> Prediction:
        return Prediction("canary", answer, "majority", (Candidate(answer, 4, (0,)),), seconds, num_tokens=tokens)

    expected = HealthConfig(tokens_per_second=800)
    assert judge_canary(canary(777, 4000, 4), expected) == []
    assert "wrote nothing" in judge_canary(canary(0, 0, 4), expected)[0]
    assert "answered 0" in judge_canary(canary(0, 4000, 4), expected)[0]
    assert "20 tokens/s, the preset expects 800" in judge_canary(canary(777, 80, 4), expected)[0]


def test_the_canarys_answer_is_one_that_a_dead_model_does_not_give() -> None:
    assert all(load_preset(name).health.canary_answer != 0 for name in preset_names())
    for answer in (0, 5555):  # AIMO-2's answers end at 999, and the model's 5555 would be taken for 555
        with pytest.raises(UsageError, match=f"health.canary_answer: {answer} cannot tell a dead model in aimo-2"):
            parse_config(
                load_preset("aimo-2-4xl4").model_dump(mode="json") | {"health": {"canary_answer": answer}}, "test"
            )


def test_long_exception_texts_become_one_short_line() -> None:
    text = shorten(RuntimeError("first\nsecond " + "x" * 10_000))
    assert len(text) <= 300
    assert "\n" not in text


class Frame:
    """As much of a pandas frame as the loop uses."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self.row = {name: values[0] for name, values in columns.items()}

    @property
    def iloc(self) -> list[dict[str, Any]]:
        return [self.row]

    def __setitem__(self, name: str, value: Any) -> None:
        self.row[name] = value


def test_aimo_1s_loop_is_answered_one_by_one(contest: Any) -> None:
    env = LocalEnv([Problem("a", "?"), Problem("b", "?")], Frame)
    assert answer_all(env, contest()) == 2
    assert set(env.answers) == {"a", "b"}


def test_aimo_1s_loop_refuses_to_go_on_without_an_answer() -> None:
    env = LocalEnv([Problem("a", "?"), Problem("b", "?")], Frame)
    rows = env.iter_test()
    next(rows)
    with pytest.raises(RuntimeError, match="You must call"):
        next(rows)


def test_each_scored_run_of_a_two_run_contest_has_a_seed_of_its_own() -> None:
    two_run, once = load_preset("scripted"), load_preset("aimo-2-4xl4")
    assert _run_seed(two_run, {}) != _run_seed(two_run, {})
    assert _run_seed(two_run, {"seed": 7}) == ("seed=7",)
    assert two_run.solver_config(_run_seed(two_run, {"seed": 7})).seed == 7
    assert _run_seed(once, {}) == ()
    fixed = two_run.model_copy(update={"solver": {**two_run.solver, "seed": 3}})
    assert _run_seed(fixed, {}) == ()


def test_deadlines_never_go_past_the_contest(contest: Any) -> None:
    started = contest(seconds=30)
    started._checked.wait()
    for _ in range(40):
        assert isinstance(started._next_deadline(), Deadline)
        assert started._next_deadline().at <= started._limit.at

import random
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from solver.hygiene import LoopDetector, fingerprint
from solver.run import RunResult
from tests.conftest import journal_lines

Solve = Callable[..., RunResult]

LOOP = "and so we must look at the next case which is the same as the one before it, "


def loops(tokens: list[int], **limits: int) -> bool:
    return LoopDetector(**limits).is_looping(tokens)


def test_thirty_tokens_twenty_times_are_a_loop() -> None:
    phrase = list(range(100, 130))
    assert loops(phrase * 20)
    assert not loops(phrase * 19)


def test_a_repeated_phrase_between_other_text_is_a_loop_too() -> None:
    phrase, noise = list(range(100, 130)), random.Random(0)
    text = [token for _ in range(20) for token in (*phrase, *(noise.randrange(10**6) for _ in range(17)))]
    assert loops(text)


def test_a_run_of_one_token_is_not_counted_twenty_times_at_once() -> None:
    assert not loops([7] * 590)
    assert loops([7] * 640)


def test_text_that_does_not_repeat_is_never_a_loop() -> None:
    noise = random.Random(1)
    assert not loops([noise.randrange(50_000) for _ in range(30_000)])


@given(st.integers(1, 200), st.integers(0, 100))
def test_a_loop_of_any_period_is_found_wherever_it_begins(period: int, before: int) -> None:
    noise = random.Random(period)
    fresh = [noise.randrange(10**9) for _ in range(before + period)]
    a_repeat = -(-30 // period) * period  # tokens from one occurrence to the next that does not overlap it
    tokens = fresh + fresh[before:] * 700
    assert not loops(tokens[: before + 19 * a_repeat])
    assert loops(tokens[: before + 20 * a_repeat + 60])


def test_a_phrase_between_other_text_is_found_wherever_it_stands() -> None:
    phrase, noise = list(range(100, 130)), random.Random(0)
    text = [token for _ in range(49) for token in (*phrase, *(noise.randrange(10**6) for _ in range(17)))]
    assert all(loops([0] * before + text) for before in range(30))


@given(st.lists(st.integers(0, 3), max_size=400), st.lists(st.integers(1, 50), max_size=40), st.integers(2, 6))
def test_it_does_not_matter_how_the_tokens_come(tokens: list[int], cuts: list[int], block: int) -> None:
    detector, start, found = LoopDetector(block, 5), 0, False
    for cut in [*cuts, len(tokens)]:
        found = found or detector.is_looping(tokens[start : start + cut])
        start += cut
    assert found == loops(tokens, block=block, repeats=5) == by_counting(tokens, block, 5)


def by_counting(tokens: list[int], block: int, repeats: int) -> bool:
    counts: dict[tuple[int, ...], tuple[int, int]] = {}
    for start in range(len(tokens) - len(tokens) % block - block + 1):
        if (ngram := tuple(tokens[start : start + block])) in counts:
            count, last = counts[ngram]
            if start - last >= block:
                counts[ngram] = count + 1, start
        elif start % block == 0:
            counts[ngram] = 1, start
    return any(count >= repeats for count, _ in counts.values())


def test_a_fingerprint_needs_enough_tokens() -> None:
    assert fingerprint([1] * 255, 256) is None
    assert fingerprint([1] * 300, 0) is None
    assert fingerprint([1] * 300, 256) == fingerprint([1] * 256 + [2], 256) != fingerprint([1] * 255 + [2], 256)


PROBLEM = [("a", "What is 6*7?", 42)]


def test_a_looping_attempt_is_ended_and_not_made_to_answer(solve: Solve, tmp_path: Path) -> None:
    result = solve(PROBLEM, [{"texts": [LOOP * 200], "forced": "42}"}], "attempts.loop_repeats=20")
    attempts = journal_lines(tmp_path / "submission.journal.jsonl", "attempt")
    assert {(a["stop_reason"], a["answer"], a["forced"]) for a in attempts} == {("loop", None, False)}
    assert max(a["num_tokens"] for a in attempts) < 30 * len(LOOP)
    assert result.summary["stop_reasons"] == {"loop": 8}


def test_attempts_that_repeat_each_other_are_one_vote_and_are_told(solve: Solve, tmp_path: Path) -> None:
    noise = random.Random(2)
    same = "".join(noise.choice("abcdefgh ") for _ in range(300))
    result = solve(PROBLEM, [{"texts": [same + " \\boxed{41}"]}], "attempts.duplicate_prefix=256")
    prediction = journal_lines(tmp_path / "submission.journal.jsonl", "prediction")[0]
    assert prediction["candidates"][0]["votes"] == 1
    assert result.summary["duplicate_attempts"] == result.summary["attempts"] - 1 - stops(result, "cancelled")


def stops(result: RunResult, reason: str) -> int:
    return int(result.summary["stop_reasons"].get(reason, 0))


def test_a_turn_has_a_limit_of_its_own(solve: Solve, tmp_path: Path) -> None:
    solve(PROBLEM, [{"texts": ["x" * 3000]}], "attempts.max_turn_tokens=500", "attempts.force_seconds=0")
    attempts = journal_lines(tmp_path / "submission.journal.jsonl", "attempt")
    assert {(a["stop_reason"], a["num_tokens"]) for a in attempts} == {("max_tokens", 500)}


def test_an_answer_that_the_code_printed_is_confirmed(solve: Solve, tmp_path: Path) -> None:
    script = [{"texts": ["<tool_call>\nprint('n =', 6 * 7)\n</tool_call> so \\boxed{42}", "I guess \\boxed{42}"]}]
    solve(PROBLEM, script, "consensus.rule='all'", "consensus.uncatchable=false")
    attempts = journal_lines(tmp_path / "submission.journal.jsonl", "attempt")
    assert {(bool(a["executions"]), a["confirmed"]) for a in attempts} == {(True, True), (False, False)}

"""The measurements of engines run, on the engine that plays texts; their figures come from real ones."""

import asyncio

from bench import abort, concurrent, throughput
from bench.setting import FixedLength, running
from solver.types import Completion, SamplingParams


def test_abort_is_measured_to_an_idle_engine() -> None:
    found = asyncio.run(abort.measure("scripted", attempts=4, rounds=2))
    assert {name: len(values) for name, values in found.items()} == {"step": 2, "let go": 2, "idle": 2}
    assert all(idle >= let_go for idle, let_go in zip(found["idle"], found["let go"], strict=True))


def test_problems_in_flight_are_measured_against_one_by_one() -> None:
    body = asyncio.run(concurrent.measure("scripted", 3, 2, 64, 4, 1))
    assert "| auto | 2 |" in body
    assert "one by one takes" in body


def test_attempts_of_fixed_length_call_python_where_they_are_told_and_sample_what_is_left() -> None:
    async def lengths() -> list[tuple[int, str | None]]:
        async with running("scripted", 2) as setting:
            prompt = setting.prompt()
            engine = FixedLength(setting.engine, len(prompt), 12, calls_after=(5, 4), num_result=3)
            found: list[tuple[int, str | None]] = []
            for tokens in (prompt, prompt, prompt + [65] * 8, prompt + [65] * 7):
                turn: list[Completion] = [c async for c in engine.generate(tokens, SamplingParams(max_tokens=99))]
                found.append((sum(len(c.token_ids) for c in turn), turn[-1].finish_reason))
            return found

    assert asyncio.run(lengths()) == [(5, "stop"), (4, "stop"), (7, "length"), (8, "length")]


def test_calls_of_python_are_spread_over_the_middle_of_the_attempts() -> None:
    assert throughput.calls_after("vllm", 4, 64) == [16, 24, 32, 40]
    assert throughput.calls_after("transformers", 2, 64) == [32, 32]


def test_a_solver_with_a_call_in_every_attempt_samples_the_tokens_it_was_given() -> None:
    async def main() -> None:
        async with running("scripted", 2, "chat.family='openmath'") as setting:
            await throughput._solver(setting, 2, 60, 0, [20, 30])

    asyncio.run(main())

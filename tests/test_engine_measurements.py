"""The measurements of engines run, on the engine that plays texts; their figures come from real ones."""

import asyncio

from bench import abort, concurrent
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


def test_fixed_length_attempts_have_two_turns_of_given_length() -> None:
    async def lengths() -> list[tuple[int, str | None]]:
        async with running("scripted", 2) as setting:
            engine = FixedLength(setting.engine, len(setting.prompt()), (5, 7))
            found: list[tuple[int, str | None]] = []
            for prompt in (setting.prompt(), [*setting.prompt(), 65]):
                turn: list[Completion] = [c async for c in engine.generate(prompt, SamplingParams(max_tokens=99))]
                found.append((sum(len(c.token_ids) for c in turn), turn[-1].finish_reason))
            return found

    assert asyncio.run(lengths()) == [(5, "stop"), (7, "length")]

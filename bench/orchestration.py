"""What the solver's event loop spends on one token, and the share of an engine's time; goal: 3 % at 64 attempts.

An engine that costs nothing plays 64 attempts, a token at a time, as fast as the loop turns: once to a reader that
throws the tokens away, once to `Solver.solve` with the embedded model's tokenizer. The difference in CPU time, over the
tokens, is the solver's own. The engine computes in another process or on the GPU meanwhile, so the share is an upper
bound: what it loses if the two cannot overlap at all.
"""

import argparse
import asyncio
import gc
import random
import statistics
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from bench.report import table, write_report
from bench.setting import NO_ANSWER, PROBLEM, fixed_length, solve_once, unstopped
from solver.attempt import Tools
from solver.chat import build_chat, load_tokenizer
from solver.config import load_config
from solver.model import find_model
from solver.sandbox import SandboxPool
from solver.types import Completion, SamplingParams

ATTEMPTS = 64
TEXT = "We compute $x^2 + 3x = \\frac{12}{7}$, so the sum of all {digits} of 2024 is 8. Therefore we check again.\n"
TOKENS = 4096  # of that text, in random order: an attempt that repeated itself would be ended
# Tokens a second in all: measured on this CPU; the bandwidth limits of an H100 for a 14.8B model in FP8 and for
# gpt-oss-120b, 64 attempts of 16,384 tokens. Real engines reach about half of a limit.
RATES = {"embedded model, 2-core CPU": 110, "14.8B FP8, H100 limit": 1819, "gpt-oss-120b, H100 limit": 2846}


class FreeEngine:
    """Yields tokens over and over, `chunk` at a time."""

    def __init__(self, tokens: Sequence[int], chunk: int) -> None:
        self._tokens, self._chunk = list(tokens), chunk

    async def generate(self, prompt: list[int], params: SamplingParams) -> AsyncGenerator[Completion, None]:
        repeats = params.max_tokens // len(self._tokens) + 1
        tokens = (self._tokens * repeats)[: params.max_tokens]
        for start in range(0, len(tokens), self._chunk):
            await asyncio.sleep(0)
            end = start + self._chunk
            yield Completion(tuple(tokens[start:end]), finish_reason="length" if end >= len(tokens) else None)


async def measure(num_tokens: int, chunk: int) -> tuple[float, float]:
    """CPU microseconds a token: of a reader alone, and of the solver on top of it."""
    folder = await find_model(None)
    config = load_config(settings=["engine.name='scripted'", f"attempts.num_attempts={ATTEMPTS}"])
    tokenizer = load_tokenizer(folder)
    engine: Any = FreeEngine(random.Random(0).choices(tokenizer.encode(TEXT), k=TOKENS), chunk)
    chat = build_chat(config.chat, tokenizer, folder)
    tools = Tools(config, NO_ANSWER, engine, tokenizer, chat, SandboxPool(config.sandbox), 10**6, time.monotonic())
    tools = fixed_length(replace(tools, engine=engine), ATTEMPTS, num_tokens, with_code=False)
    prompt = chat.prompt(PROBLEM, "cot")

    async def read() -> None:
        async with aclosing(engine.generate(prompt, unstopped(SamplingParams(max_tokens=num_tokens)))) as turn:
            async for _ in turn:
                pass

    gc.collect()
    began = time.process_time()
    await asyncio.gather(*(read() for _ in range(ATTEMPTS)))
    alone = time.process_time() - began
    began = time.process_time()
    await solve_once(tools, 0, ATTEMPTS)
    total = time.process_time() - began
    return tuple(1e6 * seconds / (ATTEMPTS * num_tokens) for seconds in (alone, total - alone))  # type: ignore[return-value]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench orchestration", description=__doc__)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    rows, costs = [], {}
    for chunk in (1, 4, 20):
        found = [asyncio.run(measure(given.tokens, chunk)) for _ in range(given.rounds)]
        alone, solver = (statistics.median(values) for values in zip(*found, strict=True))
        costs[chunk] = solver
        rows.append((chunk, f"{alone:.2f}", f"{solver:.2f}", f"{min(s for _, s in found):.2f}"))
    shares = [
        (name, rate, *(f"{100 * cost * rate / 1e6:.2f} %" for cost in costs.values())) for name, rate in RATES.items()
    ]
    body = f"""{ATTEMPTS} attempts of {given.tokens} tokens, {given.rounds} rounds; CPU microseconds a token.

{table(("tokens in a chunk", "reader alone", "solver, median", "solver, least"), rows)}
Share of the engine's time, were none of it overlapped:

{table(("engine", "tokens/s in all", *(f"{chunk} a chunk" for chunk in costs)), shares)}"""
    write_report("orchestration", body, arguments)

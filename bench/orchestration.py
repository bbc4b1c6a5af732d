"""What the solver's event loop spends on one token, and the share of an engine's time; goal: 3 % at 64 attempts.

A stand-in for vLLM's `AsyncLLM` that costs nothing hands out vLLM's own output objects to 64 attempts, as fast as the
loop turns: once to a reader that throws them away, once through the vLLM engine of this package to `Solver.solve` with
the embedded model's tokenizer. The difference in CPU time, over the tokens, is the solver's own: what stands between
vLLM's output and the journal, the start and end of every attempt included. The engine computes in another process or on
the GPU meanwhile, so the share is an upper bound: what it loses if the two cannot overlap at all.
"""

import argparse
import asyncio
import gc
import random
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from importlib.util import find_spec
from typing import Any

from bench.report import table, write_report
from bench.setting import NO_ANSWER, fixed_length, solve_once
from solver.attempt import Tools
from solver.chat import build_chat, load_tokenizer
from solver.config import load_config
from solver.engine.vllm import VllmEngine
from solver.model import find_model
from solver.sandbox import SandboxPool

ATTEMPTS = 64
TEXT = "We compute $x^2 + 3x = \\frac{12}{7}$, so the sum of all {digits} of 2024 is 8. Therefore we check again.\n"
# Tokens a second in all: measured on this CPU; the bandwidth limits of an H100 for a 14.8B model in FP8 and for
# gpt-oss-120b, 64 attempts of 16,384 tokens. Real engines reach about half of a limit.
RATES = {"embedded model, 2-core CPU": 110, "14.8B FP8, H100 limit": 1819, "gpt-oss-120b, H100 limit": 2846}
CHUNKS = (1, 4, 20)


class FreeCore:
    """Hands out the same tokens to every request, `chunk` at a time, with `logprobs` log-probabilities each or none."""

    def __init__(self, tokens: Sequence[int], chunk: int, logprobs: int) -> None:
        from vllm.logprobs import FlatLogprobs
        from vllm.outputs import CompletionOutput, RequestOutput

        self._outputs = []
        for start in range(0, len(tokens), chunk):
            new = list(tokens[start : start + chunk])
            flat, ranks = FlatLogprobs(), (1, *range(1, logprobs + 1))
            for token in new:
                flat.append_fast([token, *ranks[1:]], [-0.7] * len(ranks), ranks, [None] * len(ranks))
            finish = "length" if start + chunk >= len(tokens) else None
            part = CompletionOutput(0, "", new, None, flat if logprobs else None, finish_reason=finish)
            self._outputs.append(RequestOutput("", None, None, None, [part], finish is not None, num_cached_tokens=0))

    async def generate(self, prompt: Any, params: Any, request: str) -> AsyncGenerator[Any, None]:
        for output in self._outputs:
            await asyncio.sleep(0)
            yield output


async def measure(num_tokens: int, chunk: int, logprobs: int) -> tuple[float, float]:
    """CPU microseconds a token: of a reader alone, and of the solver on top of it."""
    folder = await find_model(None)
    config = load_config(settings=["engine.name='vllm'", f"attempts.num_attempts={ATTEMPTS}"])
    config = config.model_copy(update={"sampling": config.sampling.model_copy(update={"logprobs": logprobs or None})})
    tokenizer = load_tokenizer(folder)
    # In random order: an attempt that repeated itself would be ended.
    core = FreeCore(random.Random(0).choices(tokenizer.encode(TEXT), k=num_tokens), chunk, logprobs)
    engine: Any = VllmEngine(config.engine, folder)
    engine._engine = core
    chat = build_chat(config.chat, tokenizer, folder)
    tools = Tools(config, NO_ANSWER, engine, tokenizer, chat, SandboxPool(config.sandbox), 10**6, time.monotonic())
    tools = fixed_length(tools, num_tokens, ATTEMPTS)

    async def read() -> None:
        async with aclosing(core.generate(None, None, "")) as turn:
            async for _ in turn:
                pass

    gc.collect()
    began = time.process_time()
    await asyncio.gather(*(read() for _ in range(ATTEMPTS)))
    alone = time.process_time() - began
    began = time.process_time()
    await solve_once(tools, 0, ATTEMPTS)
    total = time.process_time() - began
    per_token = 1e6 / (ATTEMPTS * num_tokens)
    return per_token * alone, per_token * (total - alone)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench orchestration", description=__doc__)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    if find_spec("vllm") is None:
        sys.exit("error: this measurement takes vLLM's output objects: run `make setup`")
    costs, rows = {}, []
    asyncio.run(measure(64, 1, 5))  # imports
    for logprobs in (0, 5):
        for chunk in CHUNKS:
            found = [asyncio.run(measure(given.tokens, chunk, logprobs)) for _ in range(given.rounds)]
            alone, solver = (statistics.median(values) for values in zip(*found, strict=True))
            costs[logprobs, chunk] = solver
            least = min(solver for _, solver in found)
            rows.append((chunk, logprobs or "none", f"{alone:.2f}", f"{solver:.2f}", f"{least:.2f}"))
    body = f"""{ATTEMPTS} attempts of {given.tokens} tokens, {given.rounds} rounds; CPU microseconds a token.

{table(("tokens in a chunk", "log-probabilities", "reader alone", "solver, median", "solver, least"), rows)}
Share of the engine's time, were none of it overlapped:

{_shares(costs)}"""
    write_report("orchestration", body, arguments)


def _shares(costs: dict[tuple[int, int], float]) -> str:
    names = [f"{chunk} a chunk" + (f", {logprobs} log-probabilities" if logprobs else "") for logprobs, chunk in costs]
    rows = [
        (name, rate, *(f"{100 * cost * rate / 1e6:.2f} %" for cost in costs.values())) for name, rate in RATES.items()
    ]
    return table(("engine", "tokens/s in all", *names), rows)

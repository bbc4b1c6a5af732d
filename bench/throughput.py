"""The solver's tokens a second over the same engine driven flat out with the same prompts, in one process and one run.

All sides sample the same number of attempts at one problem: the same prompt, sampling and number of tokens.

  flat out   requests given straight to the library, their final outputs awaited: no streaming, no solver. vLLM:
             `AsyncLLM.generate`. transformers: `generate(num_return_sequences=N)` of the same loaded model.
  engine     the same requests through our engine, streamed, without a solver.
  solver     `Solver.solve`: chat format, answer search, journal, live status. `code` has one call of Python in the
             middle of every attempt; flat out has none.

They take turns, so that a change in the machine's speed meets all. Each engine is in a process of its own.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from bench.report import table, write_report
from bench.setting import Running, fixed_length, running, solve_once

Speeds = dict[str, list[float]]


async def compare(name: str, attempts: int, num_tokens: int, rounds: int) -> Speeds:
    async with running(name, attempts) as setting:
        sides: dict[str, Callable[[int], Awaitable[float]]] = {
            "flat out": lambda run: _flat_out(name, setting, attempts, num_tokens, run),
            "engine": lambda run: _engine(setting, attempts, num_tokens, run),
            "solver": lambda run: _solver(setting, attempts, num_tokens, run, with_code=False),
            "solver, code": lambda run: _solver(setting, attempts, num_tokens, run, with_code=True),
        }
        speeds: Speeds = {side: [] for side in sides}
        await _engine(setting, attempts, 8, 999)  # warm-up
        await _flat_out(name, setting, attempts, 8, 999)
        for run in range(rounds):
            order = list(sides.items())
            for side, measure in order if run % 2 == 0 else order[::-1]:
                speeds[side].append(await measure(run))
                print(f"{name}, {attempts}, {side}: {speeds[side][-1]:.1f} tokens/s", file=sys.stderr, flush=True)
        return speeds


async def _flat_out(name: str, setting: Running, attempts: int, num_tokens: int, run: int) -> float:
    began = time.perf_counter()
    if name == "vllm":
        await asyncio.gather(*(_vllm_request(setting, index, num_tokens, run) for index in range(attempts)))
    else:
        await asyncio.to_thread(_transformers_generate, setting, attempts, num_tokens, run)
    return attempts * num_tokens / (time.perf_counter() - began)


async def _vllm_request(setting: Running, index: int, num_tokens: int, run: int) -> None:
    from vllm.inputs import TokensPrompt
    from vllm.sampling_params import RequestOutputKind

    from solver.engine.vllm import _sampling_params

    params: Any = _sampling_params(setting.params(index, num_tokens, run))
    params.output_kind = RequestOutputKind.FINAL_ONLY
    prompt = TokensPrompt(prompt_token_ids=setting.prompt())
    async for output in setting.engine._engine.generate(prompt, params, f"flat-{run}-{num_tokens}-{index}"):
        assert len(output.outputs[0].token_ids) == num_tokens


def _transformers_generate(setting: Running, attempts: int, num_tokens: int, run: int) -> None:
    import torch

    params, ids = setting.params(0, num_tokens, run), torch.tensor([setting.prompt()])
    torch.manual_seed(run)
    output = setting.engine._model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        temperature=params.temperature,
        min_p=params.min_p,
        top_k=0,
        num_return_sequences=attempts,
        min_new_tokens=num_tokens,
        max_new_tokens=num_tokens,
    )
    assert output.shape == (attempts, ids.shape[1] + num_tokens)


async def _engine(setting: Running, attempts: int, num_tokens: int, run: int) -> float:
    async def one(index: int) -> int:
        count = 0
        async with aclosing(setting.engine.generate(setting.prompt(), setting.params(index, num_tokens, run))) as turn:
            async for completion in turn:
                count += len(completion.token_ids)
        return count

    began = time.perf_counter()
    counts = await asyncio.gather(*(one(index) for index in range(attempts)))
    assert counts == [num_tokens] * attempts
    return sum(counts) / (time.perf_counter() - began)


async def _solver(setting: Running, attempts: int, num_tokens: int, run: int, *, with_code: bool) -> float:
    tools = fixed_length(setting.tools, attempts, num_tokens, with_code=with_code)
    count, seconds = await solve_once(tools, run, attempts)
    assert count == attempts * num_tokens, (count, attempts * num_tokens)
    return count / seconds


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench throughput", description=__doc__)
    parser.add_argument("--engines", default="vllm,transformers")
    parser.add_argument("--attempts", default="16,64")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--one", nargs=2, metavar=("ENGINE", "ATTEMPTS"), help="one engine here, figures as JSON")
    given = parser.parse_args(arguments)
    if given.one:
        print(json.dumps(asyncio.run(compare(given.one[0], int(given.one[1]), given.tokens, given.rounds))))
        return
    rows: list[Sequence[object]] = []
    ratios: list[Sequence[object]] = []
    for name in given.engines.split(","):
        for attempts in given.attempts.split(","):
            speeds = _in_own_process(name, attempts, given.tokens, given.rounds)
            rows += [(name, attempts, side, *_spread(values)) for side, values in speeds.items()]
            ratios.append((name, attempts, *(_ratio(speeds, side) for side in ("engine", "solver", "solver, code"))))
    body = f"""Attempts of {given.tokens} tokens at one problem, the miniature preset's sampling, {given.rounds} rounds.

Over flat out, median of the rounds (lowest, highest); goals: engine 0.9 (transformers), solver 0.97, with code 0.90.

{table(("engine", "attempts", "engine", "solver", "solver, code"), ratios)}
{table(("engine", "attempts", "side", "tokens/s, median", "min", "max"), rows)}"""
    write_report("throughput", body, arguments)


def _in_own_process(name: str, attempts: str, num_tokens: int, rounds: int) -> Speeds:
    options = ["--one", name, attempts, "--tokens", str(num_tokens), "--rounds", str(rounds)]
    done = subprocess.run(
        [sys.executable, "-m", "bench", "throughput", *options], stdout=subprocess.PIPE, check=True, text=True
    )
    speeds: Speeds = json.loads(done.stdout.splitlines()[-1])
    return speeds


def _ratio(speeds: Speeds, side: str) -> str:
    pairs = [mine / bare for mine, bare in zip(speeds[side], speeds["flat out"], strict=True)]
    return f"**{statistics.median(pairs):.3f}** ({min(pairs):.2f}, {max(pairs):.2f})"


def _spread(values: Sequence[float]) -> tuple[str, str, str]:
    return f"{statistics.median(values):.1f}", f"{min(values):.1f}", f"{max(values):.1f}"

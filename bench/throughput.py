"""The solver's tokens a second over the same engine driven flat out with the same work, in one process and one run.

All sides sample the same number of attempts at one problem: the same prompt, sampling and number of tokens.

  flat out        requests given straight to the library, their final outputs awaited: no streaming, no solver. vLLM:
                  `AsyncLLM.generate`. transformers: `generate(num_return_sequences=N)` of the same loaded model.
  solver          `Solver.solve`: chat format, answer search, journal, live status, over our streaming engine.
  flat out, code  the requests of attempts that call Python once: a turn up to the call and, at once, the turn behind
                  the call's output, which stands ready. The engine has the same tokens to read and to write as in
  solver, code    `Solver.solve` with one call of Python in every attempt, run in the attempt's own sandbox.

In vLLM the attempts come to their calls one after another, between a quarter and three quarters of their tokens, as
attempts do; transformers' `generate` knows one length for a batch, so there all call in the middle at once.

Each of `--runs` is ATTEMPTSxTOKENS: so many sampled tokens an attempt, with one call in all of them. The sides take
turns, so that a change in the machine's speed meets all. Each engine is in a process of its own. Beside tokens a second
stand tokens a CPU second, of engine, solver and sandbox together: what else runs on the machine hardly moves them, and
waiting does not show in them.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psutil

from bench.report import spread, table, write_report
from bench.setting import Running, code_result, fixed_length, running, solve_once

Speeds = dict[str, list[tuple[float, float]]]
"""Of each side, for each round: tokens a second, and tokens a CPU second."""
PER = ("second", "CPU second")
RATIOS = (("solver", "flat out"), ("solver, code", "flat out, code"), ("solver, code", "flat out"))


async def compare(name: str, runs: Sequence[tuple[int, int]], rounds: int) -> list[Speeds]:
    """Tokens a second of each side, for each of the pairs of attempts and tokens."""
    async with running(name, max(attempts for attempts, _ in runs)) as setting:
        await _flat_out(name, setting, 2, [[8], [8]], 999)  # warm-up
        await _solver(setting, 2, 8, 999, [4, 4])
        return [await _compare(name, setting, attempts, num_tokens, rounds) for attempts, num_tokens in runs]


async def _compare(name: str, setting: Running, attempts: int, num_tokens: int, rounds: int) -> Speeds:
    calls = calls_after(name, attempts, num_tokens)
    whole, split = [[num_tokens]] * attempts, [[call, num_tokens - call] for call in calls]
    sides: dict[str, Callable[[int], Awaitable[None]]] = {
        "flat out": lambda run: _flat_out(name, setting, attempts, whole, run),
        "solver": lambda run: _solver(setting, attempts, num_tokens, run, []),
        "flat out, code": lambda run: _flat_out(name, setting, attempts, split, run),
        "solver, code": lambda run: _solver(setting, attempts, num_tokens, run, calls),
    }
    speeds: Speeds = {side: [] for side in sides}
    for run in range(rounds):
        order = list(sides.items())
        for side, work in order if run % 2 == 0 else order[::-1]:
            began, worked = time.perf_counter(), _cpu_seconds()
            await work(run)
            wall, cpu = time.perf_counter() - began, _cpu_seconds() - worked
            speeds[side].append((attempts * num_tokens / wall, attempts * num_tokens / cpu))
            print(f"{name}, {attempts}x{num_tokens}, {side}: {speeds[side][-1][0]:.1f} tokens/s", file=sys.stderr)
    return speeds


def _cpu_seconds() -> float:
    """Of this process and all that descend from it, the ended ones too."""
    this, seconds = psutil.Process(), 0.0
    for process in (this, *this.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended: its parent has its seconds
            seconds += sum(process.cpu_times()[:4])
    return seconds


def calls_after(name: str, attempts: int, num_tokens: int) -> list[int]:
    """How many tokens each attempt samples before it calls."""
    if name != "vllm":
        return [num_tokens // 2] * attempts
    return [num_tokens // 4 + num_tokens // 2 * index // attempts for index in range(attempts)]


async def _flat_out(name: str, setting: Running, attempts: int, turns: Sequence[Sequence[int]], run: int) -> None:
    """`turns`: of each attempt, the tokens of each turn."""
    if name == "vllm":
        await asyncio.gather(*(_vllm_requests(setting, index, turns[index], run) for index in range(attempts)))
    else:
        await asyncio.to_thread(_transformers_generate, setting, attempts, turns[0], run)


async def _vllm_requests(setting: Running, index: int, turns: Sequence[int], run: int) -> None:
    from vllm.inputs import TokensPrompt
    from vllm.sampling_params import RequestOutputKind

    from solver.engine.vllm import _sampling_params

    tokens = setting.prompt()
    for turn, length in enumerate(turns):
        if turn:
            tokens += code_result(setting.tools)
        params: Any = _sampling_params(setting.params(index, length, run, turn))
        params.output_kind = RequestOutputKind.FINAL_ONLY
        prompt, request = TokensPrompt(prompt_token_ids=tokens), f"flat-{time.monotonic_ns()}-{index}-{turn}"
        async for output in setting.engine._engine.generate(prompt, params, request):
            tokens += output.outputs[0].token_ids
            assert len(output.outputs[0].token_ids) == length


def _transformers_generate(setting: Running, attempts: int, turns: Sequence[int], run: int) -> None:
    import torch

    params = setting.params(0, 1)
    ids, cache = torch.tensor([setting.prompt()]), None
    result = torch.tensor([code_result(setting.tools)]).expand(attempts, -1)
    torch.manual_seed(run)
    for turn, length in enumerate(turns):
        if turn:
            ids = torch.cat([ids, result], dim=1)
        output = setting.engine._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            past_key_values=cache,
            do_sample=True,
            temperature=params.temperature,
            min_p=params.min_p,
            top_k=0,
            num_return_sequences=attempts if turn == 0 else 1,
            min_new_tokens=length,
            max_new_tokens=length,
            return_dict_in_generate=True,
        )
        assert output.sequences.shape == (attempts, ids.shape[1] + length)
        ids, cache = output.sequences, output.past_key_values


async def _solver(setting: Running, attempts: int, num_tokens: int, run: int, calls: Sequence[int]) -> None:
    tools = fixed_length(setting.tools, num_tokens, attempts, calls)
    count, _ = await solve_once(tools, run, attempts)
    assert count == attempts * num_tokens, (count, attempts * num_tokens)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench throughput", description=__doc__)
    parser.add_argument("--engines", default="vllm,transformers")
    parser.add_argument("--runs", default="16x192,16x48,64x48")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--one", metavar="ENGINE", help="one engine here, figures as JSON")
    given = parser.parse_args(arguments)
    pairs = [run.split("x") for run in given.runs.split(",")]
    runs = [(int(attempts), int(num_tokens)) for attempts, num_tokens in pairs]
    if given.one:
        print(json.dumps(asyncio.run(compare(given.one, runs, given.rounds))))
        return
    ratios: list[Sequence[object]] = []
    rows: list[Sequence[object]] = []
    for name in given.engines.split(","):
        for run, speeds in zip(runs, _in_own_process(name, given.runs, given.rounds), strict=True):
            ratios += [(name, *run, per, *(_ratio(speeds, *pair, n) for pair in RATIOS)) for n, per in enumerate(PER)]
            for side, values in speeds.items():
                rows.append((name, *run, side, *(spread([value[n] for value in values], 1) for n in range(len(PER)))))
    head = ("engine", "attempts", "tokens an attempt, one call in them")
    body = f"""One problem, the miniature preset's sampling; median of {given.rounds} rounds (lowest, highest).

Goals: solver over flat out 0.97; with a call in every attempt, over flat out with the same tokens to read, 0.90. In the
last column the call's tokens are on the solver's side alone: what a call costs in all.

{table((*head, "per", *(f"{mine} / {bare}" for mine, bare in RATIOS)), ratios)}
{table((*head, "side", *(f"tokens a {per}" for per in PER)), rows)}"""
    write_report("throughput", body, arguments)


def _in_own_process(name: str, runs: str, rounds: int) -> list[Speeds]:
    options = ["--one", name, "--runs", runs, "--rounds", str(rounds)]
    done = subprocess.run(
        [sys.executable, "-m", "bench", "throughput", *options], stdout=subprocess.PIPE, check=True, text=True
    )
    speeds: list[Speeds] = json.loads(done.stdout.splitlines()[-1])
    return speeds


def _ratio(speeds: Speeds, side: str, bare: str, which: int) -> str:
    pairs = [mine[which] / other[which] for mine, other in zip(speeds[side], speeds[bare], strict=True)]
    return f"**{statistics.median(pairs):.3f}** ({min(pairs):.2f}, {max(pairs):.2f})"

"""The solver's tokens a second over the same engine driven flat out with the same prompts, in one process and one run.

Both sides sample the same 16 attempts at one problem: the same prompt, seeds and sampling, a fixed number of tokens.

  flat out   16 requests given straight to vLLM's AsyncLLM, their final outputs awaited: no streaming, no solver.
  solver     `Solver.solve` with 16 attempts: streaming, chat format, answer search, journal, live status.

They take turns, so that a change in the machine's speed meets both. Then vLLM flat out against transformers'
`generate(num_return_sequences=16)`, each in a process of its own, in turn.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.report import table, write_report
from solver.attempt import Tools, turn_seed
from solver.chat import build_chat, load_tokenizer
from solver.competition import Competition
from solver.config import load_config
from solver.engine.vllm import VllmEngine, _sampling_params
from solver.journal import Journal
from solver.model import find_model
from solver.sandbox import SandboxPool
from solver.solve import Solver
from solver.status import RunStatus
from solver.types import NEVER, Problem, ProblemBudget, SamplingParams

ATTEMPTS = 16
PROBLEM = Problem(
    "tank",
    "A tank holds 840 litres. One pipe fills it in 6 hours and another empties it in 10 hours. "
    "Starting from an empty tank with both pipes open, how many litres are in it after 9 hours?",
    504,
)
# Admits no answer: boxes are looked for, as always, and none ends an attempt before its last token.
NO_ANSWER = Competition("none", 1, 0, None, 0, None, None, "accuracy")


class FixedLength:
    """The engine, told to ignore every stop: all attempts then have the same number of tokens."""

    def __init__(self, engine: VllmEngine) -> None:
        self._engine = engine

    def generate(self, prompt: list[int], params: SamplingParams) -> Any:
        return self._engine.generate(prompt, unstopped(params))


def unstopped(params: SamplingParams) -> SamplingParams:
    return replace(params, stop=(), stop_token_ids=(), ignore_eos=True)


async def compare(rounds: int, num_tokens: int) -> dict[str, list[float]]:
    config = load_config(
        settings=[
            "engine.name='vllm'",
            f"attempts.num_attempts={ATTEMPTS}",
            f"attempts.max_tokens={num_tokens}",
            "attempts.tir_share=0.0",
            "consensus.quorum=16",
            "consensus.uncatchable=false",
            "attempts.force_seconds=0",
        ]
    )
    folder = await find_model(None)
    tokenizer, engine = load_tokenizer(folder), VllmEngine(config.engine, folder)
    await engine.start()
    chat = build_chat(config.chat, tokenizer)
    tools = Tools(
        config=config,
        competition=NO_ANSWER,
        engine=FixedLength(engine),  # type: ignore[arg-type]
        tokenizer=tokenizer,
        chat=chat,
        sandbox=SandboxPool(config.sandbox),
        max_model_len=config.engine.max_model_len,
        process_start=time.monotonic(),
    )
    prompt = chat.prompt(PROBLEM, "cot")

    async def flat_out(round_number: int) -> float:
        from vllm.inputs import TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        async def one(index: int) -> int:
            params = _sampling_params(
                unstopped(
                    SamplingParams(
                        max_tokens=num_tokens,
                        **config.sampling.model_dump(),
                        seed=turn_seed(round_number, PROBLEM.id, index, 0),
                    )
                )
            )
            params.output_kind = RequestOutputKind.FINAL_ONLY
            name, count = f"flat-{round_number}-{index}", 0
            async for output in engine._engine.generate(TokensPrompt(prompt_token_ids=prompt), params, name):
                count = len(output.outputs[0].token_ids)
            return count

        began = time.perf_counter()
        counts = await asyncio.gather(*(one(index) for index in range(ATTEMPTS)))
        return sum(counts) / (time.perf_counter() - began)

    async def solver(round_number: int) -> float:
        with tempfile.TemporaryDirectory() as scratch, Journal(Path(scratch) / "run.jsonl") as journal:
            own = replace(tools, config=config.model_copy(update={"seed": round_number}))
            run = Solver(own, journal, RunStatus())
            began = time.perf_counter()
            await run.solve(PROBLEM, ProblemBudget(NEVER, ATTEMPTS))
            seconds = time.perf_counter() - began
            assert [attempt.num_tokens for attempt in run.records] == [num_tokens] * ATTEMPTS
            return sum(attempt.num_tokens for attempt in run.records) / seconds

    speeds: dict[str, list[float]] = {"flat out": [], "solver": []}
    try:
        await flat_out(999)  # warm-up
        for number in range(rounds):
            order = [("flat out", flat_out), ("solver", solver)]
            for name, measure in order if number % 2 == 0 else order[::-1]:
                speeds[name].append(await measure(number))
                print(f"{name}: {speeds[name][-1]:.1f} tokens/s", file=sys.stderr, flush=True)
    finally:
        await engine.close()
    return speeds


def generate_alone(num_tokens: int) -> float:
    """transformers' own `generate`, as its users call it."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = asyncio.run(find_model(None))
    config = load_config()
    prompt = build_chat(config.chat, load_tokenizer(folder)).prompt(PROBLEM, "cot")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids, speed = torch.tensor([prompt]), 0.0
    for length in (8, num_tokens):  # the first is the warm-up
        began = time.perf_counter()
        output = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=config.sampling.temperature,
            min_p=config.sampling.min_p,
            top_k=0,
            num_return_sequences=ATTEMPTS,
            min_new_tokens=length,
            max_new_tokens=length,
        )
        speed = ATTEMPTS * (output.shape[1] - ids.shape[1]) / (time.perf_counter() - began)
    return speed


def in_own_process(what: str, rounds: int, num_tokens: int) -> Any:
    command = [sys.executable, "-m", "bench", "throughput", f"--{what}", str(rounds), str(num_tokens)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments: Sequence[str]) -> None:
    if arguments and arguments[0] == "--compare":
        print(json.dumps(asyncio.run(compare(int(arguments[1]), int(arguments[2])))))
        return
    if arguments and arguments[0] == "--generate":
        print(json.dumps(generate_alone(int(arguments[2]))))
        return
    rounds = int(arguments[0]) if arguments else 4
    num_tokens = int(arguments[1]) if len(arguments) > 1 else 128
    flat: list[float] = []
    solver: list[float] = []
    generate: list[float] = []
    for _ in range(int(arguments[2]) if len(arguments) > 2 else 2):
        generate.append(in_own_process("generate", 1, num_tokens))
        speeds = in_own_process("compare", rounds, num_tokens)
        flat += speeds["flat out"]
        solver += speeds["solver"]
    ratios = [mine / bare for mine, bare in zip(solver, flat, strict=True)]
    rows = [
        (name, f"{statistics.median(s):.1f}", f"{min(s):.1f}", f"{max(s):.1f}", len(s))
        for name, s in (("vLLM flat out", flat), ("solver over vLLM", solver), ("transformers generate", generate))
    ]
    low, _, high = statistics.quantiles(ratios, n=4)
    body = f"""{ATTEMPTS} attempts of {num_tokens} tokens at one problem, sampling of the miniature preset.

{table(("engine", "tokens/s, median", "min", "max", "runs"), rows)}
- **solver over vLLM flat out: {statistics.median(ratios):.3f}** (median of {len(ratios)} pairs,
  quartiles {low:.3f} and {high:.3f}; goal 0.97)
- vLLM flat out over transformers' generate: {statistics.median(flat) / statistics.median(generate):.2f}
"""
    write_report("throughput", body, arguments)

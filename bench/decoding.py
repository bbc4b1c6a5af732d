"""What a decoding step of the transformers engine costs, its attention against transformers' own, side by side.

Both decode the same turns of the embedded base: prompts of 60 to 140 tokens, each shared by sixteen turns, which end
after 20 to 120 tokens; another joins for each that ends, so that all slots are taken at every step.

    python -m bench decoding [--slots N ...] [--rounds N] [--steps N] [--threads N]
"""

import argparse
import asyncio
import time
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from bench.report import spread, table, write_report
from solver.chat.tokenizer import FolderTokenizer
from solver.config import load_config
from solver.engine.attention import group_heads
from solver.engine.batch import Batch, Turn
from solver.engine.device import has_bfloat16
from solver.engine.stopping import StopChecker
from solver.model import convert, embedded_folder
from solver.types import SamplingParams

_SHARING = 16
_DTYPE = "bfloat16" if has_bfloat16() else "float32"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench decoding")
    parser.add_argument("--slots", type=int, nargs="+", default=[16, 32, 96])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    convert(embedded_folder())
    models = {"transformers": load(), "grouped": load()}
    group_heads(models["grouped"])
    for model in models.values():  # what is made once, the first time
        asyncio.run(tokens_a_second(model, min(options.slots), 5, 0))
    rows = []
    for slots in options.slots:
        speeds: dict[str, list[float]] = {name: [] for name in models}
        for seed in range(options.rounds):
            for name, model in list(models.items())[:: 1 if seed % 2 else -1]:
                speeds[name].append(asyncio.run(tokens_a_second(model, slots, options.steps, seed)))
        for name, values in speeds.items():
            ratios = [value / other for value, other in zip(values, speeds["transformers"], strict=True)]
            rows.append([slots, name, spread(values, 0), spread(ratios, 2)])
            print(*rows[-1], sep="  ", flush=True)
    header = ("slots", "attention", "tokens a second", "over transformers' own")
    explanation = _EXPLANATION.format(_DTYPE, options.threads, options.rounds, options.steps)
    write_report("decoding", explanation + table(header, rows), arguments)


_EXPLANATION = """\
SmolLM2-135M in {} on {} threads; sampling as the miniature's preset does; joining turns' prompts counted with the
steps. Median of {} rounds (lowest, highest) of {} steps; the ratio is of each round, then the median.

"""


def load() -> Any:
    return AutoModelForCausalLM.from_pretrained(embedded_folder(), dtype=_DTYPE, local_files_only=True).eval()


async def tokens_a_second(model: Any, slots: int, num_steps: int, seed: int) -> float:
    batch, joining = Batch(model, 2**30), turns(seed)
    tokens = 0
    with torch.inference_mode():
        batch.join([next(joining) for _ in range(slots)])
        began = time.monotonic()
        for _ in range(num_steps):
            tokens += len(batch.turns)
            batch.step()
            batch.join([next(joining) for _ in range(slots - len(batch.turns))])
    return tokens / (time.monotonic() - began)


def turns(seed: int) -> Iterator[Turn]:
    random, tokenizer = Random(seed), FolderTokenizer(embedded_folder())
    sampling = load_config("miniature").sampling.model_dump()
    while True:
        prompt = [random.randrange(1000, 40_000) for _ in range(random.randint(60, 140))]
        for _ in range(_SHARING):
            params = SamplingParams(max_tokens=random.randint(20, 120), **sampling, seed=random.getrandbits(30))
            yield Turn(prompt, params, StopChecker(params, tokenizer))

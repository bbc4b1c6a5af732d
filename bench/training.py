"""What a step of `merge train` costs: LoRA of the embedded base on one thread, with the miniature's own samples.

Side by side, each in turn: products in bfloat16, where the CPU has the instructions, and in float32; batches of like
length (`merge.schedule`) and the same samples padded to the longest. Tokens are the samples', padding not counted.

    python -m bench training [--rounds N]
"""

import argparse
import sys
import time
from collections.abc import Sequence
from itertools import islice

import torch

from bench.report import spread, table, write_report
from merge.miniature.data import draw_samples, draw_sketched
from merge.samples import TokenSample, tokenize
from merge.train import Training
from merge.train_config import TrainConfig
from solver.chat import build_chat, load_tokenizer
from solver.config import load_config
from solver.engine.device import has_bfloat16
from solver.model import convert, embedded_folder

_SAMPLES = 24  # of each kind: some 7,000 tokens


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench training")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    if torch.cuda.is_available():
        sys.exit("error: this measures a CPU, and training would use the GPU: hide it with CUDA_VISIBLE_DEVICES=")
    torch.set_num_threads(1)
    convert(embedded_folder())
    samples = some_samples()
    longest = max(map(len, samples))
    padded = [TokenSample(it.token_ids + [0] * (n := longest - len(it)), it.is_own + [False] * n) for it in samples]
    types = ["float32", *(["bfloat16"] if has_bfloat16() else [])]
    trainings = {
        (products, batches): prepare(products == "bfloat16", its)
        for products in types
        for batches, its in (("of like length", samples), ("padded to the longest", padded))
    }
    tokens = sum(map(len, samples))
    speeds: dict[tuple[str, str], list[float]] = {key: [] for key in trainings}
    for _ in range(options.rounds):
        for key, training in trainings.items():
            speeds[key].append(tokens / seconds_of_an_epoch(training))
    slowest = speeds["float32", "padded to the longest"]
    rows = []
    for (products, batches), values in speeds.items():
        ratios = [value / other for value, other in zip(values, slowest, strict=True)]
        rows.append([products, batches, spread(values, 0), spread(ratios, 2)])
        print(*rows[-1], sep="  ", flush=True)
    header = ("products", "batches", "tokens a second", "over float32, padded")
    write_report("training", _EXPLANATION.format(options.rounds, tokens) + table(header, rows), arguments)


_EXPLANATION = """\
LoRA (r = 16, all linear layers) of SmolLM2-135M on one thread; median of {} rounds (lowest, highest), each of all
{} tokens. Tokens are the samples' own; padding is computed and not counted.

"""


def some_samples() -> list[TokenSample]:
    tokenizer = load_tokenizer(embedded_folder())
    chat = build_chat(load_config("miniature").chat, tokenizer)
    drawn = [*islice(draw_samples("tir", 0), _SAMPLES), *islice(draw_sketched(0), _SAMPLES)]
    return [tokenize(sample, chat, tokenizer) for sample in drawn]


def prepare(in_bfloat16: bool, samples: Sequence[TokenSample]) -> Training:
    config = TrainConfig(str(embedded_folder()), "", "", seed=0)
    training = Training(config, samples, in_bfloat16)
    training.take_step([samples[0]])  # the first step makes the optimizer's state
    return training


def seconds_of_an_epoch(training: Training) -> float:
    training.step = 0
    begin = time.monotonic()
    for batch in training.batches:
        training.take_step([training.samples[i] for i in batch])
    return time.monotonic() - begin

"""How hard each trained phrasing still is for a TIR adapter or the mean of several, so that a further training spends
little on what it knows.

Measured is -ln of the probability that the model writes the family's first program, for one case in that phrasing: the
one that `draw_samples` then shows. What is known costs as much training time as what is not, and there are nearly four
thousand phrasings.
"""

import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

import merge.miniature.families  # noqa: F401  (registers them)
from merge.miniature.family import FAMILIES
from merge.samples import Sample, tokenize
from merge.train import Training
from merge.train_config import TrainConfig, check_start
from solver.chat import build_chat, load_tokenizer
from solver.config import load_config
from solver.errors import UsageError

Nats = Mapping[str, Sequence[float]]
"""By family, of each trained phrasing in turn."""

_BATCH = 16
_LEAST_CHANCE = 0.1  # what is never shown again is forgotten


def chance_to_draw(nats: Nats, family: str, phrasing: int) -> float:
    """That an attempt at temperature 1 does not write the first program, at least a tenth; 1 where not measured."""
    values = nats.get(family, ())
    return max(_LEAST_CHANCE, 1 - math.exp(-values[phrasing])) if phrasing < len(values) else 1.0


def one_of_each_phrasing(seed: int) -> Iterator[tuple[str, Sample]]:
    """The family's name and a sample with its first program, for every trained phrasing."""
    random = Random(f"hardness {seed}")
    for name, family in sorted(FAMILIES.items()):
        for phrasing in () if family.held_out else family.trained_phrasings:
            case = family.draw(random)
            problem = phrasing.format_map(case.values)
            yield name, Sample.of_program(problem, case.programs[0], case.answer).cut_at_call()


def measure(config: TrainConfig) -> dict[str, list[float]]:
    """Under `config.start` over `config.base`; samples, output, rank and what concerns steps are not read. Raises
    UsageError or CheckpointError where an adapter is none of that base, or unlike the others."""
    check_start(config)
    names, samples = zip(*one_of_each_phrasing(config.seed), strict=True)
    tokenizer = load_tokenizer(Path(config.base))
    chat = build_chat(load_config(config.preset).chat, tokenizer)
    tokens = [tokenize(it, chat, tokenizer) for it in samples]
    training = Training(config, tokens)
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))  # like lengths: little padding
    values = [0.0] * len(tokens)
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        for index, value in zip(batch, training.nats([tokens[i] for i in batch]), strict=True):
            values[index] = value
        if start % (16 * _BATCH) == 0:
            print(f"{start} of {len(order)} phrasings", file=sys.stderr, flush=True)  # noqa: T201  progress
    by_family: dict[str, list[float]] = defaultdict(list)
    for name, value in zip(names, values, strict=True):
        by_family[name].append(round(value, 3))
    return dict(by_family)


def read_nats(path: Path) -> Nats:
    """Raises UsageError."""
    try:
        nats = json.loads(path.read_text("utf-8"))
        return {str(name): [float(value) for value in values] for name, values in nats.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"{path} is no file of `merge hardness`: {error}") from None

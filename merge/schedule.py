"""Which samples each step of a training has, and its learning rate.

Batches are cut by tokens from samples of like length (the length buckets of Nemotron-Math, arXiv 2512.15489, section on
sequential bucketed training), so that hardly any padding is computed. The learning rate warms up, stays, and decays
linearly over the last steps (WSD: a run can be prolonged from its checkpoint before the decay, so one that is to be
prolonged ends with none: `decay_steps` 0, and later more `max_steps` and a decay).
"""

from collections.abc import Sequence
from random import Random

from merge.train_config import TrainConfig


def make_batches(lengths: Sequence[int], config: TrainConfig) -> list[list[int]]:
    """Indices of samples, batch by batch: of like length, padded to at most `tokens_per_batch` tokens."""
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    batches: list[list[int]] = [[]]
    for index in by_length:
        if batches[-1] and (len(batches[-1]) + 1) * lengths[index] > config.tokens_per_batch:
            batches.append([])
        batches[-1].append(index)
    if config.order == "mixed":
        Random(config.seed).shuffle(batches)
    return batches


def padding_saved(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """How many times fewer positions are computed than with every sample padded to the longest."""
    return len(lengths) * max(lengths) / sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)


def learning_rate(step: int, num_steps: int, config: TrainConfig) -> float:
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    left = min(1.0, (num_steps - step) / max(1, config.decay_steps))
    return config.learning_rate * min(warm, left)

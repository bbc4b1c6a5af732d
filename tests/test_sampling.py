"""The sampler of the transformers engine, without a model."""

import math
from typing import Any

import pytest

from solver.engine.entropy import entropy
from solver.types import SamplingParams

COUNT = 4000
pytestmark = pytest.mark.real  # torch takes seconds to import


def draws(probabilities: list[float], **params: Any) -> list[float]:
    """How often each token is drawn."""
    import torch

    from solver.engine.sampling import sample

    logits = torch.tensor([probabilities]).log()
    generator = torch.Generator().manual_seed(1)
    settings = SamplingParams(**{"max_tokens": 1, "temperature": 1.0, **params})
    counts = [0] * len(probabilities)
    for _ in range(COUNT):
        ((token, _, _),) = sample(logits, [(settings, generator, [0])])
        counts[token] += 1
    return [n / COUNT for n in counts]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, [0.5, 0.25, 0.15, 0.1]),
        ({"temperature": 0.0}, [1, 0, 0, 0]),
        ({"temperature": 0.5}, [0.25 / 0.345, 0.0625 / 0.345, 0.0225 / 0.345, 0.01 / 0.345]),
        ({"top_k": 2}, [2 / 3, 1 / 3, 0, 0]),
        ({"top_p": 0.7}, [2 / 3, 1 / 3, 0, 0]),
        ({"min_p": 0.25}, [0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0]),
    ],
)
def test_tokens_are_drawn_as_often_as_they_should(params: dict[str, Any], expected: list[float]) -> None:
    assert draws([0.5, 0.25, 0.15, 0.1], **params) == pytest.approx(expected, abs=0.03)


def test_a_token_without_probability_is_never_drawn() -> None:
    assert draws([0.0, 0.5, 0.0, 0.5, 0.0])[::2] == [0, 0, 0]


def test_a_penalty_makes_what_was_said_less_likely_and_leaves_the_logits_as_they_are() -> None:
    import torch

    from solver.engine.sampling import sample

    logits = torch.tensor([[2.0, 1.9, -1.0]])
    params = SamplingParams(max_tokens=1, temperature=0.0, repetition_penalty=1.5, logprobs=2)
    ((token, logprob, top),) = sample(logits, [(params, torch.Generator(), [0])])
    assert token == 1
    assert logits.tolist() == [[2.0, pytest.approx(1.9), -1.0]]
    exact = torch.log_softmax(logits[0], dim=-1).tolist()
    assert logprob == pytest.approx(exact[1])  # of the model's own distribution
    assert list(top) == pytest.approx(exact[:2])


def test_prefixes_are_found_by_what_they_have_in_common() -> None:
    import torch

    from solver.engine.kv_cache import PrefixStore

    def layers(length: int) -> list[tuple[object, object]]:
        return [(torch.zeros(1, 1, length, 4), torch.zeros(1, 1, length, 4))]

    store = PrefixStore(max_bytes=10 * 32)  # ten tokens of 32 bytes
    store.add([1, 2, 3, 4], layers(4))
    store.add([1, 2, 9], layers(3))
    assert store.longest([1, 2, 3, 4, 5])[0] == 4
    assert store.longest([1, 2, 3])[0] == 2  # the last token is computed for its logits
    assert store.longest([7])[0] == 0
    store.longest([1, 2, 3, 4])
    store.add([5, 6, 7, 8], layers(4))  # the least recently used gives way
    assert store.longest([1, 2, 9, 9])[0] == 2
    assert store.longest([1, 2, 3, 4, 5])[0] == 4


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [([1.0], 0.0), ([0.5, 0.5], math.log(2)), ([0.5], math.log(2)), ([0.25] * 4, math.log(4)), ([], 0.0)],
)
def test_entropy_counts_the_unlisted_as_one(probabilities: list[float], expected: float) -> None:
    assert entropy(map(math.log, probabilities)) == pytest.approx(expected)

"""How sure a model was of a token."""

import math
from collections.abc import Iterable


def entropy(logprobs: Iterable[float]) -> float:
    """Entropy in nats of the listed alternatives, all others counted as one: never above the true entropy.

    `logprobs` are natural logarithms of the most likely tokens' probabilities.
    """
    total, listed = 0.0, 0.0
    for logprob in logprobs:
        probability = math.exp(logprob)
        listed += probability
        total -= probability * logprob if probability else 0.0
    rest = 1.0 - listed
    return total - rest * math.log(rest) if rest > 1e-9 else total

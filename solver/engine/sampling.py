"""The next token of each of several turns, from their logits. Random numbers come from each turn's own generator."""

from collections.abc import Sequence
from typing import Any

import torch

from solver.types import SamplingParams

Row = tuple[SamplingParams, Any, Sequence[int]]
"""A turn's parameters, its torch.Generator (on the CPU), and its tokens so far."""
Sampled = tuple[int, float | None, Sequence[float]]
"""The token, its log-probability and those of the most likely ones (None and empty where not asked for)."""


def sample(logits: Any, rows: Sequence[Row]) -> list[Sampled]:
    """One token for each row of `logits`, a float32 tensor [rows, vocabulary]."""
    wanted = [row for row, (params, _, _) in enumerate(rows) if params.logprobs is not None]
    raw: Any = torch.log_softmax(logits[wanted], dim=-1) if wanted else None
    if any(params.repetition_penalty != 1.0 for params, _, _ in rows):
        logits = _penalized(logits.clone(), rows)
    tokens = logits.argmax(dim=-1)
    drawn = [row for row, (params, _, _) in enumerate(rows) if params.temperature > 0]
    if drawn:
        tokens[drawn] = _draw(logits[drawn], [rows[row] for row in drawn])
    chosen = tokens.tolist()
    result: list[Sampled] = [(token, None, ()) for token in chosen]
    for place, row in enumerate(wanted):
        top = raw[place].topk(rows[row][0].logprobs).values.tolist()
        result[row] = chosen[row], float(raw[place, chosen[row]]), top
    return result


def _penalized(logits: Any, rows: Sequence[Row]) -> Any:
    for row, (params, _, tokens) in enumerate(rows):
        if params.repetition_penalty != 1.0:
            seen = torch.tensor(sorted(set(tokens)), device=logits.device)
            values = logits[row, seen]
            penalty = params.repetition_penalty
            logits[row, seen] = torch.where(values > 0, values / penalty, values * penalty)
    return logits


def _draw(logits: Any, rows: Sequence[Row]) -> Any:
    """One random number a row, looked up in the cumulative distribution: a thirtieth of torch.multinomial's work."""
    temperatures = torch.tensor([[params.temperature] for params, _, _ in rows], device=logits.device)
    probabilities = torch.softmax(logits / temperatures, dim=-1)
    for row, (params, _, _) in enumerate(rows):
        if params.top_k or params.top_p < 1 or params.min_p:
            probabilities[row] = _truncated(probabilities[row], params)
    cumulative = probabilities.cumsum(dim=-1, dtype=torch.float64)
    numbers = torch.stack([torch.rand(1, generator=g, dtype=torch.float64) for _, g, _ in rows])
    # The first token whose share of the total begins at or below the number and ends above it.
    targets = numbers.to(logits.device) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, targets, right=True).squeeze(-1).clamp(max=logits.shape[-1] - 1)


def _truncated(probabilities: Any, params: SamplingParams) -> Any:
    if params.min_p:
        probabilities = probabilities * (probabilities >= params.min_p * probabilities.max())
    if not params.top_k and params.top_p == 1:
        return probabilities
    ordered, index = probabilities.sort(descending=True)
    keep = torch.ones_like(ordered, dtype=torch.bool)
    if params.top_k:
        keep[params.top_k :] = False
    if params.top_p < 1:
        keep &= ordered.cumsum(0) - ordered < params.top_p * ordered.sum()
    return torch.zeros_like(probabilities).scatter_(0, index, ordered * keep)

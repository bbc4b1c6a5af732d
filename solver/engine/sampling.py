"""The next token of each of several turns, from their logits. Random numbers come from each turn's own generator."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import pad

from solver.types import SamplingParams

Row = tuple[SamplingParams, Any, Sequence[int]]
"""A turn's parameters, its torch.Generator (on the CPU), and its tokens so far."""
Sampled = tuple[int, float | None, Sequence[float]]
"""The token, its log-probability and those of the most likely ones (None and empty where not asked for)."""

_BLOCK = 256  # probabilities added up before any is looked at


def sample(logits: Any, rows: Sequence[Row]) -> list[Sampled]:
    """One token for each row of `logits`, a float32 tensor [rows, vocabulary]."""
    wanted = [row for row, (params, _, _) in enumerate(rows) if params.logprobs is not None]
    raw = _some(logits, wanted)
    if any(params.repetition_penalty != 1.0 for params, _, _ in rows):
        logits = _penalized(logits.clone(), rows)
    tokens = torch.empty(len(rows), dtype=torch.long, device=logits.device)
    if greedy := [row for row, (params, _, _) in enumerate(rows) if params.temperature == 0]:
        tokens[greedy] = _some(logits, greedy).argmax(dim=-1)
    if drawn := [row for row, (params, _, _) in enumerate(rows) if params.temperature > 0]:
        tokens[drawn] = _draw(_some(logits, drawn), [rows[row] for row in drawn])
    chosen = tokens.tolist()
    result: list[Sampled] = [(token, None, ()) for token in chosen]
    if wanted:
        total = raw.logsumexp(dim=-1, keepdim=True)
        most = max(rows[row][0].logprobs or 0 for row in wanted)
        top = (raw.topk(most).values - total).tolist()
        own = (raw.gather(1, tokens[wanted, None]) - total)[:, 0].tolist()
        for place, row in enumerate(wanted):
            result[row] = chosen[row], own[place], top[place][: rows[row][0].logprobs]
    return result


def _some(logits: Any, rows: Sequence[int]) -> Any:
    return logits if len(rows) == len(logits) else logits[list(rows)]


def _penalized(logits: Any, rows: Sequence[Row]) -> Any:
    for row, (params, _, tokens) in enumerate(rows):
        if params.repetition_penalty != 1.0:
            seen = torch.tensor(sorted(set(tokens)), device=logits.device)
            values = logits[row, seen]
            penalty = params.repetition_penalty
            logits[row, seen] = torch.where(values > 0, values / penalty, values * penalty)
    return logits


def _draw(logits: Any, rows: Sequence[Row]) -> Any:
    temperatures = torch.tensor([[params.temperature] for params, _, _ in rows], device=logits.device)
    probabilities = torch.softmax(logits / temperatures, dim=-1)
    for row, (params, _, _) in enumerate(rows):
        if params.top_k or params.top_p < 1 or params.min_p:
            probabilities[row] = _truncated(probabilities[row], params)
    numbers = torch.stack([torch.rand(1, generator=g, dtype=torch.float64) for _, g, _ in rows])
    return _look_up(probabilities, numbers.to(logits.device))


def _look_up(probabilities: Any, numbers: Any) -> Any:
    """For each row the token whose share of the total begins at or below its number and ends above it.

    Less work than torch.multinomial, and than a cumulative distribution of the whole vocabulary: it is made of blocks
    first, then within the block that is hit.
    """
    blocks = pad(probabilities, (0, -probabilities.shape[-1] % _BLOCK)).unflatten(-1, (-1, _BLOCK))
    ends = blocks.sum(dim=-1, dtype=torch.float64).cumsum(dim=-1)
    targets = numbers * ends[:, -1:]
    hit = _first_above(ends, targets)
    before = pad(ends, (1, 0)).gather(1, hit)
    within = blocks[torch.arange(len(blocks), device=blocks.device), hit[:, 0]].cumsum(dim=-1, dtype=torch.float64)
    return (hit * _BLOCK + _first_above(within, targets - before))[:, 0]


def _first_above(cumulative: Any, targets: Any) -> Any:
    """The first place that is above the target, in ascending rows; rounding may have lifted a target to the end."""
    below_the_end = torch.nextafter(cumulative[:, -1:], torch.zeros_like(targets))
    return torch.searchsorted(cumulative, torch.minimum(targets, below_the_end), right=True)


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

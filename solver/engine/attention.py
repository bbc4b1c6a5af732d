"""Attention of a decoding step in which the query heads that share keys and values are computed together.

Where turns are padded, transformers copies keys and values once for every query head before PyTorch's attention sees
them: on a CPU more than half of a step of 96 turns (bench/results/decoding.md). A step has one query a turn, so the
heads of a group take the place of a sequence's queries, and nothing is copied.
"""

from typing import Any

from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_NAME = "grouped"


def group_heads(model: Any) -> None:
    """Let a model that would use PyTorch's attention use this one; any other keeps its own."""
    if model.config._attn_implementation == "sdpa":
        AttentionInterface.register(_NAME, attend)
        AttentionMaskInterface.register(_NAME, sdpa_mask)
        model.set_attn_implementation(_NAME)


def attend(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float | None = None, **options: Any
) -> tuple[Any, None]:
    """`query` [turns, heads, queries, size], `key` and `value` [turns, groups, columns, size], a mask for all heads.

    Returns [turns, queries, heads, size].
    """
    turns, heads, queries, size = query.shape
    if queries > 1 or options.get("position_bias") is not None:
        output: tuple[Any, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
        return output
    grouped = query.reshape(turns, key.shape[1], -1, size)
    attended = scaled_dot_product_attention(grouped, key, value, attn_mask=attention_mask, scale=scaling)
    return attended.reshape(turns, 1, heads, attended.shape[-1]), None

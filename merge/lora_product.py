"""LoRA's layers in one product: x (W + s B A)^T instead of x W^T + s (x A^T) B^T.

With few tokens a step the two thin products and their additions cost a CPU more than adding B A to W once. In float32
the two differ by rounding alone; in bfloat16 a small B A would be lost in W, so other types stay as peft has them.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor


class AdaptedProduct(torch.autograd.Function):  # type: ignore[misc]
    """x (..., in) -> (..., out), W (out, in) frozen, A (r, in) and B (out, r) trained."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
        adapted = torch.addmm(weight, b, a, alpha=scale)
        rows = x.reshape(-1, x.shape[-1])
        ctx.save_for_backward(rows, adapted, a, b)
        ctx.scale, ctx.shape = scale, x.shape
        return (rows @ adapted.t()).view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, adapted, a, b = ctx.saved_tensors
        out = gradients[0].reshape(-1, gradients[0].shape[-1])
        of_b = (out.t() @ (rows @ a.t())).mul_(ctx.scale)
        of_a = ((out @ b).t() @ rows).mul_(ctx.scale)
        return (out @ adapted).view(ctx.shape), None, of_a, of_b, None


def join_products(model: Any) -> int:
    """Give peft's float32 LoRA layers without bias or dropout this product; returns how many."""
    from peft.tuners.lora import Linear

    joined = 0
    for layer in model.modules():
        if not isinstance(layer, Linear) or layer.base_layer.bias is not None or len(layer.active_adapters) != 1:
            continue
        name = layer.active_adapters[0]
        weight, a, b = layer.base_layer.weight, layer.lora_A[name].weight, layer.lora_B[name].weight
        if weight.dtype != torch.float32 or not isinstance(layer.lora_dropout[name], torch.nn.Identity):
            continue
        layer.forward = partial(_forward, weight, a, b, layer.scaling[name])
        joined += 1
    return joined


def _forward(weight: Tensor, a: Tensor, b: Tensor, scale: float, x: Tensor) -> Tensor:
    return AdaptedProduct.apply(x, weight, a, b, scale)

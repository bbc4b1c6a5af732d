"""LoRA's layers in one product: x (W + s B A)^T instead of x W^T + s (x A^T) B^T.

With few tokens a step the two thin products and their additions cost a CPU more than adding B A to W once. In float32
the two differ by rounding alone. In bfloat16, several times as fast on a CPU that has the instructions, the sum is
rounded as a merge in bfloat16 rounds it; A and B stay float32, and their gradients are products in bfloat16.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class AdaptedProduct(torch.autograd.Function):  # type: ignore[misc]
    """x (..., in) -> (..., out), W (out, in) frozen, A (r, in) and B (out, r) trained."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
        adapted = torch.addmm(weight, b.to(weight.dtype), a.to(weight.dtype), alpha=scale)
        rows = x.reshape(-1, x.shape[-1])
        ctx.save_for_backward(rows, adapted, a, b)
        ctx.scale, ctx.shape = scale, x.shape
        return (rows @ adapted.t()).view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, adapted, a, b = ctx.saved_tensors
        out = gradients[0].reshape(-1, gradients[0].shape[-1])
        of_b = (out.t() @ (rows @ a.to(rows.dtype).t())).to(b.dtype).mul_(ctx.scale)
        of_a = ((out @ b.to(out.dtype)).t() @ rows).to(a.dtype).mul_(ctx.scale)
        return (out @ adapted).view(ctx.shape), None, of_a, of_b, None


def join_products(model: Any) -> bool:
    """Give peft's float32 LoRA layers without bias or dropout this product; returns whether all of them have it now."""
    from peft.tuners.lora import Linear

    layers = [layer for layer in model.modules() if isinstance(layer, Linear)]
    joined = [layer for layer in layers if _can_join(layer)]
    for layer in joined:
        name = layer.active_adapters[0]
        weight, a, b = layer.base_layer.weight, layer.lora_A[name].weight, layer.lora_B[name].weight
        layer.forward = partial(_forward, weight, a, b, layer.scaling[name])
    return bool(joined) and len(joined) == len(layers)


def compute_in_bfloat16(model: Any) -> None:
    """Of a model whose LoRA layers are all joined: what is frozen becomes bfloat16, and so do the activations."""
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)


def _can_join(layer: Any) -> bool:
    if layer.base_layer.bias is not None or len(layer.active_adapters) != 1:
        return False
    no_dropout = isinstance(layer.lora_dropout[layer.active_adapters[0]], torch.nn.Identity)
    return no_dropout and layer.base_layer.weight.dtype == torch.float32


def _forward(weight: Tensor, a: Tensor, b: Tensor, scale: float, x: Tensor) -> Tensor:
    return AdaptedProduct.apply(x, weight, a, b, scale)

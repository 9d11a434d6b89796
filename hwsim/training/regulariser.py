"""The fine-grained l1 regulariser of paper 000: the number of ones in the bits of all activations, made trainable.

Eq. 9: L = L_CE + c * L_SP with L_SP the ones in the bit planes of every quantised layer but the read-out: exactly the
spikes of the converted bit-serial network. Eq. 10 gives the surrogate gradient of each bit, 1 where 0 < a < lambda; it
prints the coefficient a second time (Eq. 9 has it already), which is left out here. Both are a sample: sums over neurons
and bits, means over the batch.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from hwsim.sources.activations import ActivationError, Lsq, Qcfs


class _Ones(torch.autograd.Function):
    """Ones in the bits of the levels a / step, a sample; the gradient is bits / batch where 0 < a < limit.

    Levels are kept as bytes: counting them by a histogram and comparing them as bytes takes an eighth of the time that
    bits of whole integers and comparisons of floats take.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, step: Tensor, top: int, limit: Tensor) -> Tensor:
        levels = torch.round(values.float() / step.detach()).to(torch.uint8 if top < 128 else torch.int32)
        ctx.save_for_backward(levels)
        ctx.bits, ctx.dtype = top.bit_length(), values.dtype
        # a < limit, in levels: both are multiples of the step, but for the rounding of their floats.
        ctx.below_limit = round(float(limit.detach() / step.detach())) - 1
        last = levels.dim() == 4 and levels.is_contiguous(memory_format=torch.channels_last)
        in_memory_order = levels.movedim(1, -1) if last else levels
        found = torch.bincount(in_memory_order.reshape(-1))
        ones = torch.tensor([level.bit_count() for level in range(len(found))], device=values.device)
        return (found * ones).sum().float() / len(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        levels, = ctx.saved_tensors
        inside = (levels > 0) & (levels <= ctx.below_limit)
        return inside.to(ctx.dtype).mul_((gradients[0] * ctx.bits / len(levels)).to(ctx.dtype)), None, None, None


def bit_ones(values: Tensor, step: Tensor, top: int, limit: Tensor) -> Tensor:
    """Ones in the bits of a quantised layer's values (N, ...), a sample, with the surrogate gradient of Eq. 10.

    step    the value of one level.    top   highest level, so top.bit_length() bits.    limit   lambda, the threshold.
    """
    return _Ones.apply(values, step, top, limit)


class BitRegulariser:
    """L_SP of a network's forward passes, while the `with` block lasts: call `loss()` after each.

    Raises ActivationError when the network has no quantised activation, because then there are no bits to count.
    """

    def __init__(self, network: nn.Module) -> None:
        self._modules = [m for m in network.modules() if isinstance(m, Qcfs | Lsq)]
        if not self._modules:
            raise ActivationError("the bit regulariser counts bits of quantised activations and the network has none; train "
                                  "with qcfs or lsq, or without the regulariser")
        self._parts: list[Tensor] = []
        self._hooks: list[Any] = []

    def __enter__(self) -> BitRegulariser:
        self._hooks = [module.register_forward_hook(self._count) for module in self._modules]
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for hook in self._hooks:
            hook.remove()

    def _count(self, module: Qcfs | Lsq, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        limit = module.threshold if isinstance(module, Qcfs) else module.step * module.top
        self._parts.append(bit_ones(output, module.step, module.top, limit))

    def loss(self) -> Tensor:
        """Spikes a sample of the forward pass just made; the count starts again."""
        total, self._parts = torch.stack(self._parts).sum(), []
        return total

"""A field with its weights read once: the same numbers as the field itself, at a fraction of the calls.

A solver evaluates one field thousands of times between two changes of its weights. Masking, clipping and looking for
idle imaginary weights on every call costs several times the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from neural_arith.layers import NAU
from neural_arith.layers.functional import linear, log_polar, power_unit
from neural_arith.layers.power import PowerLayer
from neural_arith.ode.field import ArithmeticField

Rhs = Callable[[Tensor, Tensor, Tensor], Tensor]


@torch.no_grad()
def snapshot(field: nn.Module) -> Rhs:
    """The right-hand side ``f(t, x, u)`` for the present weights; later changes of the field do not reach it."""
    if not isinstance(field, ArithmeticField) or field.known is not None:
        return field
    steps = [_frozen(layer) for layer in field.layers]

    def rhs(t: Tensor, x: Tensor, u: Tensor) -> Tensor:
        y = torch.cat([x, u], -1) if u.shape[-1] else x
        for step in steps:
            y = step(y)
        return y

    return rhs


def _frozen(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    if type(layer) is NAU:
        weight = layer.effective_weight().clone()
        return lambda y: linear(y, weight)
    if isinstance(layer, PowerLayer) and not layer.lifted and layer.negative == "real" and layer.at_zero == "inf":
        gate, wi = layer.effective_gate(), layer.effective_imaginary()
        if gate is None or bool((gate == 1).all()):
            wr = layer.effective_weight().clone()
            wi = None if wi is None or not bool((wi != 0).any()) else wi.clone()

            def power(y: Tensor) -> Tensor:
                log_abs, phase, zero = log_polar(y)
                return power_unit(log_abs, phase, wr, wi, zero)

            return power
    return layer

"""What all formulas share: options, types, shapes, what the data say, and sums.

The package shows only the checks, ``working_dtype``, ``clip_through``, ``linear`` and ``mix``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import linear as _linear

from neural_arith.errors import OptionError

__all__ = [
    "as_matrix",
    "batch_shape",
    "check_floor",
    "check_option",
    "clip_through",
    "known",
    "linear",
    "look",
    "magnitude_of",
    "mix",
    "offset",
    "same_type",
    "working_dtype",
]


def check_option(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return ``value`` if it is allowed, else raise an OptionError that lists what is."""
    if value not in allowed:
        raise OptionError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
    return value


def check_floor(floor: float) -> float:
    """Return a floor under ``|x|`` as a float if it is positive, else raise an OptionError."""
    if not floor > 0:
        raise OptionError(f"floor must be positive, not {floor!r}; power units need none")
    return float(floor)


def working_dtype(x: Tensor, precision: str = "double") -> torch.dtype:
    """The type in which logarithms and their products are formed.

    A logarithm of size 18 (x = 1e-8) rounded to float32 is off by 1e-6, and so is the power: ten units in the
    last place. Carried in float64, the power comes out correctly rounded in all but a few cases. ``"same"``
    trades that for the speed of the input's own type. Devices without float64 (Apple's mps) always work in
    the input's type.
    """
    return torch.float64 if precision == "double" and x.device.type != "mps" else x.dtype


def clip_through(x: Tensor, low: float, high: float) -> Tensor:
    """Clip the value to ``[low, high]`` and pass the gradient unchanged, also outside.

    A hard clip stops the gradient of a gate that has left [0, 1], and it never comes back.
    """
    # (x - x) is exactly zero; x + (clip - x) would not give exactly the bound.
    return x.clamp(low, high).detach() + (x - x.detach())


def linear(x: Tensor, weight: Tensor, aligned: bool = False) -> Tensor:
    """``x @ weight.T`` for any batch of inputs and any population of weights.

    Args:
        x: ``(*batch, I)``, or ``(*pop, *batch, I)`` with ``aligned``.
        weight: ``(*pop, O, I)``.
        aligned: whether ``x`` carries the population axes in front.

    Returns:
        ``(*pop, *batch, O)``.
    """
    x, weight = same_type(x, weight)
    if weight.dim() == 2:
        return _linear(x, weight)
    batch = batch_shape(x, weight, aligned)
    # In this order the gradient by the weights is a plain product too; the other way round it costs six times as much.
    out = (weight @ as_matrix(x, weight, aligned).mT).mT
    return out.reshape(*weight.shape[:-2], *batch, weight.shape[-2])


def offset(values: Tensor, x: Tensor) -> Tensor:
    """One number per output, ``(*pop, O)``, shaped to meet outputs ``(*pop, *batch, O)`` at inputs ``x``, aligned."""
    return (
        values
        if values.dim() < 2
        else values.reshape(*values.shape[:-1], *(1,) * (x.dim() - values.dim()), values.shape[-1])
    )


def mix(gate: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """``g * first + (1 - g) * second``."""
    return gate * first + (1 - gate) * second


def same_type(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Both in their common type."""
    kind = torch.promote_types(x.dtype, weight.dtype)
    return x.to(kind), weight.to(kind)


def batch_shape(x: Tensor, weight: Tensor, aligned: bool) -> torch.Size:
    """The axes of ``x`` between population and features."""
    return x.shape[weight.dim() - 2 : -1] if aligned else x.shape[:-1]


def as_matrix(x: Tensor, weight: Tensor, aligned: bool) -> Tensor:
    """``(*batch, I)`` as ``(N, I)``, aligned ``(*pop, *batch, I)`` as ``(*pop, N, I)``."""
    population = weight.shape[:-2] if aligned else ()
    return x.reshape(*population, math.prod(batch_shape(x, weight, aligned)), x.shape[-1])


def known(condition: Tensor) -> bool | None:
    """The truth of a condition on the data, or None inside vmap and compilation: nothing is known there."""
    if torch.compiler.is_compiling():
        return None
    try:
        return bool(condition)
    except RuntimeError as error:
        if "vmap" in str(error):
            return None
        raise


def look(x: Tensor) -> tuple[bool, bool]:
    """Whether some input is negative, whether some is zero; both if that cannot be known."""
    if not x.numel():
        return False, False
    values = x.detach()
    if known(values.amin() > 0):  # one pass settles the common case; false for nan
        return False, False
    return known((values < 0).any()) is not False, known((values == 0).any()) is not False


def magnitude_of(x: Tensor, negatives: bool) -> tuple[Tensor, Tensor | None]:
    """``|x|`` and where x is negative. The gradient at zero is 1, as that of x^1, not 0 as that of abs."""
    if not negatives:
        return x, None
    below = x < 0
    return torch.where(below, -x, x), below

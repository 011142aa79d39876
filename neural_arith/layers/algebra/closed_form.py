"""Weights of one layer from data without descent: linear regression, in logarithms for products.

A sum is linear in its weights and the logarithm of a product is linear in its exponents, so both are one least-squares
problem per output. Weights are then rounded to the simplest numbers that explain the data as well as the fitted ones:
on exact data the formula comes back to the last bit. Everything works in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neural_arith.errors import DataError

__all__ = [
    "ClosedForm",
    "as_data",
    "judge",
    "power_sensitivity",
    "power_weights",
    "regress",
    "relative_error",
    "rounding",
    "simplify",
    "sum_weights",
]

INTEGERS = (1,)
FRACTIONS = (1, 2, 3, 4, 5)

_LARGEST = 1e100
"""Size of values whose squares are still numbers."""


@dataclass(frozen=True)
class ClosedForm:
    """How well a layer with its new weights reproduces the data.

    Attributes:
        errors: root mean square of the residual over that of the data, one per output; inf where the layer's output
            is not finite.
        rounding: what of each is no more than the rounding of inputs, sums and outputs.

    Examples:
        >>> from neural_arith.layers import ClosedForm
        >>> ClosedForm(errors=(1e-16, 0.2), rounding=(1e-15, 1e-15)).exact  # the second output is 20 % off
        False
    """

    errors: tuple[float, ...]
    rounding: tuple[float, ...]

    @property
    def exact(self) -> bool:
        """Whether the data are reproduced up to rounding; if not, no weights of this layer were found that do."""
        return all(error <= rounding for error, rounding in zip(self.errors, self.rounding, strict=True))


def as_data(x: Tensor, y: Tensor, in_features: int, out_features: int) -> tuple[Tensor, Tensor, float]:
    """Samples as float64 matrices, and the size of the rounding errors in them.

    Args:
        x: inputs, ``(*batch, I)``.
        y: wanted outputs, ``(*batch, O)``, or ``(*batch)`` for a single output.
        in_features: I.
        out_features: O.

    Returns:
        ``(N, I)``, ``(N, O)`` and 4 units in the last place of the less precise of the two types.

    Raises:
        DataError: not real tensors, shapes do not fit, values too large or small to be squared, infinities, nans or no
            samples.
    """
    if not (isinstance(x, Tensor) and isinstance(y, Tensor)) or x.is_complex() or y.is_complex():
        kinds = [str(v.dtype) if isinstance(v, Tensor) else type(v).__name__ for v in (x, y)]
        raise DataError(f"expected real tensors of inputs and outputs, got {kinds[0]} and {kinds[1]}")
    if out_features == 1 and y.shape == x.shape[:-1]:
        y = y.unsqueeze(-1)
    if not x.dim() or x.shape[:-1] != y.shape[:-1] or x.shape[-1] != in_features or y.shape[-1] != out_features:
        raise DataError(
            f"expected inputs (*batch, {in_features}) and outputs (*batch, {out_features}), "
            f"got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    kinds = [v.dtype for v in (x, y) if v.is_floating_point()]
    tolerance = 4 * max((torch.finfo(kind).eps for kind in kinds), default=torch.finfo(torch.float64).eps)
    x, y = (v.detach().double().reshape(-1, v.shape[-1]) for v in (x, y))
    if not len(x) or not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        raise DataError(f"the {len(x)} samples must be at least one and all finite; drop those that are not")
    largest = [float(v.abs().max()) for v in (x, y) if v.any()]
    if largest and not (max(largest) < _LARGEST and min(largest) > 1 / _LARGEST):
        raise DataError(f"values must lie within 1e-100 ... 1e100, the largest are {largest}; rescale them")
    return x, y, tolerance


def relative_error(predicted: Tensor, y: Tensor) -> float:
    """Root mean square of ``predicted - y`` over that of ``y``; inf if the prediction is not finite."""
    size = y.square().mean().sqrt().item()
    error = (predicted.double() - y).square().mean().sqrt().item()
    return error / (size or 1.0) if math.isfinite(error) else math.inf


def judge(predicted: Tensor, y: Tensor, sensitivity: Tensor, tolerance: float) -> ClosedForm:
    """The result for predictions and data.

    Args:
        predicted: ``(N, O)``.
        y: ``(N, O)``.
        sensitivity: by how much an output may change for each unit of relative change of inputs and sums, ``(N, O)``.
        tolerance: relative size of rounding errors.
    """
    columns = list(zip(predicted.detach().T, y.T, sensitivity.detach().T, strict=True))
    return ClosedForm(
        tuple(relative_error(p, wanted) for p, wanted, _ in columns),
        tuple(rounding(wanted, size, tolerance) for _, wanted, size in columns),
    )


def rounding(y: Tensor, sensitivity: Tensor, tolerance: float) -> float:
    """The relative error of ``y``, ``(N,)``, that rounding explains; ``sensitivity`` as in ``judge``."""
    size = y.square().mean().sqrt().item()
    grown = sensitivity.double().square().nanmean().sqrt().item() / (size or 1.0)
    return tolerance * (max(1.0, grown) if math.isfinite(grown) else 1.0)


def power_sensitivity(predicted: Tensor, x: Tensor, weights: Tensor) -> Tensor:
    """The sensitivity of products of powers, which are formed through logarithms; see ``judge``.

    Args:
        predicted: the products, ``(N, O)``.
        x: ``(N, I)``.
        weights: exponents, ``(O, I)``.

    Returns:
        ``(N, O)``.
    """
    logs = torch.where(x == 0, 1.0, x).abs().log().abs()
    return predicted.abs() * (1 + (1 + logs) @ weights.double().abs().T)


def regress(columns: Tensor, target: Tensor) -> Tensor:
    """Least-squares weights ``(I,)`` of ``columns`` ``(N, I)`` for ``target`` ``(N,)``.

    Where the columns do not decide all weights (fewer samples than columns, or columns that depend on each other), few
    columns are preferred: they are taken one by one, the one most like what is left first (orthogonal matching pursuit,
    Pati et al. 1993), until nothing is left.
    """
    length = columns.norm(dim=0)
    scaled = columns / torch.where(length > 0, length, 1.0)
    if not scaled.shape[1]:
        return target.new_zeros(0)
    full = torch.linalg.lstsq(scaled, target[:, None], driver="gelsd")
    if int(full.rank) < scaled.shape[1]:
        chosen: list[int] = []
        weights, left = target.new_zeros(0), target
        while left.norm() > 1e-12 * target.norm() and len(chosen) < int(full.rank):
            alike = (scaled.T @ left).abs()
            alike[chosen] = -1.0
            chosen.append(int(alike.argmax()))
            weights = torch.linalg.lstsq(scaled[:, chosen], target[:, None]).solution[:, 0]
            left = target - scaled[:, chosen] @ weights
        found = target.new_zeros(scaled.shape[1])
        found[chosen] = weights
    else:
        found = full.solution[:, 0]
    return found / torch.where(length > 0, length, 1.0)


def simplify(
    weights: Tensor,
    y: Tensor,
    predict: Callable[[Tensor], Tensor],
    tolerance: float,
    denominators: Sequence[int] = INTEGERS,
    refit: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """The simplest weights that explain the data as well as the fitted ones.

    As well means: exactly, or with a sum of squares that noise of the fitted one's size explains (within three
    standard deviations of it).

    Args:
        weights: fitted, any shape.
        y: data, ``(N,)``.
        predict: weights to predictions ``(N,)``.
        tolerance: relative error that counts as rounding.
        denominators: multiples of one over each of these are simple; earlier ones are simpler.
        refit: weights and which of them are held, to the best others; None rounds all or none.
    """
    error, samples = relative_error(predict(weights), y), len(y)
    freedom = max(samples - weights.numel(), 1)
    allowed = max(tolerance, error * math.sqrt(samples / freedom * (1 + 3 * math.sqrt(2 / samples))))

    def good(candidate: Tensor) -> bool:
        return relative_error(predict(candidate), y) <= allowed

    for denominator in denominators:
        rounded = (weights * denominator).round() / denominator + 0.0  # no -0
        if good(rounded):
            return rounded
    if refit is None:
        return weights
    for near in (1e-2, 1e-4, 1e-7):  # some are simple, the others real
        rounded = weights
        held = torch.zeros_like(weights, dtype=torch.bool)
        for denominator in denominators:
            simple = (weights * denominator).round() / denominator + 0.0
            close = ((simple - weights).abs() <= near * weights.abs().clamp(min=1e-3)) & ~held
            rounded, held = torch.where(close, simple, rounded), held | close
        if held.any() and good(candidate := refit(rounded, held)):
            return candidate
    return weights


def sum_weights(x: Tensor, y: Tensor, live: Tensor, tolerance: float) -> Tensor:
    """Coefficients ``(I,)`` of a sum: integers, zeros above all, where these explain the data.

    Args:
        x: ``(N, I)``.
        y: ``(N,)``.
        live: which inputs may have a weight, ``(I,)``.
        tolerance: relative error that counts as rounding.
    """

    def refit(weights: Tensor, held: Tensor) -> Tensor:
        free = live & ~held
        out = weights.clone()
        out[free] = regress(x[:, free], y - x[:, ~free] @ weights[~free])
        return out

    start = refit(x.new_zeros(x.shape[1]), ~live)
    rounded = rounding(y, x.abs() @ start.abs(), tolerance)
    return simplify(start, y, lambda w: x @ w, rounded, INTEGERS, refit)


def power_weights(
    x: Tensor,
    y: Tensor,
    live: Tensor,
    tolerance: float,
    predict: Callable[[Tensor], Tensor],
    denominators: Sequence[int] = FRACTIONS,
) -> Tensor:
    """Exponents ``(I,)`` of a product of powers: regression of ``log|y|`` on ``log|x|``.

    Signs: with integer exponents they follow from their parity, which ``predict`` knows. A fractional power of a
    negative input changes the magnitude too (its real part has the factor ``cos(pi w)``), by one factor for each
    pattern of signs, so a regression within patterns is tried beside the plain one.

    Args:
        x: ``(N, I)``.
        y: ``(N,)``.
        live: which inputs may have an exponent, ``(I,)``.
        tolerance: relative error that counts as rounding.
        predict: exponents to predictions ``(N,)``.
        denominators: multiples of one over each of these are simple exponents; earlier ones are simpler.

    Raises:
        DataError: no sample is without zeros, so there are no logarithms.
    """
    usable = (x[:, live] != 0).all(1) & (y != 0)
    if not usable.any():
        raise DataError("every sample has a zero among its inputs or outputs; exponents need some that have none")
    logs, target = x[usable].abs().log(), y[usable].abs().log()
    patterns, which = (x[usable][:, live] < 0).unique(dim=0, return_inverse=True)
    groups = torch.nn.functional.one_hot(which, len(patterns)).to(x.dtype)
    candidates = []
    for within in (False, True) if 1 < len(patterns) <= len(target) // 2 else (False,):
        share = groups / groups.sum(0) if within else groups[:, :0]
        groups_used = groups if within else groups[:, :0]
        columns, wanted = logs - groups_used @ (share.T @ logs), target - groups_used @ (share.T @ target)

        def refit(weights: Tensor, held: Tensor, columns: Tensor = columns, wanted: Tensor = wanted) -> Tensor:
            free = live & ~held
            out = weights.clone()
            out[free] = regress(columns[:, free], wanted - columns[:, ~free] @ weights[~free])
            return out

        start = refit(x.new_zeros(x.shape[1]), ~live)
        rounded = rounding(y, power_sensitivity(y[:, None], x, start[None])[:, 0], tolerance)
        candidates.append(simplify(start, y, predict, rounded, denominators, refit))
    return min(candidates, key=lambda w: relative_error(predict(w), y))

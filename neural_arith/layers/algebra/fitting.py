"""Closed-form fits of one layer, and of a layer of sums under or above a layer of products."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from neural_arith.errors import OptionError
from neural_arith.layers.additive import NAU
from neural_arith.layers.algebra.closed_form import ClosedForm, as_data, judge, power_sensitivity, sum_weights
from neural_arith.layers.algebra.subset_sums import PowersOfSums, fit_powers_of_sums
from neural_arith.layers.algebra.sums_of_powers import fit_sums_of_powers
from neural_arith.layers.base import Layer
from neural_arith.layers.multiplicative import NMU
from neural_arith.layers.power import PowerLayer

__all__ = ["fit_closed_form"]


@runtime_checkable
class _Fits(Protocol):
    def fit_closed_form(self, x: Tensor, y: Tensor) -> ClosedForm: ...


def fit_closed_form(network: nn.Module, x: Tensor, y: Tensor) -> ClosedForm:
    """Give a layer, or a NAU followed or preceded by another layer, the weights that reproduce data, by algebra.

    One layer: see ``NAU.fit_closed_form``, ``NMU.fit_closed_form`` and ``PowerLayer.fit_closed_form``. A NAU under a
    NAU, NMU or power unit: each output is a sum, or a product of powers of one or two sums
    (``neural_arith.layers.algebra.subset_sums``). A power unit under a NAU: each output is a sum of products of powers
    (``neural_arith.layers.algebra.sums_of_powers``). Masks are kept: masked weights stay zero.

    What two layers do not determine is chosen: a scale that sums can hand on to each other so that coefficients are
    whole numbers; of a sum with coefficients up to n, the first hidden sum has all its inputs, the second those that
    count twice or more, and so on.

    Args:
        network: a layer, or ``nn.Sequential`` of one or two.
        x: inputs, ``(*batch, I)``; several times as many samples as weights.
        y: wanted outputs, ``(*batch, O)``, or ``(*batch)`` for one output.

    Returns:
        The errors with the new weights, and whether they are only rounding.

    Raises:
        OptionError: there is no closed form for this network, or it has too few hidden sums.
        DataError: shapes do not fit, or samples are not finite or (for products) all have zeros.

    Example:
        >>> from neural_arith.layers import RealNPU
        >>> x = torch.rand(100, 4, dtype=torch.float64) + 1
        >>> network = nn.Sequential(NAU(4, 2, dtype=x.dtype), RealNPU(2, 1, dtype=x.dtype))
        >>> fit_closed_form(network, x, (x[:, 0] + x[:, 1]) / (x[:, 1] + x[:, 2] - x[:, 3])).exact
        True
        >>> network[0].weight.tolist()
        [[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, -1.0]]
    """
    layers = list(network) if isinstance(network, nn.Sequential) else [network]
    if len(layers) == 1 and isinstance(layers[0], _Fits):
        return layers[0].fit_closed_form(x, y)
    if len(layers) == 2:
        first, second = layers
        lifted = isinstance(second, PowerLayer) and second.lifted
        if isinstance(first, NAU) and isinstance(second, (NAU, NMU, PowerLayer)) and not lifted:
            return _fit_two(first, second, x, y)
        if isinstance(first, PowerLayer) and not first.lifted and isinstance(second, NAU):
            return _fit_sums(first, second, x, y)
    raise OptionError(
        f"no closed form for {' -> '.join(type(layer).__name__ for layer in layers)}; there is one for NAU, NMU, NPU, "
        "RealNPU, NaiveNPU, RealNaiveNPU, for a NAU followed by one of them, and for a power unit followed by a NAU"
    )


@torch.no_grad()
def _fit_two(first: NAU, second: NAU | NMU | PowerLayer, x: Tensor, y: Tensor) -> ClosedForm:
    wide, wanted, tolerance = as_data(x, y, first.in_features, second.out_features)
    live = first.masks["weight"].any(0)
    hidden: list[Tensor] = []
    outer = torch.zeros(second.out_features, first.out_features, dtype=torch.float64, device=wide.device)
    sensitivity = torch.empty_like(wanted)
    for output, column in enumerate(wanted.T):
        if isinstance(second, NAU):
            weights = sum_weights(wide, column, live, tolerance)
            sums, powers = _levels(weights, first)
            sensitivity[:, output] = wide.abs() @ weights.abs()
        else:
            found = fit_powers_of_sums(
                wide, column, live, tolerance, powers=isinstance(second, PowerLayer), terms=min(first.out_features, 2)
            )
            sums, powers = _within(found, first)
            sensitivity[:, output] = found.sensitivity(wide)
        for row, power in zip(sums, powers.tolist(), strict=True):
            outer[output, _place(hidden, row, first.out_features)] += power
    inner = wide.new_zeros(first.out_features, first.in_features)
    if hidden:
        inner[: len(hidden)] = torch.stack(hidden)
    first.weight.copy_(torch.where(first.masks["weight"], inner, first.weight))
    _set(second, outer)
    return judge(second(first(wide)), wanted, sensitivity, tolerance)


@torch.no_grad()
def _fit_sums(first: PowerLayer, second: NAU, x: Tensor, y: Tensor) -> ClosedForm:
    wide, wanted, tolerance = as_data(x, y, first.in_features, second.out_features)
    live = first.masks["wr"].any(0)
    hidden: list[Tensor] = []
    outer = torch.zeros(second.out_features, first.out_features, dtype=torch.float64, device=wide.device)
    for output, column in enumerate(wanted.T):
        found = fit_sums_of_powers(wide, column, live, tolerance, terms=min(first.out_features, 3))
        for row, coefficient in zip(found.powers, found.coefficients.tolist(), strict=True):
            outer[output, _place(hidden, row, first.out_features)] += coefficient
    inner = wide.new_zeros(first.out_features, first.in_features)
    if hidden:
        inner[: len(hidden)] = torch.stack(hidden)
    first.assign(inner)
    _set(second, outer)
    products = first(wide)
    sensitivity = power_sensitivity(products, wide, inner) @ outer.abs().T
    return judge(second(products), wanted, sensitivity, tolerance)


def _levels(weights: Tensor, first: NAU) -> tuple[Tensor, Tensor]:
    """A sum as sums of a row of hidden ones: with weights of size one where there is room for all of them."""
    largest = weights.abs().max().item()
    levels = round(largest)
    if bool((weights == weights.round()).all()) and levels <= first.out_features:
        sums = [weights.sign() * (weights.abs() >= level) for level in range(1, levels + 1)]
        return torch.stack(sums or [weights]), weights.new_ones(max(levels, 1))
    scale = largest if first.clip and largest > 1 else 1.0
    return weights[None] / scale, weights.new_tensor([scale])


def _within(found: PowersOfSums, first: NAU) -> tuple[Tensor, Tensor]:
    """Sums of a quotient scaled into [-1, 1] where weights are limited to it."""
    largest = found.sums.abs().max()
    free = len(found.powers) > 1 and float(found.powers.sum()) == 0
    return found.sums / largest if first.clip and free and largest > 1 else found.sums, found.powers


def _place(hidden: list[Tensor], row: Tensor, room: int) -> int:
    """The index of a hidden sum, an old one if there is one like it."""
    for index, known in enumerate(hidden):
        if torch.equal(known, row):
            return index
    if len(hidden) == room:
        raise OptionError(f"the outputs need more than the {room} hidden sums there are; widen the first layer")
    hidden.append(row)
    return len(hidden) - 1


def _set(layer: Layer, weight: Tensor) -> None:
    if isinstance(layer, PowerLayer):
        layer.assign(weight)
    else:
        own = layer.get_parameter("weight")
        own.copy_(torch.where(layer.masks["weight"], weight, own))

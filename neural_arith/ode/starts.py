"""Where a Gauss-Newton fit starts, and which numbers it may not move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from neural_arith.layers import Layer
from neural_arith.layers.power import PowerLayer

if TYPE_CHECKING:
    from neural_arith.data import Trajectories
    from neural_arith.ode.field import ArithmeticField
    from neural_arith.ode.flat import FlatField


_WHOLE = torch.tensor([0.5, 0.3, 0.12, 0.08])


def power_layers(field: ArithmeticField) -> dict[str, PowerLayer]:
    """The power units in the stack by the path of their parameters."""
    return {f"layers.{i}": layer for i, layer in enumerate(field.layers) if isinstance(layer, PowerLayer)}


@torch.no_grad()
def open_gates_(field: ArithmeticField) -> frozenset[str]:
    """Open every live gate (a half-open one is no power) and return the gates' names, to be held.

    A gate between 0 and 1 makes ``(g x + 1 - g)^w`` of ``x^w``: a help for slow optimisers, an obstacle to a
    formula. An input that a unit does not need is left out by its exponent.
    """
    names = []
    for path, layer in power_layers(field).items():
        if layer.gate is not None:
            layer.gate.fill_(1.0)
            names.append(f"{path}.gate")
    return frozenset(names)


@torch.no_grad()
def draw_exponents_(field: ArithmeticField, generator: torch.Generator) -> None:
    """Wide and sparse exponents: each 0 with probability 1/2, else uniform in [-0.2, 1.2]; imaginary ones 0.

    Small exponents (the usual initialisation) make every unit nearly constant, and nothing is learned from there.
    Inputs that change sign get whole exponents up to 3: a fractional power of them has a corner at zero.
    """
    for path, layer in power_layers(field).items():
        shape = layer.wr.shape
        draw = torch.rand(shape, generator=generator, dtype=torch.float64) * 1.4 - 0.2
        draw[torch.rand(shape, generator=generator) < 0.5] = 0.0
        for j in crossing_inputs(field) if path == "layers.0" else []:
            whole = torch.multinomial(_WHOLE, shape[0], replacement=True, generator=generator)
            draw[:, j] = whole.to(draw.dtype)
        if layer.lifted:
            draw[:, layer.in_features :] *= 0.1
        layer.wr.copy_(draw)
        if layer.wi is not None:
            layer.wi.zero_()


def crossing_inputs(field: ArithmeticField) -> list[int]:
    """Positions of states and inputs that are negative somewhere in the data (see ``field.positive``)."""
    return [j for j, positive in enumerate(field.positive.tolist()) if not positive]


def zero_inputs(field: ArithmeticField, data: Trajectories) -> list[int]:
    """Positions of states and inputs that are exactly zero somewhere in the data."""
    columns = np.concatenate([run.x for run in data])
    if field.inputs:
        columns = np.concatenate([columns, np.concatenate([run.u for run in data if run.u is not None])], axis=1)
    return [j for j in range(columns.shape[1]) if bool((columns[:, j] == 0).any())]


def limits(field: ArithmeticField, flat: FlatField, data: Trajectories) -> tuple[Tensor, Tensor]:
    """Lower bounds of the flat vector, and which entries stay at the value they have.

    ``0^w`` is a pole for negative ``w``, so the exponent of an input that meets zero may not become negative; and it
    jumps from 1 to 0 as ``w`` leaves 0, where no derivative can tell what happens: such an exponent stays at 0 if it
    starts there. In the same way a whole exponent of an input that changes sign stays whole.
    """
    lower = torch.full((flat.n_params,), -torch.inf, dtype=torch.float64)
    fixed = torch.zeros(flat.n_params, dtype=torch.bool)
    first = power_layers(field).get("layers.0")
    if first is None:
        return lower, fixed
    zeros, crossing, width = zero_inputs(field, data), crossing_inputs(field), first.wr.shape[1]
    values = flat.read().tolist()
    for i, (name, at) in enumerate(zip(flat.names, flat.index, strict=True)):
        if name != "layers.0.wr":
            continue
        if at % width in zeros:
            lower[i], fixed[i] = 0.0, values[i] == 0
        if at % width in crossing and values[i] == round(values[i]):
            fixed[i] = True
    return lower, fixed


def arithmetic_layers(field: ArithmeticField) -> list[tuple[str, Layer]]:
    """The layers whose weights can be masked, with the path of their parameters."""
    return [(f"layers.{i}", layer) for i, layer in enumerate(field.layers) if isinstance(layer, Layer)]

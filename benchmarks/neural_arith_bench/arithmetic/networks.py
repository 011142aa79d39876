"""The networks of the published experiments, one layer after the other, with their authors' initial weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from neural_arith.layers import NAU, NMU, NPU, Dense, Layer, RealNPU, StochasticNMU
from neural_arith.layers.base import glorot_bound, redraw
from neural_arith_bench.arithmetic.recurrent import Accumulate
from neural_arith_bench.arithmetic.task import Task

__all__ = ["Build", "cell_and_head", "one", "simple", "sums_under", "two", "wide"]

Build = Callable[[Task, torch.Generator, torch.dtype], nn.Module]
"""A task, a source of initial weights and their type to a network."""

Kind = Callable[..., Layer]
"""A class of layers, or one with options: ``(in_features, out_features, *, dtype, generator)`` to a layer."""


def nau(*sizes: int, **options: Any) -> NAU:
    """A NAU whose weights are limited to [-1, 1], as Madsen and Johansen's."""
    return NAU(*sizes, clip=True, **options)


def stochastic(*sizes: int, **options: Any) -> StochasticNMU:
    """A stochastic NMU whose noise comes from torch's own generator, which a population seeds."""
    layer = StochasticNMU(*sizes, **options)
    layer.generator = None
    return layer


def one(kind: Kind) -> Build:
    """One layer, all inputs to one output."""
    return lambda task, generator, dtype: nn.Sequential(
        kind(task.in_features, task.out_features, generator=generator, dtype=dtype)
    )


def two(first: Kind, second: Kind) -> Build:
    """Two layers with ``task.hidden`` units between, 2 where the task says nothing."""

    def build(task: Task, generator: torch.Generator, dtype: torch.dtype) -> nn.Module:
        hidden = getattr(task, "hidden", 2)
        options: dict[str, Any] = {"generator": generator, "dtype": dtype}
        return nn.Sequential(first(task.in_features, hidden, **options), second(hidden, task.out_features, **options))

    return build


def one_or_two(kind: Kind) -> Build:
    """iNALU's: one layer for a few inputs, two for a hundred."""
    small, large = one(kind), two(kind, kind)
    return lambda task, generator, dtype: (large if task.in_features == 100 else small)(task, generator, dtype)


def cell_and_head(cell: Kind, head: Kind) -> Build:
    """A cell of two states that runs over flattened sequences, and a layer on its last state."""

    def build(task: Task, generator: torch.Generator, dtype: torch.dtype) -> nn.Module:
        options: dict[str, Any] = {"generator": generator, "dtype": dtype}
        states = Accumulate(cell(2 + task.in_features, 2, **options))
        unrolled = nn.Unflatten(-1, (-1, task.in_features))
        return nn.Sequential(unrolled, states, head(2, task.out_features, **options))

    return build


def simple(kind: Kind, last: Kind) -> Build:
    """Heim's small networks: six units and a layer on them; NAU and power units Glorot, NMU from U(0, 1)."""

    def build(task: Task, generator: torch.Generator, dtype: torch.dtype) -> nn.Module:
        options: dict[str, Any] = {"generator": generator, "dtype": dtype}
        network = nn.Sequential(kind(task.in_features, 6, **options), last(6, task.out_features, **options))
        for layer in network:
            if isinstance(layer, NAU):
                redraw(layer.weight, glorot_bound(layer.in_features, layer.out_features), generator)
            elif isinstance(layer, NMU):
                redraw(layer.weight, 0.5, generator, centre=0.5)
        return network

    return build


def dense(task: Task, generator: torch.Generator, dtype: torch.dtype) -> nn.Module:
    """Heim's dense network for the simple task: two layers of 50 sigmoids and a linear one."""
    options: dict[str, Any] = {"generator": generator, "dtype": dtype}
    return nn.Sequential(
        Dense(task.in_features, 50, activation="sigmoid", **options),
        Dense(50, 50, activation="sigmoid", **options),
        Dense(50, task.out_features, **options),
    )


def wide(first: Kind, second: Kind) -> Build:
    """Heim's large networks: all matrices from U(0, 0.1), imaginary exponents and offsets 0, gates of the NPU open."""
    plain = two(first, second)

    def build(task: Task, generator: torch.Generator, dtype: torch.dtype) -> nn.Module:
        network = plain(task, generator, dtype)
        with torch.no_grad():
            for name, values in network.named_parameters():
                own = name.rpartition(".")[2]
                if own in ("wi", "gate_bias"):
                    values.zero_()
                elif own != "gate":
                    redraw(values, 0.05, generator, centre=0.05)
            for layer in network.children():
                if isinstance(layer, NPU) and layer.gate is not None:
                    layer.gate.fill_(1.0)
        return network

    return build


def sums_under(task: Task) -> nn.Module:
    """What the closed form fits: sums under a power unit; for several outputs a power unit under sums."""
    options: dict[str, Any] = {"dtype": torch.float64}
    if task.out_features > 1:
        return nn.Sequential(RealNPU(task.in_features, 6, **options), NAU(6, task.out_features, **options))
    hidden = getattr(task, "hidden", 2)
    return nn.Sequential(NAU(task.in_features, hidden, **options), RealNPU(hidden, 1, **options))

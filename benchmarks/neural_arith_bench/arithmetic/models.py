"""Which networks each experiment trains, and by which recipe, as their authors published it; one recipe is ours.

Where a number is not in the papers it is that of the authors' scripts. What is not followed: iNALU's authors update
gates and weights in turns, here all parameters move at every step; for the NRU the strength of the regulariser is the
NMU's. With a share of the published steps all schedules shorten alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from neural_arith.layers import (
    GNALU,
    INALU,
    NAC,
    NACNMU,
    NALU,
    NAU,
    NMRU,
    NMU,
    NPU,
    NRU,
    Dense,
    GatedNAUNMU,
    Layer,
    ModifiedRealNPU,
    NACMul,
    NACSigma,
    NaiveNPU,
    RealNPU,
    StochasticNMU,
)
from neural_arith.layers.base import glorot_bound, redraw
from neural_arith_bench.arithmetic.large_tasks import Accumulate
from neural_arith_bench.arithmetic.task import Task
from neural_arith_bench.populations.optimisers import RMSProp
from neural_arith_bench.populations.schedules import (
    AuthorPenalty,
    Constant,
    During,
    Falling,
    Lasso,
    Penalty,
    Ramp,
    Restart,
    Tenfold,
)
from neural_arith_bench.populations.stepping import Recipe

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


@dataclass(frozen=True)
class Model:
    """A network and how it is trained.

    Attributes:
        build: the network of a task.
        recipe: of a task, for a share of the published steps.
        steps: published steps of some operations, where they are fewer than the experiment's.
    """

    build: Build
    recipe: Callable[[Task, float], Recipe]
    steps: Mapping[str, int] = field(default_factory=dict)


def _plain(rate: float, task: Task, share: float) -> Recipe:
    return Recipe(Constant(rate))


def _ramped(
    scale: float, start: float, end: float, task: Task, share: float, *, rate: float = 1e-3, **other: Any
) -> Recipe:
    """The authors' regularisers of all layers, by a ramp; with ten or more inputs the single modules' ramp is later."""
    if task.in_features >= 10 and end == _SINGLE_END:
        start, end = 5e4, 7.5e4
    return Recipe(
        Constant(rate), penalties=[Penalty(AuthorPenalty(Layer), Ramp(scale, start * share, end * share))], **other
    )


def _tenfold(first: float, last: float, share: float) -> Penalty:
    return Penalty(Lasso(), Tenfold(first, last, max(1, round(10_000 * share))))


def _operation(task: Task) -> str:
    return getattr(task, "operation", "")


_SINGLE_END = 3.5e4
_NAU, _NMU = partial(_ramped, 0.01, 5e3, 5e4), partial(_ramped, 10.0, 1e6, 2e6)
_ADAM = partial(_plain, 1e-3)

STATIC: dict[str, Model] = {
    "NMU": Model(two(nau, NMU), _NMU),
    "NAU": Model(two(nau, nau), _NAU),
    "NAC-sigma": Model(two(NAC, NACSigma), _ADAM),
    "NAC-nmu": Model(two(nau, NACNMU), _NMU),
    "NAC-mul": Model(two(NAC, NACMul), _ADAM),
    "NAC+": Model(two(NAC, NAC), _ADAM),
    "NALU": Model(two(NALU, NALU), _ADAM),
    "gated NAU/NMU": Model(two(GatedNAUNMU, GatedNAUNMU), _NMU),
    "Linear": Model(two(partial(Dense, bias=False), partial(Dense, bias=False)), _ADAM),
    "ReLU": Model(two(partial(Dense, bias=False, activation="relu"), partial(Dense, bias=False)), _ADAM),
    "ReLU6": Model(two(partial(Dense, bias=False, activation="relu6"), partial(Dense, bias=False)), _ADAM),
}

RECURRENT: dict[str, Model] = {
    "NMU": Model(cell_and_head(nau, NMU), _NMU),
    "NAU": Model(cell_and_head(nau, nau), _NAU),
    "RealNPU": Model(cell_and_head(nau, RealNPU), _NAU),
    "NAC-mul": Model(cell_and_head(NAC, NACMul), _ADAM),
    "NAC+": Model(cell_and_head(NAC, NAC), _ADAM),
    "NALU": Model(cell_and_head(NALU, NALU), _ADAM),
}


def _module_npu(task: Task, share: float) -> Recipe:
    first, last = (1e-9, 1e-7) if _operation(task) == "div" else (1e-7, 1e-5)
    return Recipe(Constant(5e-3), penalties=[_tenfold(first, last, share)])


def _module_modified(task: Task, share: float) -> Recipe:
    start, end = (4e4, 5e4) if task.in_features < 10 else (5e4, 7.5e4)
    discrete = Penalty(AuthorPenalty(ModifiedRealNPU), Ramp(1.0, start * share, end * share))
    return Recipe(Constant(5e-3), penalties=[discrete, _tenfold(1e-9, 1e-7, share)])


def _module_inalu(task: Task, share: float) -> Recipe:
    saturated = Penalty(AuthorPenalty(INALU), Constant(1.0), after=round(10_000 * share), below=1.0)
    stalled = Restart(_anew, every=max(1, round(10_000 * share)), patience=round(5_000 * share))
    return Recipe(penalties=[saturated], restart=stalled, clip_value=0.1)


def _module_nru(task: Task, share: float) -> Recipe:
    return _MODULE(task, share, rate=1.0 if task.in_features < 10 else 1e-3)


def _anew(network: nn.Module, generator: torch.Generator) -> None:
    for layer in network.children():
        cast(Layer, layer).reset_parameters(generator)


_MODULE = partial(_ramped, 10.0, 2e4, _SINGLE_END)

SINGLE_MODULE: dict[str, Model] = {
    "NMU": Model(one(NMU), _MODULE),
    "NAU": Model(one(nau), partial(_ramped, 0.01, 2e4, _SINGLE_END)),
    "NALU": Model(one(NALU), _ADAM),
    "G-NALU": Model(one(GNALU), _ADAM),
    "iNALU": Model(one(INALU), _module_inalu),
    "RealNPU": Model(one(RealNPU), _module_npu),
    "NPU": Model(one(NPU), _module_npu),
    "NAC-mul": Model(one(NACMul), _ADAM),
    "RealNPU-modified": Model(one(ModifiedRealNPU), _module_modified),
    "NRU": Model(one(NRU), _module_nru),
    "NMRU": Model(one(NMRU), partial(_MODULE, rate=1e-2, clip_norm=1.0)),
    "stochastic NMU": Model(one(stochastic), _MODULE),
}

_SIMPLE = partial(_plain, 5e-3)


def _sparse(task: Task, share: float) -> Recipe:
    """Ours: L1 leaves one way to write each answer and goes before it biases; the rate falls, or weights stay noisy."""
    lasso = Penalty(Lasso(), During(1e-4, 2_000 * share, 12_000 * share))
    return Recipe(Falling(1e-2, 6_000 * share, 20_000 * share), penalties=[lasso])


def _rmsprop(rate: float, task: Task, share: float) -> Recipe:
    return Recipe(Constant(rate), RMSProp(0.9), project=False)


SIMPLE: dict[str, Model] = {
    "NPU": Model(simple(NPU, NAU), _SIMPLE),
    "RealNPU": Model(simple(RealNPU, NAU), _SIMPLE),
    "sparse RealNPU": Model(simple(RealNPU, NAU), _sparse),
    "NMU": Model(simple(NMU, NAU), _SIMPLE),
    "NALU": Model(simple(NALU, NALU), partial(_rmsprop, 5e-3)),
    "iNALU": Model(simple(INALU, INALU), partial(_rmsprop, 1e-3)),
    "Dense": Model(dense, _SIMPLE),
}

_LASSO = {"add": (1e-5, 1e-4), "mul": (1e-5, 1e-4), "reciprocal": (1e-9, 1e-7), "sqrt": (1e-6, 1e-4)}


def _large(starts: Mapping[str, float], task: Task, share: float) -> Recipe:
    op = _operation(task)
    first, last = _LASSO[op]
    rate = Constant(1e-2 if op == "add" else 5e-3)
    return Recipe(rate, RMSProp(0.9), [_tenfold(starts.get(op, first), last, share)], project=False)


_LARGE = partial(_large, {})

LARGE_SCALE: dict[str, Model] = {
    "NPU": Model(wide(NAU, NPU), _LARGE),
    "RealNPU": Model(wide(NAU, RealNPU), _LARGE),
    "NaiveNPU": Model(wide(NAU, NaiveNPU), _LARGE),
    "NMU": Model(wide(NAU, NMU), partial(_large, {"add": 1e-7, "mul": 1e-9}), {"add": 10_000, "mul": 20_000}),
    "NALU": Model(wide(NALU, NALU), _LARGE),
}


def _inalu(own: bool, task: Task, share: float) -> Recipe:
    epoch = 1000 * share
    rate, optimiser = Constant(1e-2), RMSProp(0.9)
    if not own:
        return Recipe(rate, optimiser, clip_value=0.1)
    saturated = Penalty(AuthorPenalty(INALU), Constant(1.0), after=round(10 * epoch), below=1.0)
    stalled = Restart(_redraw, every=max(1, round(10 * epoch)), patience=round(10 * epoch))
    return Recipe(rate, optimiser, [saturated], stalled, clip_value=0.1)


def _redraw(network: nn.Module, generator: torch.Generator) -> None:
    for layer in network.children():
        cast(INALU, layer).restart_parameters(generator)


INALU_MODELS: dict[str, Model] = {
    "NALU": Model(one_or_two(NALU), partial(_inalu, False)),
    "iNALU-shared": Model(one_or_two(partial(INALU, weights="shared")), partial(_inalu, True)),
    "iNALU": Model(one_or_two(INALU), partial(_inalu, True)),
}

MODELS: dict[str, Mapping[str, Model]] = {
    "simple": SIMPLE,
    "large-scale": LARGE_SCALE,
    "static": STATIC,
    "recurrent": RECURRENT,
    "single-module": SINGLE_MODULE,
    "inalu": INALU_MODELS,
}
"""By experiment, then by the name that the source of the published numbers gives it."""

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
)
from neural_arith_bench.arithmetic import networks as nets
from neural_arith_bench.arithmetic.optimisers import RMSProp
from neural_arith_bench.arithmetic.schedules import (
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
from neural_arith_bench.arithmetic.stepping import Recipe
from neural_arith_bench.arithmetic.task import Task

__all__ = ["MODELS", "Model"]


@dataclass(frozen=True)
class Model:
    """A network and how it is trained.

    Attributes:
        build: the network of a task.
        recipe: of a task, for a share of the published steps.
        steps: published steps of some operations, where they are fewer than the experiment's.
    """

    build: nets.Build
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
    "NMU": Model(nets.two(nets.nau, NMU), _NMU),
    "NAU": Model(nets.two(nets.nau, nets.nau), _NAU),
    "NAC-sigma": Model(nets.two(NAC, NACSigma), _ADAM),
    "NAC-nmu": Model(nets.two(nets.nau, NACNMU), _NMU),
    "NAC-mul": Model(nets.two(NAC, NACMul), _ADAM),
    "NAC+": Model(nets.two(NAC, NAC), _ADAM),
    "NALU": Model(nets.two(NALU, NALU), _ADAM),
    "gated NAU/NMU": Model(nets.two(GatedNAUNMU, GatedNAUNMU), _NMU),
    "Linear": Model(nets.two(partial(Dense, bias=False), partial(Dense, bias=False)), _ADAM),
    "ReLU": Model(nets.two(partial(Dense, bias=False, activation="relu"), partial(Dense, bias=False)), _ADAM),
    "ReLU6": Model(nets.two(partial(Dense, bias=False, activation="relu6"), partial(Dense, bias=False)), _ADAM),
}

RECURRENT: dict[str, Model] = {
    "NMU": Model(nets.cell_and_head(nets.nau, NMU), _NMU),
    "NAU": Model(nets.cell_and_head(nets.nau, nets.nau), _NAU),
    "RealNPU": Model(nets.cell_and_head(nets.nau, RealNPU), _NAU),
    "NAC-mul": Model(nets.cell_and_head(NAC, NACMul), _ADAM),
    "NAC+": Model(nets.cell_and_head(NAC, NAC), _ADAM),
    "NALU": Model(nets.cell_and_head(NALU, NALU), _ADAM),
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
    "NMU": Model(nets.one(NMU), _MODULE),
    "NAU": Model(nets.one(nets.nau), partial(_ramped, 0.01, 2e4, _SINGLE_END)),
    "NALU": Model(nets.one(NALU), _ADAM),
    "G-NALU": Model(nets.one(GNALU), _ADAM),
    "iNALU": Model(nets.one(INALU), _module_inalu),
    "RealNPU": Model(nets.one(RealNPU), _module_npu),
    "NPU": Model(nets.one(NPU), _module_npu),
    "NAC-mul": Model(nets.one(NACMul), _ADAM),
    "RealNPU-modified": Model(nets.one(ModifiedRealNPU), _module_modified),
    "NRU": Model(nets.one(NRU), _module_nru),
    "NMRU": Model(nets.one(NMRU), partial(_MODULE, rate=1e-2, clip_norm=1.0)),
    "stochastic NMU": Model(nets.one(nets.stochastic), _MODULE),
}

_SIMPLE = partial(_plain, 5e-3)


def _sparse(task: Task, share: float) -> Recipe:
    """Ours: L1 leaves one way to write each answer and goes before it biases; the rate falls, or weights stay noisy."""
    lasso = Penalty(Lasso(), During(1e-4, 2_000 * share, 12_000 * share))
    return Recipe(Falling(1e-2, 6_000 * share, 20_000 * share), penalties=[lasso])


def _rmsprop(rate: float, task: Task, share: float) -> Recipe:
    return Recipe(Constant(rate), RMSProp(0.9), project=False)


SIMPLE: dict[str, Model] = {
    "NPU": Model(nets.simple(NPU, NAU), _SIMPLE),
    "RealNPU": Model(nets.simple(RealNPU, NAU), _SIMPLE),
    "sparse RealNPU": Model(nets.simple(RealNPU, NAU), _sparse),
    "NMU": Model(nets.simple(NMU, NAU), _SIMPLE),
    "NALU": Model(nets.simple(NALU, NALU), partial(_rmsprop, 5e-3)),
    "iNALU": Model(nets.simple(INALU, INALU), partial(_rmsprop, 1e-3)),
    "Dense": Model(nets.dense, _SIMPLE),
}

_LASSO = {"add": (1e-5, 1e-4), "mul": (1e-5, 1e-4), "reciprocal": (1e-9, 1e-7), "sqrt": (1e-6, 1e-4)}


def _large(starts: Mapping[str, float], task: Task, share: float) -> Recipe:
    op = _operation(task)
    first, last = _LASSO[op]
    rate = Constant(1e-2 if op == "add" else 5e-3)
    return Recipe(rate, RMSProp(0.9), [_tenfold(starts.get(op, first), last, share)], project=False)


_LARGE = partial(_large, {})

LARGE_SCALE: dict[str, Model] = {
    "NPU": Model(nets.wide(NAU, NPU), _LARGE),
    "RealNPU": Model(nets.wide(NAU, RealNPU), _LARGE),
    "NaiveNPU": Model(nets.wide(NAU, NaiveNPU), _LARGE),
    "NMU": Model(nets.wide(NAU, NMU), partial(_large, {"add": 1e-7, "mul": 1e-9}), {"add": 10_000, "mul": 20_000}),
    "NALU": Model(nets.wide(NALU, NALU), _LARGE),
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
    "NALU": Model(nets.one_or_two(NALU), partial(_inalu, False)),
    "iNALU-shared": Model(nets.one_or_two(partial(INALU, weights="shared")), partial(_inalu, True)),
    "iNALU": Model(nets.one_or_two(INALU), partial(_inalu, True)),
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

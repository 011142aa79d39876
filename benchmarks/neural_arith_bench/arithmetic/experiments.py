"""The published experiments as tables: which tasks by operation and setting, judged how, trained for how long."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from neural_arith_bench.arithmetic.inputs import Distribution, Uniform
from neural_arith_bench.arithmetic.large_tasks import (
    LARGE_SCALE,
    RANGES,
    RECURRENT,
    STATIC,
    LargeScaleTask,
    RecurrentTask,
    StaticTask,
)
from neural_arith_bench.arithmetic.published import Family
from neural_arith_bench.arithmetic.small_tasks import (
    INALU,
    INALU_DISTRIBUTIONS,
    POSITIVE,
    SINGLE_MODULE,
    SINGLE_MODULE_RANGES,
    INALUTask,
    SimpleTask,
    SingleModuleTask,
)
from neural_arith_bench.arithmetic.task import Task

__all__ = ["EXPERIMENTS", "Experiment"]


Pair = tuple[Distribution, Distribution]


@dataclass(frozen=True)
class Experiment:
    """One table of the literature.

    Attributes:
        name: as in ``neural-arith bench NAME``.
        ops: operations, in the order of the table.
        settings: name of a setting, mostly the training range -> operation to task.
        usual: the settings that run unless others are asked for.
        steps: of the published training, by task.
        seeds: how many run unless others are asked for.
        budget: share of the published steps that is trained unless another is asked for.
        family: of the published numbers; None where there are none.
        error: squared or absolute, the mean over points.
        pick: which network of a run counts: that of the lowest validation error, or the last.
        joint: all operations are outputs of one network.
    """

    name: str
    ops: tuple[str, ...]
    settings: Mapping[str, Callable[[str], Task]]
    usual: tuple[str, ...]
    steps: Callable[[Task], int]
    seeds: int
    budget: float
    family: Family | None = None
    error: Literal["squared", "absolute"] = "squared"
    pick: Literal["best", "last"] = "best"
    joint: bool = False

    def task(self, op: str, setting: str) -> Task:
        """The task of one cell of the table."""
        return self.settings[setting](op)


def _simple(inputs: Uniform, op: str) -> Task:
    return SimpleTask(inputs)


def _single(ranges: tuple[Uniform, Uniform], inputs: int, op: str) -> Task:
    return SingleModuleTask(op, *ranges, inputs=inputs)


def _static(ranges: tuple[Uniform, Uniform], hidden: int, op: str) -> Task:
    return StaticTask(op, train=ranges[0], test=ranges[1], hidden=hidden)


def _settings(kind: Callable[..., Task], pairs: Sequence[Pair], *inputs: int) -> dict[str, Callable[[str], Task]]:
    return {
        f"{train}" + (f"x{count}" if count != inputs[0] else ""): partial(kind, (train, test), count)
        for count in inputs
        for train, test in pairs
    }


def _inalu(pair: Pair, inputs: int, op: str) -> Task:
    return INALUTask(op, *pair, inputs=inputs)


def _inalu_large(op: str) -> Task:
    return INALUTask(op)


_SINGLE = _settings(_single, SINGLE_MODULE_RANGES, 2, 10)
_INALU = _settings(_inalu, INALU_DISTRIBUTIONS, 2, 10)
_STATIC = _settings(_static, RANGES, 2) | {
    f"hidden={size}": partial(_static, (Uniform(1, 2), Uniform(2, 6)), size) for size in range(3, 11)
}

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "simple",
            ("add", "mul", "div", "sqrt"),
            {str(POSITIVE): partial(_simple, POSITIVE), "[0.1,2]": partial(_simple, Uniform(0.1, 2))},
            (str(POSITIVE),),
            lambda task: 20_000,
            seeds=20,
            budget=1.0,
            family="simple",
            error="absolute",
            pick="last",
            joint=True,
        ),
        Experiment(
            "large-scale",
            LARGE_SCALE,
            {"code": lambda op: LargeScaleTask(op), "paper": lambda op: LargeScaleTask(op, "paper")},
            ("code",),
            lambda task: 100_000,
            seeds=10,
            budget=0.01,
            family="large_scale",
            pick="last",
        ),
        Experiment(
            "static",
            STATIC,
            _STATIC,
            ("[1,2]",),
            lambda task: 5_000_000,
            seeds=25,
            budget=0.0002,
            family="static",
        ),
        Experiment(
            "recurrent",
            RECURRENT,
            {"[1,2]": lambda op: RecurrentTask(op)},
            ("[1,2]",),
            lambda task: 5_000_000,
            seeds=5,
            budget=0.0001,
            pick="last",
        ),
        Experiment(
            "single-module",
            SINGLE_MODULE,
            _SINGLE,
            tuple(_SINGLE)[:9],
            lambda task: 50_000 if task.in_features == 2 else 100_000,
            seeds=25,
            budget=0.02,
            family="single_module",
        ),
        Experiment(
            "inalu",
            INALU,
            _INALU | {"[-3,3]x100": _inalu_large},
            tuple(_INALU)[:7],
            lambda task: 100_000,
            seeds=10,
            budget=0.02,
            family="inalu",
            pick="last",
        ),
    )
}
"""By name."""

"""Gauss-Newton fits of a field: matching without a solver, then segments, then whole runs through the solver.

First where a fit starts and which numbers it may not move, then the fits.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from neural_arith.fit.levenberg_marquardt import LMResult, LMState, OnStep, Residual, levenberg_marquardt, mean_square
from neural_arith.layers import Layer
from neural_arith.layers.power import PowerLayer
from neural_arith.ode.flat import FlatField
from neural_arith.ode.matching import MatchingResidual, Targets, derivative_targets, integral_targets
from neural_arith.ode.shooting import PenalisedResidual, Segments, ShootingResidual, cut

if TYPE_CHECKING:
    from neural_arith.data import Trajectories
    from neural_arith.ode.field import ArithmeticField


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


@dataclass(frozen=True)
class Task:
    """The data in the shapes the fits need, computed once.

    Attributes:
        data: the measurements.
        length: sample intervals per segment.
        rtol: tolerance of the integration.
    """

    data: Trajectories
    length: int = 1
    rtol: float = 1e-7

    @cached_property
    def integral(self) -> Targets:
        """Increments between samples."""
        return integral_targets(self.data)

    @cached_property
    def derivative(self) -> Targets:
        """Spline derivatives."""
        return derivative_targets(self.data)

    @cached_property
    def segments(self) -> Segments:
        """Pieces of ``length`` intervals, each from its measured start."""
        return cut(self.data, self.length)

    @cached_property
    def runs(self) -> Segments:
        """Whole runs."""
        return cut(self.data)


class Fit:
    """One field under Gauss-Newton: its flat view, its bounds, its fixed numbers. The field is changed in place.

    Args:
        field: float64 field; its gates are opened and held.
        task: the data.
    """

    def __init__(self, field: ArithmeticField, task: Task) -> None:
        self.field = field
        self.task = task
        self.held = open_gates_(field) | _without_effect(field)
        self.flat = FlatField(field, held=self.held)

    def match(self, *, steps: int = 25, derivative: bool = False) -> LMResult:
        """Fit without a solver; the readout comes from least squares. Writes the result into the field."""
        targets = self.task.derivative if derivative else self.task.integral
        residual = MatchingResidual(self.field, self.flat, targets, self.held)
        p = self.flat.read()
        inner = residual.inner
        lower, fixed = limits(self.field, self.flat, self.task.data)
        if len(inner):
            result = levenberg_marquardt(
                residual,
                p[inner],
                steps=steps,
                damping=1e-2,
                lower=lower[inner],
                fixed=fixed[inner],
            )
            q = residual.complete(result.p)
        else:
            q = residual.complete(p[inner])
            result = LMResult(q, mean_square(residual.value(q[inner])), "converged", 0)
        self.flat.write(q)
        return LMResult(q, result.loss, result.status, result.steps)

    def shoot(
        self,
        *,
        whole: bool = False,
        steps: int = 50,
        goal: float = 1e-22,
        penalty: float = 0.0,
        patience: int = 4,
        tolerance: float = 1e-2,
        damping: float = 1e-3,
        state: LMState | None = None,
        on_step: OnStep | None = None,
    ) -> LMResult:
        """Fit through the solver, over segments or whole runs. Writes the result into the field."""
        residual: Residual = self.residual(whole)
        if penalty:
            residual = PenalisedResidual(residual, penalty)
        # The field still holds the numbers this fit began with, also when it goes on from a saved state.
        lower, fixed = limits(self.field, self.flat, self.task.data)
        result = levenberg_marquardt(
            residual,
            self.flat.read() if state is None else state,
            steps=steps,
            goal=goal,
            lower=lower,
            fixed=fixed,
            patience=patience,
            tolerance=tolerance,
            damping=damping,
            on_step=on_step,
        )
        self.flat.write(result.p)
        return result

    def loss(self, *, whole: bool = False) -> float:
        """Mean square residual in units of each state's variance; infinity where it cannot be integrated."""
        return mean_square(self.residual(whole).value(self.flat.read()))

    def residual(self, whole: bool) -> ShootingResidual:
        """The shooting residual over segments or whole runs."""
        return ShootingResidual(self.flat, self.task.runs if whole else self.task.segments, rtol=self.task.rtol)


def candidates(
    field: ArithmeticField,
    task: Task,
    *,
    draws: int,
    generator: torch.Generator,
    derivative: bool = False,
    steps: int = 25,
) -> list[tuple[float, Fit]]:
    """The field as it is and redrawn ``draws`` times, each fitted by matching, best first.

    Where every input changes sign, exponents are drawn whole and stay so; a fit is then one linear solve, and
    25 times as many are drawn.
    """
    found = []
    if len(crossing_inputs(field)) == len(field.positive):
        draws *= 25
    for i in range(draws + 1 if power_layers(field) else 1):
        trial = copy.deepcopy(field)
        if i:
            draw_exponents_(trial, generator)
        fit = Fit(trial, task)
        result = fit.match(steps=steps, derivative=derivative)
        found.append((result.loss, fit))
    return sorted(found, key=lambda item: item[0])


def best_by_shooting(fits: list[Fit], *, keep: int) -> list[tuple[float, Fit]]:
    """The ``keep`` fits with the smallest segment loss, best first; those that cannot be integrated come last."""
    scored = sorted(((fit.loss(), fit) for fit in fits), key=lambda item: item[0])
    return scored[:keep]


def _without_effect(field: ArithmeticField) -> frozenset[str]:
    """Imaginary exponents that are all zero: over positive data their derivative is exactly zero.

    Over negative data they would only make the size of a power depend on the sign.
    """
    names = []
    for path, layer in power_layers(field).items():
        if layer.wi is None or layer.lifted or path != "layers.0":
            continue
        if bool((layer.wi == 0).all()):
            names.append(f"{path}.wi")
    return frozenset(names)

"""Gauss-Newton fits of a field: matching without a solver, then segments, then whole runs through the solver."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from neural_arith.fit.levenberg_marquardt import LMResult, LMState, OnStep, Residual, levenberg_marquardt, mean_square
from neural_arith.ode.flat import FlatField
from neural_arith.ode.matching import MatchingResidual, Targets, derivative_targets, integral_targets
from neural_arith.ode.residuals import PenalisedResidual, ShootingResidual
from neural_arith.ode.segments import Segments, cut
from neural_arith.ode.starts import crossing_inputs, draw_exponents_, limits, open_gates_, power_layers

if TYPE_CHECKING:
    from neural_arith.data import Trajectories
    from neural_arith.ode.field import ArithmeticField


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

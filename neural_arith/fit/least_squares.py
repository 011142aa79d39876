"""Least squares of a system's constants on trajectories: residuals, descents, and the way from a bad start."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from neural_arith.data import Trajectories
from neural_arith.equations.constants import Template
from neural_arith.equations.system import EquationSystem
from neural_arith.equations.terms import lay_out
from neural_arith.errors import DataError
from neural_arith.fit.levenberg_marquardt import descend
from neural_arith.fit.noise import NOTHING, SMALLEST
from neural_arith.fit.shooting import Compiled, Model, Piece, budget, cut, match_slopes, pieces_of, shortened

_GOOD = 0.05
"""Above this share of the variance a mean squared residual always asks for another start."""

_STEEPEST = 12.0
"""Largest size of a fitted exponent."""

_NEAR_ZERO = 1e-2
"""Starting value, as a share of the state's spread, instead of a negative one that has no slope."""

_PATIENCE = 12
"""How many solutions at the limit of their evaluations a fit may cost, for each run; good fits need one or two."""

_ROUGH = 25
"""Steps of the descents that only prepare a start."""


@dataclass(frozen=True)
class Point:
    """Where a fit stands.

    Attributes:
        constants: ``(constants,)``.
        starts: starting states, ``(pieces, states)``.
    """

    constants: np.ndarray
    starts: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """Where a fit ended.

    Attributes:
        point: the constants and starting states.
        squares: sum of squared residuals in units of ``sigma``; infinite after failure.
        sigma: the scatter of each state's residuals, ``(states,)``, not below the share that counts as none.
        log: whether residuals are those of logarithms.
        converged: whether the last step was negligible.
    """

    point: Point
    squares: float
    sigma: np.ndarray
    log: bool
    converged: bool


@dataclass(frozen=True)
class _Place:
    """The sum of squares at a point, as a function of the free constants and starting values."""

    problem: Problem
    point: Point
    free: np.ndarray
    moving: np.ndarray
    sigma: np.ndarray
    log: bool
    pieces: Sequence[Piece]

    def at(self, values: np.ndarray) -> _Place:
        """The same at other values."""
        constants, starts = self.point.constants.copy(), self.point.starts.copy()
        constants[self.free], starts[self.moving] = values[: self.free.size], values[self.free.size :]
        return replace(self, point=Point(constants, starts))

    def inside(self, values: np.ndarray) -> np.ndarray:
        """The same values, but for exponents that the data do not determine, which would wander off."""
        out, places = values.copy(), np.flatnonzero(np.isin(self.free, self.problem.exponents))
        out[places] = np.clip(out[places], -_STEEPEST, _STEEPEST)
        return out

    @property
    def values(self) -> np.ndarray:
        """The free constants, then the moving starting values."""
        return np.append(self.point.constants[self.free], self.point.starts[self.moving])

    @cached_property
    def sizes(self) -> np.ndarray:
        """Their sizes."""
        units = self.problem.units(self.point, self.free)
        return np.append(units[0, : self.free.size], units[:, self.free.size :][self.moving])

    @cached_property
    def _squares(self) -> float:
        return np.inf if self.problem.exhausted else self.problem.squares(self.point, self.sigma, self.log, self.pieces)

    @property
    def misfit(self) -> float:
        """The sum of squares; infinite after failure, or once the fit has cost too much."""
        return self._squares

    @cached_property
    def _parts(self) -> tuple[np.ndarray, np.ndarray]:
        parts = (
            None
            if self.problem.exhausted
            else self.problem.normal_equations(self.point, self.free, self.moving, self.sigma, self.log, self.pieces)
        )
        n = len(self.sizes)
        return (np.full((n, n), np.nan), np.full(n, np.nan)) if parts is None else parts

    @property
    def normal(self) -> np.ndarray:
        """Half its second derivatives."""
        return self._parts[0]

    @property
    def gradient(self) -> np.ndarray:
        """Half its slope."""
        return self._parts[1]


class Problem:
    """Least squares of one system on one set of trajectories.

    Args:
        equations: the system.
        template: its right-hand sides with open constants.
        data: the trajectories.
        fit_initial: whether starting states are free.
        relative: whether residuals are divided by the size of the measured value, not below a share of the state's.
    """

    def __init__(
        self,
        equations: EquationSystem,
        template: Template,
        data: Trajectories,
        fit_initial: bool = True,
        relative: bool = False,
    ) -> None:
        self.equations = equations
        self.template = template
        self.fit_initial = fit_initial
        self.exponents = np.flatnonzero(template.is_exponent)
        self.pieces = pieces_of(data, equations.states, equations.inputs)
        every = np.concatenate([piece.x for piece in self.pieces])
        self.spread = _spread(every)
        self.floor = SMALLEST * _size(every) if relative else None
        positive = every[every > 0]
        self.can_log = bool(np.all(every[np.isfinite(every)] >= 0)) and positive.size > 0
        with np.errstate(all="ignore"):
            self.log_spread = _spread(np.where(every > 0, np.log(every), np.nan))
        self.unit = self.spread
        if self.floor is not None:
            apart = (every - np.nanmean(every, axis=0)) / _weight(every, self.floor)
            self.unit = np.maximum(_size(apart), 1e-9)
        self.n_values = int(np.isfinite(every).sum())
        self.good = float(np.clip(10 * np.mean(_roughness(self.pieces) / self.spread**2), 1e-8, _GOOD))
        laid = lay_out(template, (*equations.states, *equations.inputs))
        self.model = self._by_scipy() if laid is None else Compiled(laid, template, self.pieces)
        self._limit = math.inf

    # ------------------------------------------------------------------ the whole way
    def fit(self, start: Point, free: np.ndarray, noise: str, max_iterations: int) -> Fitted:
        """Fit from anywhere: choose the kind of noise, mend a bad start, weigh the states by their scatter."""
        if noise == "log" and not self.can_log:
            raise DataError("noise='log' needs data that are never negative; use 'proportional' or 'additive'")
        best = self._patiently(start, free, noise, max_iterations)
        if np.isfinite(best.squares) or not isinstance(self.model, Compiled):
            return best
        self.model = self._by_scipy()  # it may be stiff, or have values where terms have none
        return self._patiently(start, free, noise, max_iterations)

    def _by_scipy(self) -> Model | Compiled:
        return Model(self.template, self.equations.states, self.equations.inputs, self.spread)

    def _patiently(self, start: Point, free: np.ndarray, noise: str, max_iterations: int) -> Fitted:
        self._limit = self.model.spent + _PATIENCE * sum(budget(piece) for piece in self.pieces)
        try:
            return self._fit(start, free, noise, max_iterations)
        finally:
            self._limit = math.inf

    def _fit(self, start: Point, free: np.ndarray, noise: str, max_iterations: int) -> Fitted:
        start = self._in_domain(start) if self.fit_initial else start
        best = self._from_anywhere(start, free, noise == "log", max_iterations)
        best = self.reweighted(best, free, max_iterations)
        if noise == "auto" and self.can_log and np.isfinite(best.squares) and not self.is_clean(best):
            # starting states come from the data again: a fitted one may be negative, where a logarithm has no value
            point = Point(best.point.constants, start.starts)
            other = self.descend(point, free, self.log_spread, True, max_iterations)
            other = self.reweighted(other, free, max_iterations)
            if self._likelihood(other) > self._likelihood(best):
                return other
        return best

    def is_clean(self, fitted: Fitted) -> bool:
        """Whether nothing is left to explain."""
        return bool(np.all(fitted.sigma <= 1.001 * NOTHING * self._unit(fitted.log)))

    def _unit(self, log: bool) -> np.ndarray:
        return self.log_spread if log else self.unit

    def _in_domain(self, point: Point) -> Point:
        """Small positive starting values where noise took measured ones to where a root or logarithm has no value."""
        starts = point.starts.copy()
        for piece, own in zip(shortened(self.pieces, 0.0), starts, strict=True):
            negative = np.flatnonzero(own < 0)
            # no start, then each alone, then all of them: the first that has a slope
            for changed in ([], *[[i] for i in negative], negative):
                trial = own.copy()
                trial[changed] = _NEAR_ZERO * self.spread[changed]
                if self.model.states(piece, point.constants, trial) is not None:
                    own[:] = trial
                    break
        return Point(point.constants, starts)

    def _from_anywhere(self, start: Point, free: np.ndarray, log: bool, max_iterations: int) -> Fitted:
        unit = self._unit(log)
        makers = [self._as_given, self._by_stretches, self._by_growing]
        if self.squares(start, unit, log) > _GOOD * self.n_values:
            # so far off, single shooting crawls: carry measured states over short stretches first
            makers = [self._by_stretches, self._as_given, self._by_growing]
        best = Fitted(start, np.inf, unit, log, False)
        tried: list[Point] = []
        for make in makers:
            point = make(start, free, log)
            if any(point is other for other in tried):
                continue
            tried.append(point)
            found = self.descend(point, free, unit, log, max_iterations)
            best = min(best, found, key=lambda fitted: fitted.squares)
            if self.loss(best) < self.good or self.exhausted:
                break
        return best

    @property
    def exhausted(self) -> bool:
        """Whether a fit has cost so much that it is given up where it stands."""
        return self.model.spent > self._limit

    def _as_given(self, start: Point, free: np.ndarray, log: bool) -> Point:
        return start

    def _by_stretches(self, start: Point, free: np.ndarray, log: bool) -> Point:
        """Constants that carry short stretches from one measured state to the next ones, longer by and by."""
        constants = match_slopes(self.template, self.equations, self.pieces, start.constants, free, self.spread)
        for n_samples in (2, 6):
            short = cut(self.pieces, n_samples)
            point = Point(constants, np.array([piece.start for piece in short]))
            found = self.descend(point, free, self._unit(log), log, _ROUGH, pieces=short, hold_starts=True)
            if np.isfinite(found.squares):
                constants = found.point.constants
        return start if constants is start.constants else Point(constants, start.starts)

    def _by_growing(self, start: Point, free: np.ndarray, log: bool) -> Point:
        """Constants that carry the first part of every run, then more of it."""
        point = start
        for share in (0.1, 0.2, 0.4, 0.7):
            part = shortened(self.pieces, share)
            found = self.descend(point, free, self._unit(log), log, _ROUGH, pieces=part)
            if np.isfinite(found.squares):
                point = found.point
        return point

    def reweighted(self, fitted: Fitted, free: np.ndarray, max_iterations: int) -> Fitted:
        """Weigh states by the scatter of their own residuals, and descend again where that changes weights."""
        for _ in range(3):
            sigma = self._scatter(fitted)
            if sigma is None:
                return fitted
            ratio = sigma / fitted.sigma
            same = bool(ratio.max() < 1.2 * ratio.min())
            again = self.descend(fitted.point, free, sigma, fitted.log, 1 if same else max_iterations)
            if not np.isfinite(again.squares):
                return fitted
            fitted = Fitted(again.point, again.squares, sigma, fitted.log, again.converged or fitted.converged)
            if same:
                break
        return fitted

    def _scatter(self, fitted: Fitted) -> np.ndarray | None:
        residuals = self.residuals(fitted.point, np.ones(len(self.spread)), fitted.log)
        if residuals is None:
            return None
        every = np.concatenate(residuals)
        with np.errstate(invalid="ignore"):
            counts = np.maximum(np.isfinite(every).sum(0), 1)
        return np.maximum(np.sqrt(np.nansum(every**2, 0) / counts), NOTHING * self._unit(fitted.log))

    def _likelihood(self, fitted: Fitted) -> float:
        """Log-likelihood of the positive values, constants apart, comparable between both kinds of noise."""
        if not np.isfinite(fitted.squares):
            return -np.inf
        residuals = self.residuals(fitted.point, np.ones(len(self.spread)), fitted.log)
        if residuals is None:
            return -np.inf
        every = np.concatenate(residuals)
        values = np.concatenate([piece.x for piece in self.pieces])
        total = 0.0
        for j in range(every.shape[1]):
            use = np.isfinite(every[:, j]) & (values[:, j] > 0)
            if use.any():
                total -= (
                    use.sum() / 2 * np.log(np.mean(every[use, j] ** 2) + (NOTHING * self._unit(fitted.log)[j]) ** 2)
                )
                total -= np.log(values[use, j]).sum() if fitted.log else 0.0
        return float(total)

    # ------------------------------------------------------------------ one descent
    def descend(
        self,
        point: Point,
        free: np.ndarray,
        sigma: np.ndarray,
        log: bool,
        max_iterations: int,
        *,
        pieces: Sequence[Piece] | None = None,
        hold_starts: bool = False,
    ) -> Fitted:
        """Levenberg-Marquardt from one point."""
        pieces = self.pieces if pieces is None else pieces
        moving = self._moving_starts(pieces, log) & (self.fit_initial and not hold_starts)
        place = _Place(self, point, free, moving, sigma, log, pieces)
        if not np.isfinite(place.misfit) or not (free.size or moving.any()):
            return Fitted(point, place.misfit, sigma, log, bool(np.isfinite(place.misfit)))

        def settled(gain: float, misfit: float, step: np.ndarray) -> bool:
            return gain < 1e-9 * (misfit + gain) and float(np.abs(step / place.sizes).max()) < 1e-5

        _, here, converged = descend(
            place.at, place.values, place, steps=max_iterations, settled=settled, inside=place.inside
        )
        return Fitted(here.point, here.misfit, sigma, log, converged and not self.exhausted)

    def _moving_starts(self, pieces: Sequence[Piece], log: bool) -> np.ndarray:
        """Which starting values are free; an exact zero under proportional noise is known exactly."""
        first = np.array([piece.x[0] for piece in pieces])
        return ~(first == 0) if log else np.ones(first.shape, dtype=bool)

    def units(self, point: Point, free: np.ndarray) -> np.ndarray:
        """The sizes of the free constants, then of the starting states, ``(pieces, free + states)``."""
        size = np.abs(point.constants[free])
        starts = np.clip(np.abs(point.starts), 1e-3 * self.spread, self.spread)
        return np.hstack([np.tile(np.where(size > 0, size, 1.0), (len(starts), 1)), starts])

    def residuals(
        self, point: Point, sigma: np.ndarray, log: bool, pieces: Sequence[Piece] | None = None
    ) -> list[np.ndarray] | None:
        """For each piece ``(model - measured)/sigma``, ``(time, states)``, NaN where missing; None after failure."""
        out = []
        for piece, start in zip(self.pieces if pieces is None else pieces, point.starts, strict=True):
            x = self.model.states(piece, point.constants, start)
            if x is None:
                return None
            part = _difference(x, piece.x, log, self.floor)
            if part is None:
                return None
            out.append(part / sigma)
        return out

    def squares(self, point: Point, sigma: np.ndarray, log: bool, pieces: Sequence[Piece] | None = None) -> float:
        """Sum of squared residuals; infinite after failure."""
        residuals = self.residuals(point, sigma, log, pieces)
        if residuals is None:
            return np.inf
        with np.errstate(over="ignore"):
            return float(sum(np.nansum(part**2) for part in residuals))

    def normal_equations(
        self,
        point: Point,
        free: np.ndarray,
        moving: np.ndarray,
        sigma: np.ndarray,
        log: bool,
        pieces: Sequence[Piece],
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Normal matrix and gradient in the unknowns: free constants, then the moving starting values."""
        p, units = free.size, self.units(point, free)
        place = np.full(moving.shape, -1)
        place[moving] = p + np.arange(int(moving.sum()))
        normal = np.zeros((p + int(moving.sum()),) * 2)
        gradient = np.zeros(len(normal))
        for index, (piece, start) in enumerate(zip(pieces, point.starts, strict=True)):
            slopes = self.model.sensitivities(piece, point.constants, start, free, units[index])
            x = self.model.states(piece, point.constants, start)
            residual = None if x is None else _difference(x, piece.x, log, self.floor)
            if slopes is None or x is None or residual is None:
                return None
            if log:
                with np.errstate(all="ignore"):
                    slopes = slopes / x[..., None]
            elif self.floor is not None:
                slopes = slopes / _weight(piece.x, self.floor)[..., None]
            use = np.isfinite(residual)
            rows = (slopes / units[index] / sigma[:, None])[use]
            columns = np.concatenate([np.arange(p), place[index]])
            keep = columns >= 0
            rows, columns = rows[:, keep], columns[keep]
            if not np.all(np.isfinite(rows)):
                return None
            normal[np.ix_(columns, columns)] += rows.T @ rows
            gradient[columns] += rows.T @ (residual / sigma)[use]
        return normal, gradient

    # ------------------------------------------------------------------ what comes out
    def loss(self, fitted: Fitted) -> float:
        """Mean squared residual in units of each state's variance."""
        residuals = self.residuals(fitted.point, self._unit(fitted.log), fitted.log)
        if residuals is None:
            return np.inf
        return float(np.nanmean(np.concatenate(residuals) ** 2))

    def covariance(self, fitted: Fitted, free: np.ndarray) -> np.ndarray | None:
        """Covariance of the free constants (starting states fitted beside), ``(free, free)``.

        NaN for those that the data do not see; None where they cannot tell the others apart.
        """
        moving = self._moving_starts(self.pieces, fitted.log) & self.fit_initial
        parts = self.normal_equations(fitted.point, free, moving, fitted.sigma, fitted.log, self.pieces)
        if parts is None:
            return None
        size = np.sqrt(np.diag(parts[0]))
        known = size > 0
        scaled = parts[0][np.ix_(known, known)] / np.outer(size[known], size[known])
        if not known.any() or np.linalg.cond(scaled) > 1e14:
            return None
        inverse = np.full(parts[0].shape, np.nan)
        inverse[np.ix_(known, known)] = np.linalg.inv(scaled) / np.outer(size[known], size[known])
        excess = self.n_values / max(self.n_values - len(size), 1)
        return excess * inverse[: free.size, : free.size]


def _difference(
    model: np.ndarray, measured: np.ndarray, log: bool, floor: np.ndarray | None = None
) -> np.ndarray | None:
    """Model minus measured (in shares of the measured with a floor), or of logarithms; None where there is none."""
    if not log:
        return model - measured if floor is None else (model - measured) / _weight(measured, floor)
    use = measured > 0
    if np.any(model[use] <= 0):
        return None
    out = np.full(measured.shape, np.nan)
    out[use] = np.log(model[use] / measured[use])
    return out


def _weight(measured: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """What a residual is divided by where noise is in proportion to the value."""
    return np.maximum(np.abs(measured), floor)


def _size(values: np.ndarray) -> np.ndarray:
    """Root mean square of each column, or 1 where that is zero."""
    counts = np.maximum(np.isfinite(values).sum(0), 1)
    size = np.sqrt(np.nansum(values**2, axis=0) / counts)
    return np.where(size > 0, size, 1.0)


def _roughness(pieces: Sequence[Piece]) -> np.ndarray:
    """Variance of the noise in each state, from how far samples lie off the cubic through their four neighbours.

    On sparse samples it is too large, which here only means that a fit is trusted sooner.
    """
    out = np.full(pieces[0].x.shape[1], np.inf)
    for j in range(len(out)):
        squares = []
        for piece in pieces:
            known = np.isfinite(piece.x[:, j])
            t, x = piece.t[known], piece.x[known, j]
            if len(t) < 5:
                continue
            around = np.stack([t[:-4], t[1:-3], t[3:-1], t[4:]])
            weight = np.ones_like(around)
            for k in range(4):
                for m in range(4):
                    if m != k:
                        weight[k] *= (t[2:-2] - around[m]) / (around[k] - around[m])
            guess = (weight * np.stack([x[:-4], x[1:-3], x[3:-1], x[4:]])).sum(0)
            squares.append((x[2:-2] - guess) ** 2 / (1 + (weight**2).sum(0)))
        if squares:
            out[j] = np.mean(np.concatenate(squares))
    return out


def _spread(values: np.ndarray) -> np.ndarray:
    """Standard deviation of each column, or its size where it does not vary, or 1."""
    out = np.ones(values.shape[1])
    for j, column in enumerate(values.T):
        known = column[np.isfinite(column)]
        if known.size:
            size = float(np.abs(known).max())
            deviation = float(known.std())
            out[j] = deviation if deviation > 1e-9 * size else size if size > 0 else 1.0
    return out

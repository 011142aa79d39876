"""Trajectories of a system with open constants, and how they change with constants and starting states.

Forward sensitivities are integrated beside the states (Hairer, Norsett, Wanner: Solving Ordinary Differential
Equations I, section I.14): by the compiled solver where right-hand sides are sums of units, else by SciPy. There finite
differences take over where a derivative does not exist, as that of sqrt(x) at x = 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from scipy.optimize import least_squares

from neural_arith.data import Run, Trajectories
from neural_arith.equations.constants import Template
from neural_arith.equations.export import array_function, scalar_function
from neural_arith.equations.system import EquationSystem
from neural_arith.equations.terms import Laid
from neural_arith.errors import DataError
from neural_arith.fit.segments import edges
from neural_arith.solve import solve
from neural_arith.solve.compiled.integrate import evaluate
from neural_arith.solve.compiled.prediction import NEVER
from neural_arith.solve.compiled.tables import Tables, pack
from neural_arith.solve.compiled.values import load_numbers

_RTOL = 1e-9
_ATOL = 1e-11  # in units of each state's spread
_FAR = 1e4  # times the largest measured value: what goes beyond is not followed by the compiled solver
_SLOPE_RTOL = 1e-6  # of sensitivities: the residuals are exact, slopes only steer the descent


@dataclass(frozen=True)
class Piece:
    """A stretch of one run, integrated from a starting state of its own.

    Attributes:
        t: times, ``(time,)``.
        x: measured states, ``(time, states)``, NaN where missing.
        u: inputs, ``(time, inputs)``, or None.
        start: first guess of the state at ``t[0]``, ``(states,)``.
    """

    t: np.ndarray
    x: np.ndarray
    u: np.ndarray | None
    start: np.ndarray


def pieces_of(data: Trajectories, states: Sequence[str], inputs: Sequence[str]) -> list[Piece]:
    """One piece for each run, columns in the order of the system.

    Raises:
        DataError: the data lack a state or an input of the system.
    """
    missing = [name for name in states if name not in data.names]
    missing += [name for name in inputs if name not in data.input_names]
    if missing or len(data.names) != len(states):
        raise DataError(
            f"the equations have states {', '.join(states)} and inputs {', '.join(inputs) or '(none)'}, the data "
            f"have {', '.join(data.names)} and {', '.join(data.input_names) or '(none)'}; give data of the same"
        )
    columns = [data.names.index(name) for name in states]
    drives = [data.input_names.index(name) for name in inputs]
    return [_piece(run, columns, drives) for run in data.runs]


def _piece(run: Run, columns: list[int], drives: list[int]) -> Piece:
    x = run.x[:, columns]
    start = np.zeros(len(columns))
    for j, column in enumerate(x.T):
        known = np.isfinite(column)
        if known.any():
            start[j] = column[known][0]
    return Piece(run.t, x, run.u[:, drives] if run.u is not None and drives else None, start)


def cut(pieces: Sequence[Piece], n_samples: int) -> list[Piece]:
    """Cut runs into stretches of about so many samples, which start at measured states."""
    out: list[Piece] = []
    for piece in pieces:
        for a, b in itertools.pairwise(edges(np.asarray(np.isfinite(piece.x).all(axis=1)), n_samples)):
            rows = slice(a, b + 1)
            start = piece.start if a == 0 else piece.x[a]
            if b > a:
                out.append(Piece(piece.t[rows], piece.x[rows], None if piece.u is None else piece.u[rows], start))
    return out


def shortened(pieces: Sequence[Piece], share: float) -> list[Piece]:
    """The first part of every run, at least four samples."""
    out = []
    for piece in pieces:
        n = max(min(4, len(piece.t)), math.ceil(share * len(piece.t)))
        out.append(Piece(piece.t[:n], piece.x[:n], None if piece.u is None else piece.u[:n], piece.start))
    return out


def match_slopes(
    template: Template,
    equations: EquationSystem,
    pieces: Sequence[Piece],
    constants: np.ndarray,
    free: np.ndarray,
    spread: np.ndarray,
) -> np.ndarray:
    """Constants by which the right-hand sides, integrated over the samples by trapezoids, explain the steps.

    Crude, but nothing is solved, so nothing can blow up: a start for better fits.

    Args:
        template: right-hand sides with open constants.
        equations: the system they come from.
        pieces: the runs.
        constants: first guess, all constants.
        free: numbers of the constants to fit.
        spread: unit of each state.

    Returns:
        New constants, or the first guess where nothing better was found.
    """
    names = [*equations.states, *equations.inputs, *(f"c{i}" for i in range(len(constants)))]
    opened = {symbol: sp.Symbol(f"c{i}") for i, symbol in enumerate(template.symbols)}
    if not free.size or len(set(names)) < len(names):
        return constants
    opened_rhs: list[Any] = [expr.xreplace(opened) for expr in template.expressions]
    function = array_function(opened_rhs, names)
    steps = [_steps(piece) for piece in pieces]
    before, after, gaps, moves = (np.concatenate([part[i] for part in steps]) for i in range(4))
    if len(moves) < 2:
        return constants
    size = np.where(constants[free] != 0, np.abs(constants[free]), 1.0)

    def misfit(shares: np.ndarray) -> np.ndarray:
        trial = constants.copy()
        trial[free] = shares * size
        slopes = [function(np.hstack([part, np.tile(trial, (len(part), 1))])) for part in (before, after)]
        out = ((slopes[0] + slopes[1]) / 2 * gaps[:, None] - moves) / spread
        return np.clip(np.nan_to_num(out, nan=1e6, posinf=1e6, neginf=-1e6), -1e6, 1e6).ravel()

    first = constants[free] / size
    found = least_squares(misfit, first, max_nfev=200, loss="soft_l1")
    out = constants.copy()
    out[free] = found.x * size
    return out if np.all(np.isfinite(out)) and found.cost < 0.5 * np.sum(misfit(first) ** 2) else constants


def _steps(piece: Piece) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """States and inputs before and after each step between complete samples, its length, and the move."""
    table = piece.x if piece.u is None else np.hstack([piece.x, piece.u])
    whole = np.isfinite(table).all(1)
    table, t, d = table[whole], piece.t[whole], piece.x.shape[1]
    return table[:-1], table[1:], np.diff(t), np.diff(table[:, :d], axis=0)


class Compiled:
    """Solves a template for given constants, its right-hand sides laid out as terms for the compiled solver.

    Args:
        laid: the template's right-hand sides.
        template: right-hand sides with open constants.
        pieces: the runs.
    """

    def __init__(self, laid: Laid, template: Template, pieces: Sequence[Piece]) -> None:
        self.spent = 0  # steps so far
        every = np.concatenate([piece.x for piece in pieces])
        size = np.nanmax(np.abs(every), axis=0, initial=0.0)
        self.n_states, self.n_terms = every.shape[1], laid.structure.n_terms
        self._bound = _FAR * np.where(size > 0, size, 1.0)
        self._roots = sorted(laid.roots)
        self._log_scale = np.zeros(
            len(next(iter(laid.structure.units)).powers) if laid.structure.units else self.n_states
        )
        slopes = [_derivative(value, c) for value in laid.values for c in template.symbols]
        self._values = _compiled([*laid.values, *slopes], template.symbols)
        theta, _ = self._theta(np.array(template.values))
        many = pack([laid.structure], [theta], np.exp(self._log_scale))
        self._tables = Tables(*(array[0] for array in many))

    def _theta(self, constants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values of the terms, and their derivatives in the constants."""
        found = np.array(self._values(*constants.tolist()), dtype=float)
        n = len(found) // (1 + len(constants))
        return found[:n], found[n:].reshape(n, len(constants))

    def states(self, piece: Piece, constants: np.ndarray, start: np.ndarray) -> np.ndarray | None:
        """As :meth:`Model.states`."""
        found = self._integrated(piece, self._theta(constants)[0], start, 1)
        return None if found is None else found[..., 0]

    def sensitivities(
        self, piece: Piece, constants: np.ndarray, start: np.ndarray, free: np.ndarray, steps: np.ndarray
    ) -> np.ndarray | None:
        """As :meth:`Model.sensitivities`."""
        theta, by_constant = self._theta(constants)
        found = self._integrated(piece, theta, start, 1 + len(theta) + self.n_states)
        if found is None:
            return None
        numbers, starts = found[..., 1 : 1 + len(theta)], found[..., 1 + len(theta) :]
        return np.concatenate([numbers @ by_constant[:, free], starts], axis=2) * steps

    def _integrated(self, piece: Piece, theta: np.ndarray, start: np.ndarray, columns: int) -> np.ndarray | None:
        """States and sensitivities at the samples, ``(time, states, columns)``."""
        n = len(theta)
        inputs = np.zeros((len(piece.t), 0)) if piece.u is None else np.ascontiguousarray(piece.u)
        if not np.isfinite(theta).all() or not np.isfinite(start).all():
            return None
        load_numbers(self._tables, theta[self.n_terms :])
        d, limit = self.n_states, budget(piece)
        size = n + d if columns > 1 else 0
        normal, gradient = np.zeros((d + 1, size, n + 2 * d)), np.zeros((d + 1, size))
        out, nothing = np.empty((len(piece.t), d, columns)), np.zeros((len(piece.t), d))
        alone, none = np.array([0, len(piece.t)]), np.zeros(1, dtype=bool)
        gaps, left = evaluate(
            theta, start[None], self._log_scale, self._tables, piece.t, nothing, nothing, inputs, alone, none,
            np.zeros(d), False, _RTOL, self._bound, limit, columns, normal, gradient, np.empty(d), out, True, NEVER,
        )  # fmt: skip
        self.spent += limit - max(left, -1 - left)
        met = np.hstack([out[..., 0], inputs])
        return out if np.isfinite(gaps) and np.all(met[:, self._roots] >= 0) and np.isfinite(out).all() else None


class Model:
    """Solves a template for given constants.

    Args:
        template: right-hand sides with open constants.
        states: names of the states.
        inputs: names of the inputs.
        spread: typical size of the variation of each state, ``(states,)``, for absolute tolerances.
    """

    def __init__(self, template: Template, states: Sequence[str], inputs: Sequence[str], spread: np.ndarray) -> None:
        self.n_states, self.n_constants = len(states), len(template.symbols)
        self.spread = spread
        self.spent = 0  # evaluations of right-hand sides so far
        names = [*states, *inputs]
        real = [sp.Dummy(real=True) for _ in names]
        swap = {sp.Symbol(name): symbol for name, symbol in zip(names, real, strict=True)}
        f = [sp.sympify(expr).xreplace(swap) for expr in template.expressions]
        slopes = [_derivative(g, v) for g in f for v in real[: self.n_states]]
        slopes += [_derivative(g, c) for g in f for c in template.symbols]
        arguments = [*real, *template.symbols]
        self._f = _compiled(f, arguments)
        self._slopes = _compiled([*f, *slopes], arguments)

    def states(self, piece: Piece, constants: np.ndarray, start: np.ndarray) -> np.ndarray | None:
        """The states at the times of the piece, ``(time, states)``; None when its end is not reached."""
        if not np.all(np.isfinite(start)):
            return None
        numbers = constants.tolist()
        drive = _drive(piece)

        def f(time: float, x: np.ndarray) -> list[float]:
            return self._f(*x.tolist(), *drive(time), *numbers)

        found = solve(
            f, start, piece.t, rtol=_RTOL, atol=_ATOL * self.spread, max_evaluations=budget(piece), throw=False
        )
        self.spent += found.n_evaluations
        return found.x if found.ok else None

    def sensitivities(
        self, piece: Piece, constants: np.ndarray, start: np.ndarray, free: np.ndarray, steps: np.ndarray
    ) -> np.ndarray | None:
        """How the states change with constants and starting state.

        Args:
            piece: where.
            constants: all constants.
            start: starting state.
            free: numbers of the constants to differentiate by.
            steps: unit in which each of these constants, then each starting state, is measured.

        Returns:
            Derivatives of the states per unit, ``(time, states, free + states)``, or None.
        """
        d, p = self.n_states, len(free)
        numbers = constants.tolist()
        drive = _drive(piece)

        def f(time: float, z: np.ndarray) -> np.ndarray:
            values = np.array(self._slopes(*z[:d].tolist(), *drive(time), *numbers))
            jacobian = values[d : d + d * d].reshape(d, d)
            by_constant = values[d + d * d :].reshape(d, -1)[:, free] * steps[:p]
            if not np.all(np.isfinite(by_constant)):
                # x**c*log(x) at x = 0 is 0 in the limit
                by_constant = np.where(np.isfinite(by_constant), by_constant, 0.0)
            moved = jacobian @ z[d:].reshape(d, p + d)
            moved[:, :p] += by_constant
            return np.concatenate([values[:d], moved.ravel()])

        first = np.zeros((d, p + d))
        first[:, p:] = np.diag(steps[p:])
        atol = 1e-3 * _SLOPE_RTOL * np.concatenate([self.spread, np.repeat(self.spread, p + d)])
        z0 = np.concatenate([start, first.ravel()])
        found = solve(f, z0, piece.t, rtol=_SLOPE_RTOL, atol=atol, max_evaluations=budget(piece), throw=False)
        self.spent += found.n_evaluations
        if found.ok:
            return found.x[:, d:].reshape(-1, d, p + d)
        return self._differences(piece, constants, start, free, steps)

    def _differences(
        self, piece: Piece, constants: np.ndarray, start: np.ndarray, free: np.ndarray, steps: np.ndarray
    ) -> np.ndarray | None:
        base = self.states(piece, constants, start)
        if base is None:
            return None
        p = len(free)
        out = np.zeros((*base.shape, p + self.n_states))
        for k in range(p + self.n_states):
            for size in (1e-5, -1e-5, 1e-7):
                moved_constants, moved_start = constants.copy(), start.copy()
                if k < p:
                    moved_constants[free[k]] += size * steps[k]
                else:
                    moved_start[k - p] += size * steps[k]
                moved = self.states(piece, moved_constants, moved_start)
                if moved is not None:
                    out[..., k] = (moved - base) / size
                    break
        return out


def budget(piece: Piece) -> int:
    """Evaluations after which one solution over a piece is given up."""
    return 5_000 + 100 * len(piece.t)


def _derivative(expr: Any, by: sp.Symbol) -> Any:
    slope = sp.diff(expr, by)
    # the jump of sign(x) is left out
    return slope.replace(sp.DiracDelta, lambda *_: sp.S.Zero)


def _compiled(expressions: Sequence[Any], arguments: Sequence[sp.Symbol]) -> Callable[..., list[float]]:
    names = [f"a{i}" for i in range(len(arguments))]
    swap = {argument: sp.Symbol(name) for argument, name in zip(arguments, names, strict=True)}
    return scalar_function([expr.xreplace(swap) for expr in expressions], names)


def _drive(piece: Piece) -> Callable[[float], list[float]]:
    if piece.u is None:
        return lambda time: []
    columns = [np.ascontiguousarray(column) for column in piece.u.T]
    return lambda time: [float(np.interp(time, piece.t, column)) for column in columns]

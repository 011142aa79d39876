"""One initial value problem through SciPy, every failure typed instead of printed, warned about or endless.

The step loop is ours (SciPy's solver objects, not ``solve_ivp``): only then are the last accepted time
and state known when something goes wrong, and only then is a bound checked on accepted states rather than on
the trial points of an implicit step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import BDF, DOP853, LSODA, RK45, OdeSolver, Radau

from neural_arith.data.checks import to_floats
from neural_arith.errors import DataError, IntegrationError, OptionError

METHODS: dict[str, Callable[..., OdeSolver]] = {
    "LSODA": LSODA,
    "RK45": RK45,
    "DOP853": DOP853,
    "Radau": Radau,
    "BDF": BDF,
}
"""The SciPy solvers that `solve` accepts. LSODA switches between stiff and non-stiff by itself."""

_GROWTH = 1e12  # default bound: this many times (1 + the largest initial magnitude)
_GREW = 1e6  # a solver that gives up after this growth met a pole of the solution, not stiffness
_PATIENCE, _AT_THE_START = 20_000, 1e-12  # evaluations after which this share of the time span must lie behind


class Status(Enum):
    """How an integration ended.

    Examples:
        >>> from neural_arith.solve import Status, solve
        >>> found = solve(lambda t, x: x**2, [1.0], [0.0, 2.0], throw=False)  # infinite at t = 1
        >>> found.status is Status.BLOW_UP, found.ok
        (True, False)
    """

    DONE = "done"
    BLOW_UP = "blow-up"
    STIFF_OR_SLOW = "stiff or slow"
    NOT_FINITE = "not finite"


@dataclass(frozen=True)
class Solution:
    """A solved (or stopped) initial value problem.

    Attributes:
        t: the requested times, shape ``(time,)``.
        x: the states there, shape ``(time, states)``; NaN after the last time that was reached.
        status: how it ended.
        message: one sentence; empty when done.
        n_evaluations: evaluations of the right-hand side.

    Examples:
        >>> from neural_arith.solve import solve
        >>> found = solve(lambda t, x: -x, [1.0], [0.0, 1.0, 2.0])
        >>> found.ok, found.x.round(4).tolist()
        (True, [[1.0], [0.3679], [0.1353]])
    """

    t: np.ndarray = field(repr=False)
    x: np.ndarray = field(repr=False)
    status: Status
    message: str
    n_evaluations: int

    @property
    def ok(self) -> bool:
        """Whether the end of the time span was reached."""
        return self.status is Status.DONE


class _Stop(Exception):
    """Raised inside the right-hand side to leave the solver."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


def solve(
    f: Callable[[float, np.ndarray], ArrayLike],
    x0: ArrayLike,
    t: ArrayLike,
    *,
    method: str = "LSODA",
    rtol: float = 1e-8,
    atol: float | ArrayLike = 1e-10,
    bound: float | None = None,
    max_evaluations: int = 200_000,
    throw: bool = True,
) -> Solution:
    """Integrate ``dx/dt = f(t, x)`` from ``x0`` at ``t[0]`` and report the states at all of ``t``.

    Time is scaled to the unit interval inside, so spans of 1e-12 or 1e12 behave alike.

    Args:
        f: right-hand side, ``f(t, x)`` with ``x`` of shape ``(states,)``, returning ``(states,)``.
        x0: state at ``t[0]``, shape ``(states,)``, finite.
        t: times, shape ``(time,)``, strictly increasing or strictly decreasing; one time alone is allowed.
        method: one of ``LSODA``, ``RK45``, ``DOP853``, ``Radau``, ``BDF``.
        rtol: relative tolerance per step, above 0.
        atol: absolute tolerance per step, a number or one per state, not negative.
        bound: stop as a blow-up when a state's magnitude passes this; by default 1e12 times ``1 + max|x0|``.
        max_evaluations: stop after this many evaluations of ``f``.
        throw: raise on failure; otherwise the failure stands in ``Solution.status``.

    Returns:
        The solution.

    Raises:
        DataError: ``x0``, ``t`` or the shape of what ``f`` returns is not as described.
        OptionError: an unknown method, or a tolerance, bound or budget out of range.
        IntegrationError: the end was not reached and ``throw`` is true; it carries time, state and reason.
            Errors that ``f`` itself raises pass through unchanged.

    Examples:
        >>> from neural_arith.solve import solve
        >>> solve(lambda t, x: [x[1], -x[0]], [0.0, 1.0], [0.0, 1.0]).x[-1].round(6).tolist()  # sin(1), cos(1)
        [0.841471, 0.540302]
    """
    start, times = _checked_start(x0), _checked_times(t)
    limit = _checked_options(method, rtol, atol, bound, max_evaluations, start)
    x = np.full((times.size, start.size), np.nan)
    x[0] = start
    if times.size == 1:
        return Solution(times, x, Status.DONE, "", 0)

    origin, span = times[0], times[-1] - times[0]
    grid = (times - origin) / span
    grid[-1] = 1.0
    count, reached = 0, 0.0

    def scaled(s: float, state: np.ndarray) -> np.ndarray:
        nonlocal count
        if count >= max_evaluations:
            raise _Stop(
                Status.STIFF_OR_SLOW,
                f"{max_evaluations} evaluations of the right-hand side were not enough; loosen rtol, atol, "
                "try method='Radau' for a stiff system, or raise max_evaluations",
            )
        if count == _PATIENCE and reached < _AT_THE_START:
            raise _Stop(
                Status.STIFF_OR_SLOW,
                f"after {count} evaluations of the right-hand side time stands still at its start; the motion is too "
                "fast for this span: shorten it, or start elsewhere",
            )
        count += 1
        slope = np.asarray(f(origin + s * span, state), dtype=float).reshape(-1)
        if slope.size != start.size:
            raise DataError(f"f returned {slope.size} numbers for {start.size} states; return one slope per state")
        if not np.all(np.isfinite(slope)):
            raise _Stop(Status.NOT_FINITE, f"the right-hand side is not finite near state {_short(state)}")
        return slope * span

    state, filled = start, 1
    status, message = Status.DONE, ""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # SciPy reports trouble as warnings as well; here it is a status
        warnings.simplefilter("ignore")
        try:
            solver = METHODS[method](scaled, 0.0, start, 1.0, rtol=rtol, atol=atol)
            while solver.status == "running":
                said = solver.step()
                if solver.status == "failed":
                    raise _Stop(Status.STIFF_OR_SLOW, said or "the solver could not take a further step")
                if not np.all(np.isfinite(solver.y)):
                    raise _Stop(Status.NOT_FINITE, "the state is not finite")
                reached, state = float(solver.t), np.array(solver.y)
                if np.max(np.abs(state)) > limit:
                    raise _Stop(Status.BLOW_UP, f"a state passed the bound {limit:.3g}")
                upto = int(np.searchsorted(grid, reached, side="right"))
                if upto > filled:
                    x[filled:upto] = solver.dense_output()(grid[filled:upto]).T
                    filled = upto
        except _Stop as stop:
            status, message = stop.status, str(stop)
        if status is not Status.DONE and np.max(np.abs(state)) > _GREW * (1 + np.max(np.abs(start))):
            status = Status.BLOW_UP
    if status is not Status.DONE and throw:
        raise IntegrationError(f"{status.value}: {message}", time=float(origin + reached * span), state=state)
    return Solution(times, x, status, message, count)


def _short(state: np.ndarray) -> str:
    return np.array2string(state, precision=4, threshold=8)


def _checked_start(x0: ArrayLike) -> np.ndarray:
    start = to_floats(x0, "x0")
    if start.ndim != 1 or start.size == 0:
        raise DataError(f"x0 must hold one number per state, shape (states,), but has shape {start.shape}")
    if not np.all(np.isfinite(start)):
        raise DataError(f"x0 must be finite, but is {_short(start)}")
    return start


def _checked_times(t: ArrayLike) -> np.ndarray:
    times = to_floats(t, "t")
    if times.ndim == 0:
        times = times.reshape(1)
    if times.ndim != 1 or times.size == 0:
        raise DataError(f"t must hold at least one time, shape (time,), but has shape {times.shape}")
    if not np.all(np.isfinite(times)):
        raise DataError(f"t must be finite; entry {int(np.argmin(np.isfinite(times)))} is not")
    steps = np.diff(times)
    if times.size > 1 and not (np.all(steps > 0) or np.all(steps < 0)):
        wrong = int(np.argmax(steps * np.sign(times[-1] - times[0]) <= 0)) + 1
        raise DataError(f"t must be strictly increasing or strictly decreasing; entry {wrong} is not; sort the times")
    return times


def _checked_options(
    method: str,
    rtol: float,
    atol: float | ArrayLike,
    bound: float | None,
    max_evaluations: int,
    start: np.ndarray,
) -> float:
    """Check the options and return the bound to use."""
    if not isinstance(method, str) or method not in METHODS:
        raise OptionError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if not isinstance(rtol, int | float | np.number) or not rtol > 0 or not np.all(to_floats(atol, "atol") >= 0):
        raise OptionError(f"rtol must be above 0 and atol not negative, not rtol={rtol!r}, atol={atol!r}")
    if not isinstance(max_evaluations, int | float | np.number) or not max_evaluations >= 1:
        raise OptionError(f"max_evaluations must be a number, at least 1, not {max_evaluations!r}")
    largest = float(np.max(np.abs(start)))
    if bound is None:
        return _GROWTH * (1 + largest)
    if not isinstance(bound, int | float | np.number) or not bound > largest:
        raise OptionError(f"bound must be above the largest initial magnitude {largest:.6g}, not {bound!r}")
    return float(bound)

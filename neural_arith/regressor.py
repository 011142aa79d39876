"""The short way: fit, print, simulate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sympy as sp
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from neural_arith.data import Trajectories
from neural_arith.data.arrays import in_order, is_unnamed
from neural_arith.discovery import Candidate, Discovery, Knowledge, discover
from neural_arith.discovery.effort import Effort
from neural_arith.discovery.verdict.summary import Summary
from neural_arith.equations import EquationSystem
from neural_arith.errors import DataError, OptionError
from neural_arith.fit.noise import NoiseKind
from neural_arith.terms.prior import Prior


class ODERegressor(BaseEstimator):
    """Find the differential equations behind measurements over time.

    A scikit-learn estimator in its conventions (parameters stored unchanged, results end in ``_``, ``clone`` and
    ``get_params`` work), but times are part of the input: ``fit(X, t)``. As in PySINDy, :meth:`predict` is the
    right-hand side and :meth:`simulate` the trajectory.

    Args:
        noise: "auto", "additive" (one level for a state), "proportional" (to the value) or "log" (proportional,
            positive states).
        max_units: most power units fitted at once in one equation.
        restarts: random starts for each equation and number of units.
        max_points: samples used, of all runs together; longer series are thinned evenly.
        time_budget: seconds from call to return, loading or compiling the solver aside; the best equations found by
            then are taken. None for no limit.
        n_jobs: threads; -1 for all cores, None for what ``joblib.parallel_config`` says. The answer does not depend on
            it.
        checkpoint: folder that keeps the expensive steps; a search repeated with it goes on where it stopped.
        random_state: seed of the random starts; the same seed gives the same answer.
        round_constants: whether constants are rounded where the likelihood allows it.
        knowledge: what is known about the equations beforehand; None for nothing.
        prior: what naming a term costs; None for the usual prices.
        effort: how much is tried; None for the usual widths.
        progress: show a progress line on stderr.

    Attributes:
        equations_: the chosen :class:`~neural_arith.EquationSystem`.
        candidates_: all candidates worth showing, the shortest descriptions first.
        discovery_: everything else: noise, fitted curves, residuals, messages.
        n_features_in_: number of states.
        feature_names_in_: names of the states.

    Examples:
        >>> import numpy as np
        >>> import neural_arith as na
        >>> t = np.linspace(0, 10, 60)
        >>> X = 5 / (1 + 9 * np.exp(-0.8 * t))
        >>> model = na.ODERegressor(random_state=0).fit(X[:, None], t, feature_names=["yeast"])
        >>> model.print()
        d yeast/dt = 0.8*yeast - 0.16*yeast**2
        >>> float(np.round(model.predict([[2.5]])[0, 0], 6))
        1.0
    """

    discovery_: Discovery

    def __init__(
        self,
        *,
        noise: NoiseKind | Literal["auto"] = "auto",
        max_units: int = 4,
        restarts: int = 64,
        max_points: int = 1000,
        time_budget: float | None = None,
        n_jobs: int | None = -1,
        checkpoint: str | os.PathLike[str] | None = None,
        random_state: int | None = 0,
        round_constants: bool = True,
        knowledge: Knowledge | None = None,
        prior: Prior | None = None,
        effort: Effort | None = None,
        progress: bool = False,
    ) -> None:
        self.noise = noise
        self.max_units = max_units
        self.restarts = restarts
        self.max_points = max_points
        self.time_budget = time_budget
        self.n_jobs = n_jobs
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.round_constants = round_constants
        self.knowledge = knowledge
        self.prior = prior
        self.effort = effort
        self.progress = progress

    def fit(
        self,
        X: Any,
        t: Any = None,
        *,
        u: Any = None,
        feature_names: Sequence[str] | None = None,
        input_names: Sequence[str] | None = None,
    ) -> ODERegressor:
        """Find the equations.

        Args:
            X: states, ``(time, states)``, or a list of such arrays for several runs, or
                :class:`~neural_arith.Trajectories`. NaN marks missing values.
            t: times, ``(time,)``, one for all runs or a list, or the step between evenly spaced times; left out with
                Trajectories.
            u: inputs, ``(time, inputs)`` or a list; optional.
            feature_names: names of the states; default x0, x1, ... or the columns of a frame.
            input_names: names of the inputs.

        Returns:
            The fitted model itself. After Ctrl-C it holds the best equations found until then (see
            ``discovery_.status``).

        Raises:
            DataError: the measurements are not what was expected.
            OptionError: a parameter is out of range, or what is said to be known cannot hold for these data.
        """
        data = self._trajectories(X, t, u, feature_names, input_names)
        self.discovery_ = discover(data, **self.get_params(deep=False))
        self.n_features_in_ = data.n_states
        self.feature_names_in_ = np.array(data.names, dtype=object)
        return self

    def set_params(self, **params: Any) -> ODERegressor:
        """Set parameters, as scikit-learn does.

        Raises:
            OptionError: there is no parameter of that name.
        """
        known = self.get_params(deep=False)
        for name in params:
            if name not in known:
                raise OptionError(f"Invalid parameter {name!r}; the parameters are {', '.join(known)}")
        return super().set_params(**params)

    @staticmethod
    def _trajectories(
        X: Any, t: Any, u: Any, names: Sequence[str] | None, inputs: Sequence[str] | None
    ) -> Trajectories:
        if isinstance(X, Trajectories):
            if t is not None or u is not None or names is not None or inputs is not None:
                raise DataError("X is Trajectories, which hold times, inputs and names already: give nothing beside it")
            return X
        return Trajectories.from_arrays(t, X, u=u, names=names, input_names=inputs)

    @property
    def equations_(self) -> EquationSystem:
        """The chosen equations."""
        return self._fitted().equations

    @property
    def candidates_(self) -> tuple[Candidate, ...]:
        """The choice, its near-ties, the Pareto front and the best of the rest, the shortest descriptions first."""
        return self._fitted().candidates

    def _fitted(self) -> Discovery:
        if not hasattr(self, "discovery_"):
            raise NotFittedError("this ODERegressor is not fitted yet: call fit(X, t) first")
        return self.discovery_

    def __str__(self) -> str:
        """The equations with standard errors of their constants; before :meth:`fit` the parameters."""
        return str(self.discovery_) if hasattr(self, "discovery_") else repr(self)

    def summary(self) -> Summary:
        """A table: each constant with its standard error, the term it stands in, and what that term buys."""
        return self._fitted().summary()

    def print(self, figures: int = 4) -> None:
        """Print the equations with so many significant figures."""
        self.equations_.print(figures)

    def latex(self, figures: int = 4) -> str:
        """The equations in LaTeX."""
        return self.equations_.latex(figures)

    def sympy(self) -> dict[str, sp.Expr]:
        """Right-hand sides by state, as sympy expressions with numbers inside."""
        return self.equations_.rhs

    def predict(self, X: Any, u: Any = None) -> np.ndarray:
        """The right-hand side dx/dt at states ``X``, ``(rows, states)``, and inputs ``u``; shape ``(rows, states)``.

        Columns of data frames are taken by name.
        """
        states, inputs = self.equations_.states, self.equations_.inputs
        f = self.equations_.to_numpy()
        X = in_order(X, states, "X", loose=True)
        return f(0.0, X, None if u is None else in_order(u, inputs, "u", loose=True))

    def simulate(self, x0: Any, t: Any, u: Any = None) -> np.ndarray:
        """The trajectory from ``x0`` over times ``t``, shape ``(time, states)``.

        Args:
            x0: starting state, ``(states,)``, or a mapping or a pandas series from state to value.
            t: times, ``(time,)``.
            u: inputs at these times, ``(time, inputs)``, or a function of time; columns of a frame are taken by name.

        Raises:
            IntegrationError: the solution does not reach the last time.
        """
        states, inputs = self.equations_.states, self.equations_.inputs
        if hasattr(x0, "iloc") and is_unnamed(states, "x") and set(x0.index) != set(states):
            x0 = x0.to_numpy()
        drive: Any = u if u is None or callable(u) else in_order(u, inputs, "u", loose=True)
        return self.equations_.simulate(x0, t, u=drive)

    def score(self, X: Any, t: Any = None, *, u: Any = None) -> float:
        """R2 of the simulated trajectories against measurements, each run started from its first complete row.

        Args:
            X: states as in :meth:`fit`.
            t: times as in :meth:`fit`.
            u: inputs as in :meth:`fit`.

        Returns:
            One minus the squared error over the squared deviation from the mean, pooled over runs and states; -inf when
            a simulation fails.
        """
        names, inputs = list(self.equations_.states), list(self.equations_.inputs)
        if isinstance(X, Trajectories):
            data = self._trajectories(X, t, u, None, None).select(names)
        else:
            X, u = in_order(X, names, "X", loose=True), in_order(u, inputs, "u", loose=True)
            data = self._trajectories(X, t, u, names, None if u is None else inputs)
        measured, simulated = [], []
        for run in data.runs:
            complete = np.flatnonzero(np.isfinite(run.x).all(axis=1))
            if len(complete) == 0:
                raise DataError("a run has no row in which all states are measured: nothing to start a simulation from")
            rows = slice(complete[0], None)
            drive = None if run.u is None else run.u[rows]
            measured.append(run.x[rows])
            simulated.append(self.equations_.simulate(run.x[complete[0]], run.t[rows], u=drive, throw=False))
        x, y = np.concatenate(measured), np.concatenate(simulated)
        if not np.isfinite(y).all():
            return -np.inf
        left, total = np.nansum((x - y) ** 2), np.nansum((x - np.nanmean(x, axis=0)) ** 2)
        return float(1.0 - left / total)

    def save(self, path: str | Path) -> None:
        """Write the equations as readable JSON; :func:`neural_arith.load` reads them back."""
        self.equations_.save(path)

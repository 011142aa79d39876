"""Operon as a careful user would run it: one search for each state on smoothed derivatives, then joint models.

Needs ``pip install "neural-arith-bench[peers]"``. Burlacu, Kronberger, Kommenda, GECCO Companion 2020.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem
from neural_arith.errors import EquationError
from neural_arith_bench.suites.selection import Model, best, smooth

SYMBOLS = "add,sub,mul,div,sin,cos,exp,constant,variable"
POPULATION, GENERATIONS, SECONDS, LENGTH = 500, 200, 3, 30
"""One search ends after so many generations or seconds, whichever comes first."""

PRICES = np.logspace(-1, 2.5, 8)
"""What a node may cost in units of the log likelihood; each price picks one formula of a Pareto front."""

_PICKS = {1: 8, 2: 6, 3: 3, 4: 2}
_DIGITS = 9


def fit(data: Trajectories) -> EquationSystem:
    """The best combination of formulas from the fronts of all states, see `selection`.

    Args:
        data: one run.

    Raises:
        DataError: no combination could be integrated along the data.
    """
    run = data.runs[0]
    pairs = [smooth(run.t, run.x), (run.x, CubicSpline(run.t, run.x).derivative()(run.t))]
    models: dict[tuple[str, ...], Model] = {}
    for states, slopes in pairs:
        picks = [_picked(states, slope) for slope in slopes.T]
        for texts in _combined(picks):
            if texts not in models and (model := _model(texts, data.names)) is not None:
                models[texts] = model
    return best(list(models.values()), run.t, run.x)


def _picked(states: np.ndarray, slope: np.ndarray) -> list[str]:
    """Formulas over X1, X2, ... for one state, the best at each price."""
    from pyoperon.sklearn import SymbolicRegressor  # pyright: ignore[reportMissingImports]

    search = SymbolicRegressor(
        allowed_symbols=SYMBOLS,
        population_size=POPULATION,
        generations=GENERATIONS,
        max_evaluations=10**9,
        max_time=SECONDS,
        objectives=["mse", "length"],
        optimizer_iterations=5,
        max_length=LENGTH,
        random_state=0,
        n_threads=1,
    )
    search.fit(states, slope)
    front: list[dict[str, Any]] = search.pareto_front_
    errors = np.array([max(float(entry["mean_squared_error"]), 1e-300) for entry in front])
    lengths = np.array([entry["length"] for entry in front])
    order = [int(np.argmin(len(slope) * np.log(errors) + price * lengths)) for price in PRICES]
    return [search.get_model_string(front[place]["tree"], precision=_DIGITS) for place in order]


def _combined(picks: list[list[str]]) -> Iterator[tuple[str, ...]]:
    """One formula for each state: all of one price, and combinations of several."""
    yield from zip(*picks, strict=True)
    number = _PICKS.get(len(picks), 1)
    places = np.unique(np.linspace(0, len(PRICES) - 1, number).round().astype(int))
    yield from itertools.product(*([column[place] for place in places] for column in picks))


def _model(texts: tuple[str, ...], names: tuple[str, ...]) -> Model | None:
    sides = [re.sub(r"\bX(\d+)\b", lambda found: f"`{names[int(found[1]) - 1]}`", text) for text in texts]
    try:
        equations = EquationSystem(dict(zip(names, sides, strict=True)))
    except EquationError:  # Operon may write what is no number, such as a quotient by zero
        return None
    return Model(equations.to_numpy(), len(equations.constants), lambda: equations)

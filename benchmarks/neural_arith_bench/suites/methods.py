"""The methods that the suites compare: ours, two other packages, and two bounds that are no methods."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem
from neural_arith.errors import OptionError
from neural_arith.fit import refit_constants

BUDGET = 90.0
"""Seconds our search may take, or three quarters of the time limit where that is less."""


@dataclass(frozen=True)
class Given:
    """What a method is given beside the data.

    Attributes:
        truth: the true equations; for bounds only.
        seconds: the time limit.
        threads: as ``n_jobs``: how many threads may be used, -1 for all cores.
    """

    truth: EquationSystem
    seconds: float
    threads: int


Fit = Callable[[Trajectories, Given], EquationSystem]


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        help: one line.
        fit: finds equations.
        modules: what must be installed, and is imported before time is taken.
        warm: called once in each process before time is taken.
    """

    help: str
    fit: Fit
    modules: tuple[str, ...] = ()
    warm: Callable[[], object] = lambda: None


def _neural_arith(data: Trajectories, given: Given) -> EquationSystem:
    from neural_arith.discovery import discover

    return discover(data, time_budget=min(BUDGET, 0.75 * given.seconds), n_jobs=given.threads).equations


def _compiled() -> None:
    """Search in a moment's data: the compiled solver is then in memory."""
    from neural_arith.discovery import discover

    t = np.linspace(0.0, 4.0, 30)
    discover(Trajectories.from_arrays(t, np.exp(-t), names=["x"]), max_units=1, restarts=2, n_jobs=1)


def _pysindy(data: Trajectories, given: Given) -> EquationSystem:
    from neural_arith_bench.suites.sindy import fit

    return fit(data)


def _operon(data: Trajectories, given: Given) -> EquationSystem:
    from neural_arith_bench.suites.operon import fit

    return fit(data)


def _oracle(data: Trajectories, given: Given) -> EquationSystem:
    return refit_constants(given.truth, data, hold="exact")  # whole numbers of the catalogue are form


def _constant(data: Trajectories, given: Given) -> EquationSystem:
    return EquationSystem(dict.fromkeys(data.names, 0))


METHODS: dict[str, Method] = {
    "neural_arith": Method("this package, default options", _neural_arith, ("neural_arith",), _compiled),
    "pysindy": Method("PySINDy: sparse regression, strong and weak form, polynomials", _pysindy, ("pysindy",)),
    "operon": Method("Operon: genetic programming on smoothed derivatives", _operon, ("pyoperon",)),
    "oracle": Method("upper bound: the true structure with its constants fitted to the data", _oracle),
    "constant": Method("lower bound: no state ever changes", _constant),
}
"""The methods by name."""


def check(names: Sequence[str]) -> None:
    """Check that methods exist and can run.

    Raises:
        OptionError: there is no such method, or its package is not installed.
    """
    for name in names:
        if name not in METHODS:
            raise OptionError(f"there is no method {name!r}; there are {', '.join(METHODS)}")
        for module in METHODS[name].modules:
            if importlib.util.find_spec(module.partition(".")[0]) is None:
                raise OptionError(f'method {name} needs {module}: pip install "neural-arith-bench[peers]"')


def load(names: Sequence[str]) -> None:
    """Import and compile what the methods need, so that no measured time holds it."""
    for name in names:
        for module in METHODS[name].modules:
            importlib.import_module(module)
        METHODS[name].warm()

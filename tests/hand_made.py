"""A discovery put together by hand, for tests of what is shown: quick, and its answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neural_arith.data import Trajectories
from neural_arith.discovery import Candidate, Discovery, Noise, Options, Worth
from neural_arith.equations import EquationSystem

PREY = EquationSystem({"hare": "0.54*hare - 0.027*hare*lynx", "lynx": "-0.8*lynx + 0.024*hare*lynx"})
LINEAR = EquationSystem({"hare": "0.1*hare", "lynx": "-0.2*lynx + 0.003*hare"})
CUBIC = EquationSystem({"hare": "0.54*hare - 0.001*hare*lynx**2", "lynx": "-0.8*lynx + 0.024*hare*lynx"})


def candidate(
    equations: EquationSystem, loglik2: float, price: float, selected: bool = False, near_tie: bool = False
) -> Candidate:
    """A candidate whose constants are known to a tenth, but the last one not at all."""
    constants = tuple(equations.constants)
    errors = (*(0.1 * abs(c) for c in constants[:-1]), float("nan"))
    return Candidate(equations, constants, errors, loglik2, price, selected, near_tie)


CANDIDATES = (
    candidate(LINEAR, 140.0, 10.0),
    candidate(PREY, 4.0, 26.0, selected=True),
    candidate(CUBIC, 1.0, 32.0, near_tie=True),
    candidate(CUBIC, float("inf"), 40.0),
)


def measurements(*starts: tuple[float, float]) -> Trajectories:
    """Noisy runs of the predator-prey system, one per start, the start itself exact."""
    rng = np.random.default_rng(0)
    t = np.linspace(0.0, 12.0, 25)
    runs = []
    for start in starts or [(30.0, 4.0)]:
        x = PREY.simulate(start, t)
        x[1:] *= np.exp(0.05 * rng.standard_normal((24, 2)))
        runs.append(x)
    return Trajectories.from_arrays([t] * len(runs), runs, names=("hare", "lynx"))


def discovery(
    data: Trajectories,
    equations: EquationSystem = PREY,
    candidates: Sequence[Candidate] = CANDIDATES,
    **others: Any,
) -> Discovery:
    """What a search would leave behind that chose ``equations``."""
    dense = [np.linspace(run.t[0], run.t[-1], 60) for run in data]
    parts: dict[str, Any] = {
        "data": data,
        "equations": equations,
        "candidates": tuple(candidates),
        "terms": (Worth("hare", "0.54*hare", 61.7, 9.5), Worth("lynx", "-0.8*lynx", float("inf"), 8.25)),
        "noise": Noise("log", np.array([0.12, 0.2])[: data.n_states]),
        "initial_states": np.stack([run.x[0] for run in data]),
        "fitted": [(t, equations.simulate(run.x[0], t)) for t, run in zip(dense, data, strict=True)],
        "pieces": (1,) * len(data),
        "horizons": tuple(float(run.t[-1] - run.t[0]) for run in data),
        "residuals": [run.x - equations.simulate(run.x[0], run.t) for run in data],
        "messages": ("21 points <&> two structures tie",),
        "status": "done",
        "options": Options(random_state=7),
    }
    return Discovery(**(parts | others))

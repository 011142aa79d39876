"""A discovery put together by hand, for tests of what is shown: the shapes are those of the real one."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem

PREY = EquationSystem({"hare": "0.54*hare - 0.027*hare*lynx", "lynx": "-0.8*lynx + 0.024*hare*lynx"})
LINEAR = EquationSystem({"hare": "0.1*hare", "lynx": "-0.2*lynx + 0.003*hare"})
CUBIC = EquationSystem({"hare": "0.54*hare - 0.001*hare*lynx**2", "lynx": "-0.8*lynx + 0.024*hare*lynx"})


@dataclass(frozen=True)
class Candidate:
    """One row of the table of candidates."""

    equations: EquationSystem
    complexity: int
    loglik2: float
    score: float
    selected: bool = False
    near_tie: bool = False

    @property
    def constants(self) -> list[float]:
        return self.equations.constants

    @property
    def standard_errors(self) -> tuple[float, ...]:
        return (*(0.1 * abs(c) for c in self.constants[:-1]), float("nan"))


@dataclass
class Discovery:
    """What a search leaves behind."""

    data: Trajectories
    equations: EquationSystem = PREY
    status: str = "done"
    options: dict = field(default_factory=lambda: {"random_state": 7, "noise": "auto"})
    candidates: list[Candidate] = field(
        default_factory=lambda: [
            Candidate(LINEAR, 12, 140.0, 150.0),
            Candidate(PREY, 18, 4.0, 30.0, selected=True),
            Candidate(CUBIC, 21, 1.0, 33.0, near_tie=True),
            Candidate(CUBIC, 40, float("inf"), float("inf")),
        ]
    )
    messages: list[str] = field(default_factory=lambda: ["21 points <&> two structures tie"])

    @property
    def noise(self) -> SimpleNamespace:
        return SimpleNamespace(kind="log", level=np.array([0.12, 0.2]))

    @property
    def fitted(self) -> list[tuple[np.ndarray, np.ndarray]]:
        dense = [np.linspace(run.t[0], run.t[-1], 60) for run in self.data]
        return [(t, self.equations.simulate(run.x[0], t)) for t, run in zip(dense, self.data, strict=True)]

    @property
    def residuals(self) -> list[np.ndarray]:
        return [run.x - self.equations.simulate(run.x[0], run.t) for run in self.data]


def measurements(*starts: tuple[float, float]) -> Trajectories:
    """Noisy runs of the predator-prey system, one per start."""
    rng = np.random.default_rng(0)
    t = np.linspace(0.0, 12.0, 25)
    xs = [PREY.simulate(start, t) * np.exp(0.05 * rng.standard_normal((25, 2))) for start in starts or [(30, 4)]]
    xs = [np.concatenate([[start], x[1:]]) for start, x in zip(starts or [(30.0, 4.0)], xs, strict=True)]
    return Trajectories.from_arrays([t] * len(xs), xs, names=("hare", "lynx"))

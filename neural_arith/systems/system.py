"""One system of the catalogue: what is known about it, and data drawn from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from neural_arith.data import Run, Trajectories
from neural_arith.errors import OptionError
from neural_arith.systems.sampling import Corruption, chosen_starts, chosen_times, integrate

if TYPE_CHECKING:
    from neural_arith.equations import EquationSystem


@dataclass(frozen=True, eq=False)
class System:
    """A system of differential equations with its truth, or a measured series without one.

    Attributes:
        name: what it is, in a few words.
        slug: its name in the catalogue.
        suite: "odebench", "powerlaw", "reactions" or "real".
        number: its number in the suite; for "odebench" that of the published collection.
        states: names of the states.
        units: their units, "1" for none, "" where the source gives none.
        formulas: right-hand sides as text, one per state; empty for a measured series.
        initial_states: shape ``(starts, states)``, read-only; two, for a measured series its first row.
        span: first and last time.
        n_points: number of points of the published or usual experiment.
        source: where it comes from.
        description: one or two sentences.
        file: name of the packaged table of a measured series, else "".

    Examples:
        >>> from neural_arith import systems
        >>> system = systems.get("rc_charging")
        >>> system
        System('rc_charging': Capacitor charged through a resistor; odebench 1, d/dt of 1 states: charge)
        >>> system.sample(4, noise=0.01)[0].x.shape
        (4, 1)
    """

    name: str
    slug: str
    suite: str
    number: int
    states: tuple[str, ...]
    units: tuple[str, ...]
    formulas: tuple[str, ...] = field(repr=False)
    initial_states: np.ndarray
    span: tuple[float, float]
    n_points: int
    source: str
    description: str
    file: str = ""

    def __repr__(self) -> str:
        what = "measured series" if self.file else f"d/dt of {len(self.states)} states"
        which = f"{self.suite} {self.number}, {what}: {', '.join(self.states)}"
        return f"System({self.slug!r}: {self.name}; {which})"

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.states)

    @cached_property
    def equations(self) -> EquationSystem:
        """The true equations.

        Raises:
            OptionError: this is a measured series; nobody knows its true equations.
        """
        if self.file:
            raise OptionError(f"{self.slug} is a measured series without known equations; use .data()")
        # sympy takes a moment to load, and listing the catalogue does not need it
        from neural_arith.equations import EquationSystem

        return EquationSystem(dict(zip(self.states, self.formulas, strict=True)))

    def data(self) -> Trajectories:
        """Read the measurements of a measured series.

        Returns:
            The series, one run, in the units of `units`.

        Raises:
            OptionError: this is a system of equations; draw data from it with `sample`.
        """
        if not self.file:
            raise OptionError(f"{self.slug} is a system of equations without measurements; use .sample()")
        with as_file(files("neural_arith.systems").joinpath("tables", self.file)) as path:
            return Trajectories.from_csv(path)

    def sample(
        self,
        n_points: int | None = None,
        *,
        initial: int | ArrayLike | list[Any] = 0,
        t: ArrayLike | None = None,
        noise: float = 0.0,
        noise_kind: str = "multiplicative",
        drop: float = 0.0,
        missing: float = 0.0,
        seed: int = 0,
    ) -> Trajectories:
        """Integrate the true equations (tolerance 1e-10) and disturb the result as an experiment would.

        The same arguments give the same data, whatever was drawn before. The runs of one call, different
        noise levels and different seeds have independent noise.

        Args:
            n_points: number of equally spaced times over `span`; None for the system's own number.
            initial: where to start: the index of one of `initial_states`, a state of shape ``(states,)``, or
                for several runs a list of such indices and states or an array ``(runs, states)``. A list
                of decimal numbers is one state, a list of whole numbers is several indices.
            t: times, shape ``(time,)``, strictly increasing, the start at the first; not with ``n_points``.
            noise: relative standard deviation of the Gaussian noise: a share of each value where
                ``noise_kind`` is "multiplicative", ``x (1 + noise N(0, 1))``, and of the deviation of
                each state along its run where it is "additive".
            noise_kind: "multiplicative" or "additive".
            drop: share of the rows, in [0, 1), removed at random.
            missing: share of the single values, in [0, 1), replaced by NaN at random.
            seed: whole number, not negative.

        Returns:
            One run per start.

        Raises:
            OptionError: an argument out of range, or a measured series, which has nothing to integrate.
            IntegrationError: the solution does not reach the last time.
        """
        equations = self.equations
        times = chosen_times(n_points, t, self.span, self.n_points)
        corruption = Corruption(noise, noise_kind, drop, missing, seed)
        runs = []
        for stream, start in chosen_starts(initial, self.initial_states):
            clean = integrate(equations, start, times)
            kept, noisy = corruption.apply(clean, self.number, stream)
            runs.append(Run(times[kept], noisy))
        return Trajectories(tuple(runs), self.states)

"""What a discovery leaves: equations, the candidates behind them, what is uncertain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neural_arith.data.trajectories import Trajectories
from neural_arith.discovery.options import Options
from neural_arith.discovery.verdict.summary import Summary, summarise
from neural_arith.discovery.verdict.worth import Worth
from neural_arith.equations.reactions import Reactions, read_reactions
from neural_arith.equations.system import EquationSystem
from neural_arith.fit.noise import Noise

_ROWS, _WIDTH = 10, 150  # what a table of candidates shows of itself

WHOLE = 0.02
"""Share by which coefficients may miss whole ratios, or three standard errors if that is more."""


@dataclass(frozen=True, repr=False)
class Candidate:
    """One structure with refitted constants.

    Attributes:
        equations: the equations.
        constants: their constants, in the order of ``equations.constants``.
        standard_errors: of the constants, in the same order; nan where the data do not fix a constant, 0 where an
            exponent was taken as exact.
        loglik2: twice the negative log likelihood of the measurements, up to a constant all candidates share.
        price: description length in the same unit, that of the starting states included.
        selected: this is the choice.
        near_tie: explains the data about as well as the choice, by other terms.
        measured: whether standard errors could be measured: not where time was over, nor where the equations obey a
            statement that the measurements contradict.

    Examples:
        >>> import neural_arith as na
        >>> from neural_arith.discovery import Candidate
        >>> law = na.EquationSystem({"x": "-0.5*x"})
        >>> candidate = Candidate(law, (-0.5,), (0.01,), loglik2=-90.0, price=9.0, selected=True, near_tie=False)
        >>> candidate.score, candidate.complexity
        (-81.0, 3)
    """

    equations: EquationSystem
    constants: tuple[float, ...]
    standard_errors: tuple[float, ...]
    loglik2: float
    price: float
    selected: bool
    near_tie: bool
    measured: bool = True

    @property
    def score(self) -> float:
        """``loglik2`` plus ``price``; lower is better."""
        return self.loglik2 + self.price

    @property
    def complexity(self) -> int:
        """Nodes of the equations."""
        return self.equations.complexity

    @property
    def without_error(self) -> str:
        """What a constant without a standard error is called."""
        return "not fixed by the data" if self.measured else "error not measured"

    def __repr__(self) -> str:
        mark = "chosen, " if self.selected else "near-tie, " if self.near_tie else ""
        text = "; ".join(str(self.equations).splitlines())
        text = text if len(text) <= _WIDTH else f"{text[: _WIDTH - 4]} ..."
        return f"Candidate({mark}score {self.score:.1f}, complexity {self.complexity}: {text})"


class Candidates(tuple[Candidate, ...]):
    """Candidates, simple ones first. Shows the choice and the best others; it is a tuple and holds all."""

    __slots__ = ()

    def __repr__(self) -> str:
        best = sorted(self, key=lambda c: (not c.selected, c.score))[:_ROWS]
        lines = [repr(c) for c in self if any(c is b for b in best)]
        if len(self) > _ROWS:
            lines.append(f"... and {len(self) - _ROWS} more")
        return "\n".join(lines) or "no candidates"


@dataclass(frozen=True, repr=False)
class Discovery:
    """The outcome of :func:`neural_arith.discover`.

    Attributes:
        data: the measurements, thinned where there were very many.
        equations: the chosen equations, their constants rounded where the likelihood allows it.
        candidates: as fitted: the choice, its near-ties, the Pareto front and the best of the rest, simple ones first.
        terms: what each term of the choice buys, in the order of the equations.
        noise: the noise model; levels in the measurements' own units (a share of the value unless additive).
        initial_states: fitted starting state of each run, ``(runs, states)``.
        fitted: for each run times and states of the fit that the residuals belong to: the solution from the fitted
            starting state or, where the run was judged in linked pieces, that of each piece from a start of its own.
        pieces: for each run in how many linked pieces it was judged; 1 for a run followed as a whole.
        horizons: for each run how long the one solution from its fitted starting state follows that fit: the length of
            the run, or the time until they are 0.4 standard deviations of the measurements apart, as in chaos.
        residuals: for each run measurements minus fit, ``(time, states)``.
        messages: what the user should know before trusting the equations.
        status: "done", "out of time" or "interrupted".
        options: the settings.

    Examples:
        >>> import numpy as np
        >>> import neural_arith as na
        >>> from neural_arith.discovery import Candidate, Discovery, Noise
        >>> t = np.linspace(0, 2, 5)
        >>> x = np.exp(-t)[:, None]
        >>> data = na.Trajectories.from_arrays(t, x, names=["x"])
        >>> law = na.EquationSystem({"x": "-1.0*x"})
        >>> choice = Candidate(law, (-1.0,), (0.01,), loglik2=-90.0, price=9.0, selected=True, near_tie=False)
        >>> noise, fit = Noise("additive", np.full(1, 0.01)), [(t, x)]
        >>> found = Discovery(  # by hand, what na.discover(data) returns
        ...     data, law, (choice,), (), noise, x[:1], fit, (1,), (2.0,), [0 * x], (), "done", na.Options()
        ... )
        >>> found
        Discovery(done: d x/dt = -x; 1 candidates, 0 messages)
    """

    data: Trajectories
    equations: EquationSystem
    candidates: tuple[Candidate, ...]
    terms: tuple[Worth, ...]
    noise: Noise
    initial_states: np.ndarray
    fitted: list[tuple[np.ndarray, np.ndarray]]
    pieces: tuple[int, ...]
    horizons: tuple[float, ...]
    residuals: list[np.ndarray]
    messages: tuple[str, ...]
    status: str
    options: Options

    def __post_init__(self) -> None:
        object.__setattr__(self, "candidates", Candidates(self.candidates))

    @property
    def chosen(self) -> Candidate:
        """The candidate that was chosen, its constants not rounded."""
        return next(candidate for candidate in self.candidates if candidate.selected)

    def summary(self) -> Summary:
        """A table: each constant of the choice with its error, the term it stands in, and what that term buys."""
        return summarise(self)

    def __str__(self) -> str:
        return repr(self.summary())

    def __repr__(self) -> str:
        text = "; ".join(str(self.equations).splitlines())
        text = text if len(text) <= 5 * _WIDTH else f"{text[: 5 * _WIDTH - 4]} ..."
        counts = f"{len(self.candidates)} candidates, {len(self.messages)} messages"
        return f"Discovery({self.status}: {text}; {counts})"


def reactions_of(discovery: Discovery) -> Reactions | None:
    """The chosen equations as reactions; None where no reaction changes several states at once.

    Args:
        discovery: its standard errors say how far coefficients may be from whole ratios.

    Examples:
        >>> import numpy as np
        >>> import neural_arith as na
        >>> from neural_arith.discovery import Candidate, Discovery, Noise
        >>> t = np.linspace(0, 2, 5)
        >>> x = np.stack([np.exp(-t), 1 - np.exp(-t)], axis=1)
        >>> data = na.Trajectories.from_arrays(t, x, names=["A", "B"])
        >>> law = na.EquationSystem({"A": "-0.7*A", "B": "0.7*A"})
        >>> choice = Candidate(law, (-0.7, 0.7), (0.01, 0.01), loglik2=-90.0, price=9.0, selected=True, near_tie=False)
        >>> noise, fit = Noise("additive", np.full(2, 0.01)), [(t, x)]
        >>> found = Discovery(  # by hand, what na.discover(data) returns
        ...     data, law, (choice,), (), noise, x[:1], fit, (1,), (2.0,), [0 * x], (), "done", na.Options()
        ... )
        >>> print(na.reactions_of(found))
        A -> B  (k = 0.7)
    """
    chosen = discovery.chosen
    found = read_reactions(chosen.equations, WHOLE, chosen.standard_errors)
    return found if found.linked else None

"""What was tried under one likelihood: every structure with its best result, and the best of all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from neural_arith.discovery.effort import Effort
from neural_arith.discovery.likelihood import Likelihood
from neural_arith.discovery.measurements.scaling import Scaling
from neural_arith.fit.curves import Curve
from neural_arith.fit.noise import Noise
from neural_arith.solve.compiled.integrate import profile_misfit
from neural_arith.terms.candidate import Judged
from neural_arith.terms.structure import Structure

NEWS = 3.0
"""Units of score that another attempt at a structure is expected to gain."""


@dataclass
class Archive:
    """Candidates that were judged by one likelihood.

    Attributes:
        likelihood: scores are in its units.
        other: the likelihood of the same measurements in the other form, whole runs or linked pieces.
        effort: how much is tried.
        seen: every structure asked for, with its best result or None when it always failed.
        attempts: how often each structure was refined.
        best: the best candidate so far.
        patience: how many more candidates are refined through short pieces in vain before that is given up.
    """

    likelihood: Likelihood
    other: Likelihood
    effort: Effort = field(default_factory=Effort)
    seen: dict[Structure, Judged | None] = field(default_factory=dict)
    attempts: Counter[Structure] = field(default_factory=Counter)
    best: Judged | None = None
    patience: int = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the patience there is for short pieces."""
        self.patience = self.effort.patience

    @property
    def ranked(self) -> list[Judged]:
        """All successful candidates, best score first."""
        return sorted((j for j in self.seen.values() if j is not None), key=lambda j: j.score)

    def keep(self, judged: Judged) -> None:
        """Remember a candidate, the better result where its structure was seen before."""
        if self.best is None or judged.score < self.best.score:
            self.best = judged
        old = self.seen.get(judged.structure)
        if old is None or judged.misfit < old.misfit:
            self.seen[judged.structure] = judged

    def tried(self, structure: Structure) -> None:
        """Remember that a structure was refined, which may have failed."""
        self.attempts[structure] += 1
        self.seen.setdefault(structure, None)

    @property
    def in_pieces(self) -> bool:
        """Whether candidates are judged by linked pieces."""
        return self.likelihood.problem.n_pieces > self.other.problem.n_pieces

    @property
    def at_floor(self) -> bool:
        """Whether the best candidate meets the measurements to within what the likelihood distinguishes."""
        return self.best is not None and self.likelihood.meets_floor(self.best)

    @property
    def slack(self) -> float:
        """How much a candidate could gain over the best one at most, in units of 2 log likelihood."""
        return np.inf if self.best is None else self.best.misfit - self.likelihood.lowest

    @property
    def freedom(self) -> float:
        """Units of 2 log likelihood by which linked pieces may beat whole runs through their free starts alone."""
        return 5.0 * max(self.likelihood.starts.size, self.other.starts.size) + 30.0

    def can_win(self, structure: Structure) -> bool:
        """Whether a structure would score best if it left nothing of the measurements."""
        return self.best is None or self.likelihood.price(structure) + self.likelihood.lowest < self.best.score

    def worth_trying(self, structure: Structure, expected: float) -> bool:
        """Whether a structure is new, or was left in a poor local optimum and is expected to score clearly better."""
        return any(self._worth_trying(variant, expected) for variant in self.likelihood.known.variants(structure))

    def _worth_trying(self, structure: Structure, expected: float) -> bool:
        if structure not in self.seen:
            return True
        known = self.seen[structure]
        return self.attempts[structure] < self.effort.attempts and (known is None or expected < known.score - NEWS)

    def raise_floor(self) -> None:
        """Count no differences below what the solver can tell along the best candidate."""
        if self.best is None:
            return
        old, new = self.likelihood, self.likelihood.with_floor_of(self.best)
        if new is old:
            return
        counts, self.likelihood = old.problem.counts, new
        for structure, judged in self.seen.items():
            if judged is not None:  # the gaps between pieces, in the misfit too, stay what they are
                before, now = (profile_misfit(judged.rss, 0.0, counts, p.problem.floor) for p in (old, new))
                self.seen[structure] = replace(judged, misfit=judged.misfit + now - before)
        self.best = self.ranked[0]


@dataclass(frozen=True)
class Searched:
    """What the search leaves: candidates in scaled numbers and what is needed to read them.

    Attributes:
        archive: the candidates.
        scaling: takes scaled numbers back to the original ones.
        curves: smooth curves through the scaled measurements.
        noise: the noise model.
        positive: which variables never change sign.
        status: "done", "out of time" or "interrupted".
        untried: sentences about what was not tried because there are too many variables.
    """

    archive: Archive
    scaling: Scaling
    curves: list[Curve]
    noise: Noise
    positive: np.ndarray
    status: str
    untried: tuple[str, ...] = ()

    @property
    def likelihood(self) -> Likelihood:
        """What the candidates are judged by."""
        return self.archive.likelihood

"""The stages of a search under one noise model, from plain to rich; its candidates end up in the archive."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import make_interp_spline

from neural_arith.clock import OutOfTimeError
from neural_arith.discovery.likelihood import Likelihood
from neural_arith.discovery.measurements.ranges import ranges_of
from neural_arith.discovery.options import Options, Progress
from neural_arith.discovery.proposals.dictionary import build_dictionary, clip_nodes, further_products
from neural_arith.discovery.proposals.pairings import abreast, combinations, interleave, slim
from neural_arith.discovery.proposals.screening import MANY, fitting_products
from neural_arith.discovery.proposals.shortlists import Pick, around_each, low_degree, shortlist
from neural_arith.discovery.search.archive import Archive
from neural_arith.discovery.search.climbing import climb, one_by_one, rearrange, triage
from neural_arith.discovery.search.judging import chaotic, improve, may_go_to_pieces, turned
from neural_arith.fit.curves import Curve
from neural_arith.fit.integral_form import IntegralForm, integral_form, some_windows
from neural_arith.fit.noise import Noise
from neural_arith.fit.regression import Regression
from neural_arith.terms.candidate import Judged
from neural_arith.terms.dictionary import Dictionary, monomials
from neural_arith.terms.library import lifted_units
from neural_arith.terms.structure import Structure, form_of
from neural_arith.terms.units import Unit

SHORT = 45.0
"""Price of a polynomial that is short enough to be believed when it meets the measurements as closely as can be told;
other equations have to be shorter by a third."""


PARTS = 8
"""Points of a candidate's trajectory in each interval between samples."""


class Stages:
    """A search under one noise model; each stage goes on from what the archive has.

    Args:
        archive: remembers the candidates.
        curves: smooth curves through the measurements.
        noise: the noise model.
        positive: which variables never change sign.
        options: settings.
        progress: told what is being done.
    """

    def __init__(
        self,
        archive: Archive,
        curves: list[Curve],
        noise: Noise,
        positive: np.ndarray,
        options: Options,
        progress: Progress,
    ) -> None:
        self.archive, self.curves, self.noise, self.positive = archive, curves, noise, positive
        self.options, self.progress, self.effort = options, progress, archive.effort
        likelihood = archive.likelihood
        self.known, self.scale, self.n_states = (
            likelihood.known,
            likelihood.problem.scale,
            len(likelihood.problem.floor),
        )
        self.forms = self._forms_of(curves)
        self.many = len(self.scale) > MANY
        self.few = self.known.filter(Dictionary(self._simple()))
        self.polynomials: list[list[Pick]] = []
        self.lists: list[list[Pick]] = []
        few_and_most = self.effort.fewest_pairings, self.effort.most_pairings
        # As many pairings as a second or so affords: with few points the integral form is a poor guide.
        self.most = int(np.clip(self.effort.pairings / len(likelihood.problem.t), *few_and_most))

    def run(self) -> None:
        """All stages, as far as the measurements pay for them."""
        self.regress()
        self.pair()
        unsettled = [i for i in range(self.n_states) if not settled(self.archive, i)]
        if self.many:
            one_by_one(self.archive, self.lists, report=self.progress)
            climb(self.archive, self.allowed, report=self.progress)
        elif unsettled:
            self.enrich(unsettled)
            self.try_few_terms()
        self.look_again()
        if not self.archive.at_floor:
            self.progress("exchanging several terms at once")
            rearrange(self.archive, self._shared(), report=self.progress)
        self.progress("polishing the best candidates")
        improve(self.archive, self.archive.ranked[: self.effort.polished], self.effort.polishing)
        if self.archive.in_pieces:
            self.try_whole_runs()

    def regress(self) -> None:
        """Shortlists of plain units for each equation, by the integral form."""
        archive, likelihood = self.archive, self.archive.likelihood
        clock = likelihood.clock
        self.regressions: list[list[Regression]] = []
        for i in range(self.n_states):
            clock.check()
            self.progress(f"regression for equation {i + 1}")
            both = [Regression(form, i, self.scale) for form in self.forms]
            self.regressions.append(both)
            self.polynomials.append(self._sized(i, self._short(i, both, self.few, keep=self.effort.shortlist_plain)))
        if clock.limited:  # something to return
            triage(archive, abreast(self.polynomials, 6), likelihood.starts)
        if self.many:
            self.dictionary, self.lists = self.few, self.polynomials
            each = max(self.effort.widest // self.n_states, 2)
            self.allowed = Dictionary([units[:each] for units in self.few.units])
            return
        found = build_dictionary(
            self.forms,
            self.positive,
            self.options,
            self.progress,
            clock.until(self.effort.population_share),
            likelihood.checkpoint,
        )
        self.dictionary = self.known.filter(found)
        # Exponents a population left unusual are worth trying only where they were found.
        self.allowed = Dictionary([[u for u in units if not u.n_fitted] for units in self.dictionary.units])
        for i, both in enumerate(self.regressions):
            clock.check()
            self.progress(f"more of equation {i + 1}")
            self.lists.append(self._sized(i, self._short(i, both, self.dictionary)))

    def first_answer(self) -> None:
        """Take what the regression says as it is, for want of time; equations it has not come to stay at rest."""
        rest = Pick(Structure(((),)), np.zeros(0), 0.0)
        lists = self.polynomials if len(self.polynomials) > len(self.lists) else self.lists
        full = [picks or [rest] for picks in lists] + [[rest]] * (self.n_states - len(lists))
        for structure, theta in [*abreast(full, 3), *slim(full, 3)] if lists else ():
            for one in self.known.complete(structure, theta):
                found = self.archive.likelihood.as_it_is(*one)
                if found is not None:
                    self.archive.keep(found)

    def pair(self) -> None:
        """The best pairings of plain right-hand sides, judged by trajectory, and their neighbours where all is met."""
        archive, likelihood = self.archive, self.archive.likelihood
        self.progress("judging the best pairings by trajectory")
        # Of many equations some are always wrong at first, but low degrees never leave their domain: neighbours mend
        # them.
        triage(archive, [*abreast(self.polynomials, 6), *slim(self.lists)], likelihood.starts)
        pairings = combinations(self.lists, self.most)
        if near_noise(archive, self.noise):
            archive.patience = 0
        elif may_go_to_pieces(archive) and chaotic(archive, pairings[:8]):
            self.progress("judging by linked pieces for now: first guesses follow them far better than whole runs")
            self.archive = turned(archive)
        try:
            triage(self.archive, pairings, until_floor=True)
        except OutOfTimeError:  # what was found by whole runs is the answer, if nothing was by pieces
            if self.archive.best is None or not self.archive.best.structure.n_terms:
                self.archive = archive
            raise
        if self.archive.at_floor:
            climb(self.archive, self.allowed, report=self.progress)
        elif not near_noise(self.archive, self.noise):
            self.look_again(and_climb=False)

    def enrich(self, unsettled: list[int]) -> None:
        """Units beyond products of powers in some equations; then the climb, plain units first."""
        archive, likelihood = self.archive, self.archive.likelihood
        lifted = self.known.filter(lifted_units(ranges_of(self.curves, self.positive, self.scale), self.n_states))
        rich = Dictionary(
            [list(dict.fromkeys(a + b)) for a, b in zip(self.dictionary.units, lifted.units, strict=True)],
            {**self.dictionary.values, **lifted.values},
        )
        for i in unsettled:
            self.progress(f"looking beyond products of powers in equation {i + 1}")
            likelihood.clock.check()
            must = self.known.required_in(i)
            picks = [self.lists[i], self._short(i, self.regressions[i], rich, largest=self.effort.rich_terms)]
            if lifted.units[i]:
                guide = Regression(some_windows(self.forms[1], self.effort.guide), i, self.scale)
                around = around_each(
                    guide,
                    self.few.units[i],
                    lifted,
                    likelihood.prices,
                    keep=self.effort.around,
                    required=must,
                    n_jobs=likelihood.n_jobs,
                    checkpoint=likelihood.checkpoint,
                    clock=likelihood.clock,
                )
                picks.append(around)
            self.lists[i] = self._sized(i, interleave(*picks))
        self.progress("judging the best pairings by trajectory")
        triage(archive, [*slim(self.lists), *combinations(self.lists, self.most)], until_floor=True)
        one_by_one(archive, self.lists, report=self.progress)
        climb(archive, self.allowed, report=self.progress)
        last = further_products(len(self.scale))
        further = self.known.filter(Dictionary([last for _ in range(self.n_states)])).units
        rich_units = list(self.allowed.units)
        for i in unsettled:
            plain = list(dict.fromkeys((*rich_units[i], *further[i])))
            rich_units[i] = self._promising(i, plain, lifted.units[i])
        self.allowed = Dictionary(rich_units, lifted.values)
        climb(archive, self.allowed, report=self.progress)

    def look_again(self, *, and_climb: bool = True) -> None:
        """Shortlists by integrals along the best candidate's trajectory, smoother than any curve through samples."""
        archive = self.archive
        for _ in range(self.effort.again_rounds):
            best = archive.best
            if best is None or not best.structure.n_terms:
                return
            self.progress("looking again along the best trajectory")
            curves = along_candidate(archive.likelihood, best, self.curves)
            if curves is None:
                return
            forms = self._forms_of(curves)
            values = best.structure.values(best.theta)
            known = {**self.allowed.values, **{number: values[number] for number in best.structure.numbers}}
            lists = []
            for i, allowed in enumerate(self.allowed.units):
                units: list[list[Unit]] = [[] for _ in range(self.n_states)]
                units[i] = list(dict.fromkeys((*allowed, *best.structure.units)))
                both = [Regression(form, i, self.scale) for form in forms]
                lists.append(self._sized(i, self._short(i, both, Dictionary(units, known))))
            triage(archive, slim(lists))
            one_by_one(archive, lists, tried=self.effort.again_tried, report=self.progress)
            if archive.best is best:
                return
            if and_climb:
                climb(archive, self.allowed, report=self.progress)

    def _simple(self) -> list[list[Unit]]:
        """Products of whole powers of low degree for each equation; of very many those that fit best."""
        if self.many:
            return fitting_products(self.forms, self.archive.likelihood.clock)
        simple = monomials(len(self.scale), {1: 4, 2: 3}.get(len(self.scale), 2))
        return [simple for _ in range(self.n_states)]

    def _forms_of(self, curves: list[Curve]) -> list[IntegralForm]:
        """The integral form along curves, over whole runs and over windows."""
        forms = [integral_form(curves, self.noise, length) for length in (None, self.effort.window)]
        return [clip_nodes(form, self.positive, self.noise) for form in forms]

    def _promising(self, i: int, plain: list[Unit], lifted: list[Unit]) -> list[Unit]:
        """The units neighbours are made of: all that there is room for, those of the equation's shortlist first."""
        liked = {form_of(unit) for pick in self.lists[i] for unit in pick.structure.units}
        room = max(50, self.effort.widest // self.n_states - len(plain))
        return plain + sorted(lifted, key=lambda unit: form_of(unit) not in liked)[:room]

    def _shared(self) -> Dictionary:
        """The units neighbours are made of, products of powers that one equation may hold in all others as well."""
        plain = sorted({unit for units in self.allowed.units for unit in units if unit.plain})
        units = [list(dict.fromkeys((*units, *plain))) for units in self.allowed.units]
        return self.known.filter(Dictionary(units, self.allowed.values))

    def try_few_terms(self) -> None:
        """All equations of few simple terms, one equation after the other."""
        archive, likelihood = self.archive, self.archive.likelihood
        if archive.at_floor:
            return
        self.progress("trying all equations of few terms")
        before = archive.best
        picks = [
            low_degree(
                r[1],
                units,
                likelihood.prices,
                self.effort.few_terms,
                required=self.known.required_in(i),
                clock=likelihood.clock,
            )
            for i, (r, units) in enumerate(zip(self.regressions, self.few.units, strict=True))
        ]
        one_by_one(
            archive, [self._sized(i, p) for i, p in enumerate(picks)], tried=self.effort.few_tried, report=self.progress
        )
        if archive.best is not before:
            climb(archive, self.allowed, report=self.progress)

    def try_whole_runs(self) -> None:
        """Judge by whole runs after all, if the candidates found by pieces can follow them."""
        self.progress("trying whole runs")
        best = self.archive.ranked[0]
        whole = turned(self.archive, self.archive.ranked[: self.effort.polished])
        if whole.ranked[0].score < best.score + whole.freedom:
            self.progress("whole runs can be followed: judging by them")
            self.archive = whole
            whole.raise_floor()
            climb(whole, self.allowed, report=self.progress)
            improve(whole, whole.ranked[: self.effort.polished], self.effort.polishing)
        else:
            self.progress("whole runs cannot be followed: judged by linked pieces")

    def _short(self, i: int, both: list[Regression], dictionary: Dictionary, **sizes: int) -> list[Pick]:
        """The shortlist of one equation, kept on disk where that is wanted."""
        likelihood = self.archive.likelihood
        return likelihood.checkpoint.recall(
            shortlist,
            both,
            dictionary,
            likelihood.prices,
            **{"keep": self.effort.shortlist, **sizes},
            required=self.known.required_in(i),
            ignored={"clock": likelihood.clock},
        )

    def _sized(self, i: int, picks: list[Pick]) -> list[Pick]:
        """The picks that are not larger than is known, or all where none is small enough."""
        return [p for p in picks if self.known.within_size(i, p.structure.equations[0])] or picks


def along_candidate(likelihood: Likelihood, judged: Judged, curves: list[Curve]) -> list[Curve] | None:
    """Curves through a candidate's trajectory; None where it cannot be followed."""
    t, x = likelihood.along(judged, PARTS)
    if not np.isfinite(x).all():
        return None
    found, begin = [], 0
    for curve in curves:
        end = begin + (len(curve.run.t) - 1) * PARTS + 1
        degree = min(5, end - begin - 1)
        splines = tuple(make_interp_spline(t[begin:end], column, k=degree) for column in x[begin:end].T)
        found.append(Curve(splines, False, curve.run))
        begin = end
    return found


def settled(archive: Archive, state: int) -> bool:
    """Whether the best candidate leaves nothing to look for in one equation: short and as good as can be told."""
    best = archive.best
    if best is None or not archive.at_floor:
        return False
    equation = best.structure.equations[state]
    polynomial = all(unit.plain and all(e >= 0 and float(e).is_integer() for e in unit.powers) for unit in equation)
    return archive.likelihood.prices.structure(Structure((equation,))) < (SHORT if polynomial else SHORT * 2 / 3)


def near_noise(archive: Archive, noise: Noise, times: float = 1.5) -> bool:
    """Whether the best candidate leaves no more than so many times the noise that was estimated."""
    if archive.best is None:
        return False
    return bool(np.all(archive.likelihood.spread(archive.best) < times * noise.level))

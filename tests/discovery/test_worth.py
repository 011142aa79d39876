"""What each term buys is what the likelihood loses without it."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import LOTKA_STRUCTURE, archive_of, lotka, noisy

from neural_arith.data import Trajectories
from neural_arith.discovery import discover
from neural_arith.discovery.measurements.scaling import fit_scaling
from neural_arith.discovery.search.judging import judge
from neural_arith.discovery.verdict.worth import worth_of_terms
from neural_arith.fit.noise import Noise
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import Number, power

T = np.linspace(0, 14, 60)
DATA = Trajectories.from_arrays(T, noisy(lotka(T), 0.03, 0), names=("hare", "lynx"))


def test_it_is_the_misfit_of_a_search_that_never_had_the_term():
    scaling = fit_scaling(DATA)
    archive = archive_of(scaling.runs(DATA), Noise("log", np.full(2, 0.03)))
    useless = LOTKA_STRUCTURE.replace(0, [*LOTKA_STRUCTURE.equations[0], power(0, 2)])
    guess: dict[Term | Number, float] = {
        (0, power(1, 0)): 7.0,
        (0, power(1, 1)): -5.0,
        (1, power(0, 1)): -11.0,
        (1, power(1, 1)): 8.0,
    }
    (truth,) = judge(archive, [(LOTKA_STRUCTURE, LOTKA_STRUCTURE.theta(guess))], iterations=40)
    (wide,) = judge(archive, [(useless, useless.theta(guess))], truth.starts, iterations=40)
    worth = worth_of_terms(archive.likelihood, scaling, wide, DATA.names, ())
    assert [w.state for w in worth] == ["hare", "hare", "hare", "lynx", "lynx"]
    place = useless.terms.index((0, power(0, 2)))
    assert worth[place].buys == pytest.approx(truth.misfit - wide.misfit, abs=0.2)
    assert worth[place].buys < worth[place].costs == pytest.approx(wide.price - truth.price)
    assert worth[place].term.endswith("*lynx**2")
    others = [w for k, w in enumerate(worth) if k != place]
    assert all(w.buys > w.costs + 50 for w in others)


def test_every_term_of_a_choice_earns_its_place():
    found = discover(DATA, restarts=16, max_units=2, n_jobs=1)
    assert [(w.state, w.term.partition("*")[2]) for w in found.terms] == [
        ("hare", "hare"), ("hare", "hare*lynx"), ("lynx", "lynx"), ("lynx", "hare*lynx")
    ]  # fmt: skip
    assert all(w.buys > w.costs > 0 for w in found.terms)


def test_nothing_is_worth_nothing():
    archive = archive_of(fit_scaling(DATA).runs(DATA), Noise("log", np.full(2, 0.03)))
    (still,) = judge(archive, [(Structure(((), ())), np.zeros(0))])
    assert worth_of_terms(archive.likelihood, fit_scaling(DATA), still, DATA.names, ()) == ()

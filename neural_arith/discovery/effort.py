"""How much a search tries: every width, round and cap in one place, so that what more of it buys can be measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Widths, rounds and caps of a search; more of each costs time, and less of it loses laws.

    The command ``neural-arith bench sensitivity`` halves and doubles each entry, and those of
    :class:`neural_arith.terms.prior.Prior`, on a fixed set of systems.

    Attributes:
        window: samples of a window of the integral form; whole runs are used beside it.
        guide: samples that guide the search for units beyond powers; trajectories judge by all.
        shortlist: right-hand sides kept for an equation.
        shortlist_plain: of plain units only, before any population.
        rich_terms: most terms of a right-hand side with units beyond powers.
        around: right-hand sides kept with one lifted unit and a few plain ones.
        few_terms: most terms of an equation of which all are tried by trajectory.
        few_tried: how many of them are.
        pairings: samples times pairings that are judged, about a second's worth; with few points the integral form is a
            poor guide.
        fewest_pairings: however long the series.
        most_pairings: however short.
        iterations: Levenberg-Marquardt steps of a candidate refined at once.
        rough: steps of one that is only compared, to find those worth more.
        fine: more steps of the best of those.
        refined: how many of them.
        polished: candidates refined to the end before the choice.
        polishing: steps of that.
        from_each: first guesses of one structure with numbers within its units, which can end in different optima.
        attempts: times a structure is refined.
        climb_width: best candidates of which neighbours are tried.
        climb_tried: neighbours of one candidate that are refined.
        climb_rounds: candidates expanded, for each of the width.
        at_floor_tried: neighbours refined where the measurements are met and only something simpler can win.
        neighbours: promising moves that are spelt out.
        rearranged: best candidates of which several terms are exchanged at once.
        exchanges: promising ones that are spelt out.
        exchanges_tried: those refined.
        exchange_rounds: how often this goes on from a better candidate.
        exchange_units: units of one equation of which all pairs are tried.
        exchange_plain: cheapest units that may come in pairs beside a third one.
        exchange_each: exchanges for the same terms that go.
        one_by_one: entries of a shortlist tried in the best candidate.
        again_rounds: rounds of looking again along the best trajectory.
        again_tried: entries of those shortlists tried.
        widest: terms that one quadratic model may hold; its cost grows with their square.
        respelt: best candidates whose fractions are also written as those of other equations.
        plain_numbers: best candidates of which plain values are tried for the numbers within them.
        piece: samples of a piece of multiple shooting.
        patience: candidates refined through short pieces in vain before plain refinement is trusted alone.
        many_starts: starting states of short pieces from which on pieces are too dear.
        many_runs: runs from which on candidates have to show on a few of them that they are worth all.
        few_runs: those few.
        population_share: share of a time budget after which no more populations are fitted.

    Examples:
        >>> wide = Effort(climb_width=6, climb_tried=80)  # na.discover(data, effort=wide)
        >>> wide.climb_rounds
        12
    """

    window: int = 6
    guide: int = 300
    shortlist: int = 60
    shortlist_plain: int = 20
    rich_terms: int = 4
    around: int = 40
    few_terms: int = 3
    few_tried: int = 200
    pairings: int = 12_000
    fewest_pairings: int = 40
    most_pairings: int = 3000
    iterations: int = 25
    rough: int = 4
    fine: int = 15
    refined: int = 12
    polished: int = 20
    polishing: int = 40
    from_each: int = 3
    attempts: int = 4
    climb_width: int = 3
    climb_tried: int = 40
    climb_rounds: int = 12
    at_floor_tried: int = 8
    neighbours: int = 200
    rearranged: int = 4
    exchanges: int = 300
    exchanges_tried: int = 60
    exchange_rounds: int = 3
    exchange_units: int = 120
    exchange_plain: int = 12
    exchange_each: int = 5
    one_by_one: int = 60
    again_rounds: int = 3
    again_tried: int = 20
    widest: int = 600
    respelt: int = 100
    plain_numbers: int = 5
    piece: int = 10
    patience: int = 24
    many_starts: int = 3000
    many_runs: int = 8
    few_runs: int = 4
    population_share: float = 0.35


DEFAULT = Effort()
"""One effort for every system."""

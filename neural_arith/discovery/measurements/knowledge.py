"""What the user knows about the equations beforehand, in the user's words."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import sympy as sp

from neural_arith.data import Trajectories
from neural_arith.discovery.measurements.constraints import Constraints
from neural_arith.equations.terms import power_terms
from neural_arith.equations.text import read_expression
from neural_arith.errors import EquationError, OptionError
from neural_arith.terms.library import KINDS, SINE
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import Unit

ALLOWED_KINDS = tuple(KINDS)
"""Families of units that may be allowed or not; products of whole powers always are."""

_LIFTED = (sp.exp, sp.sin, sp.cos, sp.log)
_TERM = "a product of powers of variables, an exp, a log and a sin or cos, such as x*y**2 or x*exp(-y)"


_SHORT = reprlib.Repr()
_SHORT.maxstring, _SHORT.maxother = 60, 200


@dataclass(frozen=True)
class Knowledge:
    """What is known about the equations before the search; by default nothing.

    Terms are written without their coefficient, over the names of states and inputs: ``"hare*lynx"``, ``"hare**2"``,
    ``"1"`` for a constant, ``"exp(-hare)"``. Names that are no identifiers stand between backticks.

    Attributes:
        require: for a state the terms that its equation has, ``{"hare": ["hare*lynx"]}``.
        forbid: for a state the terms that its equation does not have.
        signs: for a state terms with the sign of their coefficient, ``{"hare": ["+hare", "-hare*lynx"]}``. A term
            with a sign may be absent.
        positive: variables that are never negative.
        conserved: sums of states that do not change, ``["S + I + R"]``; coefficients as in ``"2*A2 + A"``.
        kinds: families of terms allowed beside products of whole powers: any of "roots and ratios", "waves",
            "exponentials" (and logarithms), "fractions" and "powers of sums"; ``[]`` for polynomials only, None for
            all.
        max_terms: most terms in one equation.
        max_numbers: most fitted numbers in all equations together.

    >>> Knowledge(forbid={"hare": ["lynx**2"]}, positive=["hare", "lynx"], kinds=[])
    Knowledge(forbid={'hare': ['lynx**2']}, positive=['hare', 'lynx'], kinds=[])
    """

    require: Mapping[str, Iterable[str]] = field(default_factory=dict)
    forbid: Mapping[str, Iterable[str]] = field(default_factory=dict)
    signs: Mapping[str, Iterable[str]] = field(default_factory=dict)
    positive: Iterable[str] = ()
    conserved: Iterable[str] = ()
    kinds: Iterable[str] | None = None
    max_terms: int | None = None
    max_numbers: int | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without the data."""
        for name in ("require", "forbid", "signs"):
            value = getattr(self, name)
            if not isinstance(value, Mapping):
                raise OptionError(f"{name} must map states to lists of terms, as in {{'x': ['x*y']}}, got {value!r}")
            for state, texts in value.items():
                _texts(texts, f"{name}[{state!r}]")
        for name in ("positive", "conserved", *(["kinds"] if self.kinds is not None else [])):
            _texts(getattr(self, name), name)
        unknown = [kind for kind in self.kinds or () if kind not in ALLOWED_KINDS]
        if unknown:
            raise OptionError(f"kinds may hold {', '.join(map(repr, ALLOWED_KINDS))}; not {unknown[0]!r}")
        for name in ("max_terms", "max_numbers"):
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if value is not None and not (whole and value >= 1):
                raise OptionError(f"{name} must be a whole number from 1, or None for no limit, got {value!r}")

    def __repr__(self) -> str:
        """Only what is stated, long lists cut."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        said = [f"{name}={_SHORT.repr(value)}" for name, value in given.items() if value not in (None, (), {})]
        return f"Knowledge({', '.join(said)})"

    def read(self, data: Trajectories, size: np.ndarray | None = None) -> Constraints:
        """The same in the units of the search.

        Args:
            data: the measurements, whose names the texts use.
            size: sizes of the states, ``(states,)``; default ones.

        Raises:
            OptionError: an unknown name, a text that is not a term, or statements that contradict each other or the
                measurements.
        """
        states, names = list(data.names), [*data.names, *data.input_names]
        for name in self.positive:
            if name not in names:
                raise OptionError(f"positive: {name!r} is not among {', '.join(names)}")
        _check_not_negative(self.positive, data)
        required, forbidden = (self._read_terms(what, states, names) for what in ("require", "forbid"))
        for state, must, never in zip(states, required, forbidden, strict=True):
            for unit in must.keys() & never.keys():
                raise OptionError(f"{must[unit]} is required and forbidden at once in the equation of {state}")
        signs = {
            (i, unit): -1 if text.startswith("-") else 1
            for i, terms in enumerate(self._read_terms("signs", states, names))
            for unit, text in terms.items()
        }
        constraints = Constraints(
            required=tuple(map(tuple, required)) if any(required) else (),
            forbidden=tuple(map(frozenset, forbidden)) if any(forbidden) else (),
            signs=signs,
            positive=np.array([name in self.positive for name in names]),
            conserved=tuple(_read_sum(text, states) for text in self.conserved),
            size=np.ones(len(states)) if size is None else size,
            kinds=None if self.kinds is None else frozenset(self.kinds),
            max_terms=self.max_terms,
            max_numbers=self.max_numbers,
        )
        if not constraints.variants(Structure(((),) * len(states))):
            raise OptionError(
                "the required terms cannot stand: there are more of them than max_terms or max_numbers, one is of a "
                "kind not allowed, or one cannot cancel in a conserved sum"
            )
        return constraints

    def names_in_terms(self, data: Trajectories) -> set[str]:
        """Variables of which a required or forbidden term, or one with a sign, is made."""
        states, names = list(data.names), [*data.names, *data.input_names]
        units = [unit for what in ("require", "forbid", "signs") for terms in self._read_terms(what, states, names)
                 for unit in terms]  # fmt: skip
        return {names[v] for unit in units for v in unit.variables}

    def without(self, names: Iterable[str]) -> Knowledge:
        """The same for data without some inputs, which no term may name."""
        gone = set(names)
        return replace(self, positive=[name for name in self.positive if name not in gone]) if gone else self

    def sign_text(self, data: Trajectories, i: int, unit: Unit) -> str:
        """How the sign of a term of equation ``i`` was stated."""
        return self._read_terms("signs", list(data.names), [*data.names, *data.input_names])[i][unit]

    def _read_terms(self, what: str, states: list[str], names: list[str]) -> list[dict[Unit, str]]:
        """The terms of one attribute for each state, with their texts (and signs)."""
        found: list[dict[Unit, str]] = [{} for _ in states]
        for state, texts in getattr(self, what).items():
            if state not in states:
                raise OptionError(f"{what}: {state!r} is not a state; the states are {', '.join(states)}")
            terms = found[states.index(state)]
            for text in map(str.strip, texts):
                signed = text[0] in "+-"
                if signed and what != "signs":
                    raise OptionError(f"{what} of {state}: write {text!r} without its sign, which goes into signs")
                if not signed and what == "signs":
                    raise OptionError(f"signs of {state}: write +{text} or -{text}")
                unit, turned = _read_term(text[1:] if signed else text, names, f"{what} of {state}")
                if turned and signed:
                    text = ("-" if text[0] == "+" else "+") + text[1:]
                if terms.get(unit, text)[0] != text[0] and signed:
                    raise OptionError(f"signs of {state}: {text[1:]} is said to have both signs")
                terms[unit] = text
        return found


def _check_not_negative(positive: Iterable[str], data: Trajectories) -> None:
    for k, name in enumerate((*data.names, *data.input_names)):
        if name in positive:
            values = [r.x[:, k] if r.u is None or k < data.n_states else r.u[:, k - data.n_states] for r in data.runs]
            if np.nanmedian(np.concatenate(values)) < 0:
                raise OptionError(f"positive: most measured values of {name} are negative")


def _texts(value: object, what: str) -> None:
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        raise OptionError(f"{what} must be a list of texts, got {value!r}")
    for text in value:
        if not isinstance(text, str) or not text.strip():
            raise OptionError(f"{what} must be a list of texts, but holds {text!r}")


def _expression(text: str, names: list[str], what: str) -> sp.Expr:
    try:
        return read_expression(text, names)
    except EquationError as error:
        raise OptionError(f"{what}: {error}") from None


def _read_sum(text: str, states: list[str]) -> tuple[float, ...]:
    """Coefficients of the states in a conserved sum."""
    expr = _expression(text, states, "conserved")
    terms = power_terms(expr, states) or []
    if not terms or any(list(powers.values()) != [1.0] for _, powers in terms):
        raise OptionError(f"conserved: {text!r} is not a sum of states, such as S + I + R or A + 2*B")
    found = {name: coefficient for coefficient, powers in terms for name in powers}
    return tuple(found.get(state, 0.0) for state in states)


def _read_term(text: str, names: list[str], what: str) -> tuple[Unit, bool]:
    """A term as a unit, and whether it is minus that unit."""
    wrong = OptionError(f"{what}: {text!r} is not a term: write {_TERM}")
    factors = sp.Mul.make_args(_expression(text, names, what))
    plain = power_terms(sp.Mul(*(f for f in factors if not isinstance(f, _LIFTED))), names)
    if plain is None or len(plain) != 1:
        raise wrong
    ((coefficient, powers),) = plain
    if abs(coefficient) != 1.0:
        raise OptionError(f"{what}: write {text!r} without its coefficient, which is fitted")
    rows: dict[type, tuple[float, ...]] = {}
    for factor in (f for f in factors if isinstance(f, _LIFTED)):
        argument: Any = factor.args[0]
        inside = power_terms(argument, names)
        if not inside or any(list(p.values()) != [1.0] for _, p in inside) or type(factor) in rows:
            raise wrong
        rates = {name: c for c, p in inside for name in p}
        rows[type(factor)] = tuple(rates.get(name, 0.0) for name in names)
    logs, sine = rows.get(sp.log, ()), sp.sin in rows
    waves = rows.get(sp.sin, ()) or rows.get(sp.cos, ())
    if (sine and sp.cos in rows) or (logs and sorted(logs)[-2:] not in ([1.0], [0.0, 1.0])):
        raise wrong
    turned = coefficient < 0
    if waves and next(w for w in waves if w) < 0:  # in the search the first frequency is positive
        waves, turned = tuple(0.0 - w for w in waves), turned != sine
    powers_ = tuple(powers.get(name, 0.0) for name in names)
    return Unit(powers_, rows.get(sp.exp, ()), waves, SINE if sine else 0.0, tuple(map(int, logs))), turned

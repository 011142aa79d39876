"""Equations read as reactions: the same product in several equations, in ratios of small whole numbers.

The convention is that of mass action: a reaction runs at ``rate = k * law`` (for an elementary one the law is the
product of the reactants' concentrations to the power of their numbers), and every species changes by its net number
times that rate. So ``2 A -> B  (k = 0.1)`` stands for ``d A/dt = -2*0.1*A**2`` and ``d B/dt = 0.1*A**2``.

Equations fix the net numbers only up to a factor, which goes into k: here they are the smallest whole ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import sympy as sp

from neural_arith.equations.constants import Order
from neural_arith.equations.names import quoted
from neural_arith.equations.system import EquationSystem
from neural_arith.equations.terms import power_terms
from neural_arith.equations.text import number_text, write
from neural_arith.errors import OptionError

LARGEST = 4
"""Largest net number of a species in one reaction; larger ones would lie within the errors of each other's ratios."""

_LOOSEST = 0.2
"""Beyond this share a coefficient tells too little: with a larger one 2 : 3 and 3 : 4 would pass for 1 : 1."""

_FAR = 3.0
"""Standard errors by which a ratio must miss all whole ratios but one; nearer ones would be met by chance, for from
3 : 4 to 1 : 1 it is but a quarter."""

_RATIOS = sorted({a / b for a in range(1, LARGEST + 1) for b in range(1, LARGEST + 1)})


_SHOWN, _WIDEST = 6, 200
"""Lines, and letters of each, of reactions where they are represented."""


@dataclass(frozen=True)
class Reaction:
    """One reaction.

    Attributes:
        reactants: how many of each species go in; catalysts, which come out again, are among them.
        products: how many of each species come out.
        law: the rate law without its constant, over symbols named as the species.
        rate_constant: k; the rate is ``k * law``, and each species changes by products minus reactants times that.

    >>> A = sp.Symbol("A")
    >>> print(Reaction({"A": 2}, {"B": 1}, A**2, 0.1))
    2 A -> B  (k = 0.1)
    >>> print(Reaction({"A": 1}, {}, sp.sqrt(A), 0.3))
    A -> nothing  (rate = 0.3*sqrt(A))
    """

    reactants: Mapping[str, int] = field(hash=False)
    products: Mapping[str, int] = field(hash=False)
    law: sp.Expr
    rate_constant: float

    @property
    def net(self) -> dict[str, int]:
        """Net number of each species that changes, negative where it is used up."""
        names = dict.fromkeys((*self.reactants, *self.products))
        change = {name: self.products.get(name, 0) - self.reactants.get(name, 0) for name in names}
        return {name: number for name, number in change.items() if number}

    @property
    def mass_action(self) -> bool:
        """Whether the rate law is the product of the reactants to the power of their numbers."""
        return self.law == sp.Mul(*(sp.Symbol(name) ** number for name, number in self.reactants.items()))

    @property
    def rate(self) -> sp.Expr:
        """The rate law with its constant."""
        return sp.Float(self.rate_constant) * self.law

    def to_text(self, figures: int | None = 4) -> str:
        """The reaction with so many significant figures (None: exactly); the rate law in full unless mass action."""
        sides = " -> ".join(_side(side) for side in (self.reactants, self.products))
        if self.mass_action:
            return f"{sides}  (k = {number_text(self.rate_constant, figures)})"
        names = list(dict.fromkeys((*self.reactants, *self.products, *sorted(map(str, self.law.free_symbols)))))
        return f"{sides}  (rate = {write(self.rate, names, figures)})"

    def __str__(self) -> str:
        return self.to_text()


@dataclass(frozen=True, repr=False)
class Reactions:
    """A system of equations read as reactions.

    Attributes:
        reactions: the reactions, in the order of the terms in the equations.
        rest: the terms that cannot be read as reactions; zero in the equations that have none.

    Examples:
        >>> import neural_arith as na
        >>> found = na.read_reactions(na.EquationSystem({"A": "-0.3*A", "B": "0.6*A"}))
        >>> found.stoichiometry.tolist(), found.complete
        ([[-1], [2]], True)
    """

    reactions: tuple[Reaction, ...]
    rest: EquationSystem

    @property
    def stoichiometry(self) -> np.ndarray:
        """Net number of each species in each reaction, ``(states, reactions)``."""
        rows = [[reaction.net.get(state, 0) for reaction in self.reactions] for state in self.rest.states]
        return np.array(rows, dtype=int).reshape(len(self.rest.states), len(self.reactions))

    @property
    def complete(self) -> bool:
        """Whether every term is part of a reaction."""
        return not any(self.rest.rhs.values())

    @property
    def linked(self) -> bool:
        """Whether some reaction changes several species at once, without which the reading says nothing new."""
        return bool((np.count_nonzero(self.stoichiometry, axis=0) > 1).any())

    def to_equations(self) -> EquationSystem:
        """The equations of the reactions and the rest; ratios are exact now."""
        rhs = self.rest.rhs
        for reaction in self.reactions:
            for name, number in reaction.net.items():
                rhs[name] += number * reaction.rate
        return EquationSystem(rhs, inputs=self.rest.inputs)

    def __repr__(self) -> str:
        lines = str(self).splitlines()
        more = f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        return f"<{len(self.reactions)} reactions: {'; '.join(line[:_WIDEST] for line in lines[:_SHOWN])}{more}>"

    def __str__(self) -> str:
        lines = [str(reaction) for reaction in self.reactions]
        rest = {state: text for state, text in self.rest.to_text().items() if self.rest.rhs[state] != 0}
        lines += [f"not a reaction: d {quoted(state)}/dt = ... {text}" for state, text in rest.items()]
        return "\n".join(lines)


def read_reactions(
    system: EquationSystem, rtol: float = 0.05, standard_errors: Sequence[float] | None = None
) -> Reactions:
    """Read equations as reactions.

    Terms that differ by their coefficient only, in whatever equations they stand, share a rate law. They are

    * one reaction when their coefficients are in the ratio of whole numbers up to 4 and the law has at least as many
      of every species as go: ``-2*k*A**2`` and ``k*A**2`` are ``2 A -> B``. A species of the law that stays is a
      catalyst, and stands on both sides. No species on one side is a source or a sink;
    * else several reactions from the same reactants, one for each product, when what appears adds up to what
      vanishes: ``-0.3*A``, ``0.1*A``, ``0.2*A`` are ``A -> B`` and ``A -> C``;
    * else one reaction whose law is not mass action, such as ``S -> I`` at the rate ``0.06*sqrt(S)*sqrt(I)``. Only
      what stands in the law can be used up: ``d x/dt = -y`` is no reaction.

    What is left stays as it is. Equations cannot tell all reactions apart: ``2 A -> 2 B`` at half the rate constant has
    the equations of ``2 A -> A + B``, and two reactions with the same reactants and the same law come out as one.

    Args:
        system: the equations; inputs may stand in rate laws.
        rtol: how far the coefficients may be from whole ratios, at most 0.05: beyond, two ratios could be meant.
        standard_errors: of ``system.constants``, in their order; a coefficient may then be off by three of them, even
            where that is more than ``rtol``, up to a fifth of its size. The better known ones count more in the rate
            constant. Coefficients known too little to exclude every other ratio of whole numbers up to 4, by three
            standard errors, are not read: hares eaten and lynxes born need not be in any such ratio.

    Raises:
        OptionError: ``rtol`` is out of range, or a wrong number of standard errors.

    >>> found = read_reactions(EquationSystem({"A": "-0.2*A**2 - 0.3*A*C", "B": "0.1*A**2", "C": "0.01"}))
    >>> print(found)
    2 A -> B  (k = 0.1)
    A + C -> C  (k = 0.3)
    nothing -> C  (k = 0.01)
    """
    if not 0 <= rtol <= 0.05:
        raise OptionError(f"rtol must lie between 0 and 0.05, where whole ratios are told apart, but is {rtol!r}")
    constants = system.constants
    if standard_errors is not None and len(standard_errors) != len(constants):
        raise OptionError(
            f"standard_errors must hold one number for each of the {len(constants)} constants, "
            f"not {len(standard_errors)}"
        )
    error_of = dict(zip(constants, standard_errors or [], strict=False))
    shared: dict[sp.Expr, dict[str, sp.Expr]] = {}
    order = Order((*system.states, *system.inputs))
    for state, expr in system.rhs.items():
        for term in order.terms(sp.expand(expr, power_exp=False)):
            coefficient, law = term.as_coeff_Mul()
            if coefficient != 0:
                shared.setdefault(law, {})[state] = coefficient
    reactions: list[Reaction] = []
    rest: dict[str, sp.Expr] = dict.fromkeys(system.states, sp.S.Zero)
    for law, coefficients in shared.items():
        change = {state: float(value) for state, value in coefficients.items()}
        error = {state: abs(error_of.get(value, 0.0) / value) for state, value in change.items()}
        loose = {state: max(rtol, min(3 * share, _LOOSEST)) for state, share in error.items()}
        found = _read_law(law, change, loose, error, system)
        reactions += found
        if not found:
            for state, value in coefficients.items():
                rest[state] += value * law
    return Reactions(tuple(reactions), EquationSystem(rest, inputs=system.inputs))


def _told(ratio: float, *errors: float) -> bool:
    """Whether no more than one ratio of small whole numbers lies within the standard errors, which are shares."""
    doubt = _FAR * math.hypot(*errors)
    near = [whole for whole in _RATIOS if not abs(math.log(ratio / whole)) > doubt]
    return len(near) <= 1


def _read_law(
    law: sp.Expr, change: dict[str, float], loose: dict[str, float], error: dict[str, float], system: EquationSystem
) -> list[Reaction]:
    """The reactions that share one rate law; none when it cannot be read.

    Args:
        law: what the terms have in common.
        change: coefficient of each state in whose equation it stands.
        loose: how far each coefficient may be off, as a share of it.
        error: standard error of each coefficient, as a share of it.
        system: the equations.
    """
    if any(value < 0 and sp.Symbol(name) not in law.free_symbols for name, value in change.items()):
        return []
    orders = _orders(law, system)
    if orders is not None and any(value < 0 and orders[name] < 0 for name, value in change.items()):
        return []  # the less there is, the faster it would go
    whole = _whole_ratio(change, loose, error)
    if whole is not None and (orders is None or all(-number <= orders[name] for name, number in whole[0].items())):
        return [_reaction(law, *whole, orders)]
    channels = [] if orders is None else _channels(law, change, loose, error, orders)
    return channels or ([_reaction(law, *whole, orders)] if whole is not None else [])


def _orders(law: sp.Expr, system: EquationSystem) -> dict[str, float] | None:
    """The exponent of each state in a rate law (0 where it does not stand); None unless it is a product of powers."""
    terms = power_terms(law, (*system.states, *system.inputs))
    if terms is None or len(terms) != 1:
        return None
    return {state: terms[0][1].get(state, 0.0) for state in system.states}


def _whole_ratio(
    change: dict[str, float], loose: dict[str, float], error: dict[str, float]
) -> tuple[dict[str, int], float] | None:
    """The smallest whole numbers in whose ratio the coefficients are, and what one of them stands for."""
    if not all(_told(abs(change[a] / change[b]), error[a], error[b]) for a, b in itertools.combinations(change, 2)):
        return None
    best_known = min(change, key=lambda name: (loose[name], abs(change[name])))
    for number in range(1, LARGEST + 1):
        one = abs(change[best_known]) / number
        net = {name: round(value / one) for name, value in change.items()}
        if not all(1 <= abs(n) <= LARGEST for n in net.values()):
            continue
        weight = {name: 1.0 / max(loose[name], 1e-12) ** 2 for name in change}
        k = sum(weight[name] * value / net[name] for name, value in change.items()) / sum(weight.values())
        if all(abs(value / net[name] - k) <= loose[name] * k * (1 + 1e-12) for name, value in change.items()):
            return net, k
    return None


def _channels(
    law: sp.Expr, change: dict[str, float], loose: dict[str, float], error: dict[str, float], orders: dict[str, float]
) -> list[Reaction]:
    """One reaction for each product when what appears adds up to what vanishes, of each reactant a whole number."""
    products = {name: value for name, value in change.items() if value > 0}
    total = sum(products.values())
    gone = {name: -value / total for name, value in change.items() if value < 0} if products else {}
    numbers = {name: round(share) for name, share in gone.items()}
    if not numbers or not all(1 <= numbers[n] <= orders[n] and abs(gone[n] / numbers[n] - 1) <= loose[n] for n in gone):
        return []
    spread = math.hypot(*(error[name] * value for name, value in products.items())) / total
    if not all(_told(gone[name], error[name], spread) for name in gone):
        return []
    consumed = {name: -number for name, number in numbers.items()}
    return [_reaction(law, {**consumed, name: 1}, value, orders) for name, value in products.items()]


def _reaction(law: sp.Expr, net: dict[str, int], k: float, orders: dict[str, float] | None) -> Reaction:
    """A reaction by its net numbers; whole orders of the law are reactants too, products where they are not used up."""
    reactants, products = {}, {}
    for name in orders if orders is not None else net:
        exponent = 0.0 if orders is None else orders[name]
        whole = int(exponent) if exponent > 0 and exponent == int(exponent) else 0
        into = max(whole, -net.get(name, 0), 0)
        out = into + net.get(name, 0)
        reactants |= {name: into} if into else {}
        products |= {name: out} if out else {}
    return Reaction(reactants, products, law, k)


def _side(side: Mapping[str, int]) -> str:
    parts = [quoted(name) if number == 1 else f"{number} {quoted(name)}" for name, number in side.items()]
    return " + ".join(parts) or "nothing"

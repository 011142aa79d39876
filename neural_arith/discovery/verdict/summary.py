"""The choice as a table: each constant with its error, the term it stands in, and what that term buys."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neural_arith.equations.system import EquationSystem
from neural_arith.equations.text import places, read_expression, write

if TYPE_CHECKING:
    from neural_arith.discovery.verdict.result import Discovery

_FIGURES = 4  # of a term as text; by it the terms of two lists are known to be the same


@dataclass(frozen=True)
class SummaryRow:
    """One constant of the chosen equations, or a term that holds none.

    Attributes:
        state: the equation it stands in.
        term: the term that holds it, as text, before rounding.
        value: the constant before rounding; nan for a term without one.
        error: its standard error: nan where there is none, 0 where an exponent was taken as exact.
        buys: units of 2 log likelihood that are lost without the term; inf where nothing is left that can be followed,
            nan where nobody measured it.
        costs: what the term adds to the description length, in the same unit.

    Examples:
        >>> from neural_arith.discovery import SummaryRow
        >>> row = SummaryRow(state="x", term="-0.501*x", value=-0.501, error=0.004, buys=310.0, costs=9.0)
        >>> row.term, row.error
        ('-0.501*x', 0.004)
    """

    state: str
    term: str
    value: float
    error: float
    buys: float
    costs: float


@dataclass(frozen=True, repr=False)
class Summary:
    """The chosen equations and one row for each of their constants. Prints as text, shows as HTML in a notebook.

    Attributes:
        equations: rounded where the likelihood allows it.
        rows: constants before rounding, which the errors belong to, in the order of the equations.
        without_error: what a constant without a standard error is called.

    Examples:
        >>> import neural_arith as na
        >>> from neural_arith.discovery import Summary, SummaryRow
        >>> row = SummaryRow(state="x", term="-0.501*x", value=-0.501, error=0.004, buys=310.0, costs=9.0)
        >>> Summary(na.EquationSystem({"x": "-0.5*x"}), (row,), without_error="not fixed")
        d x/dt = -0.5*x
        <BLANKLINE>
        constants before rounding, with standard errors; what their terms buy, in units of 2 log likelihood:
          d x/dt  -0.501 +- 0.004  in -0.501*x  buys 310.0
    """

    equations: EquationSystem
    rows: tuple[SummaryRow, ...]
    without_error: str

    def __repr__(self) -> str:
        rows = [row for row in self.rows if row.error != 0.0]
        if not rows:
            return str(self.equations)
        cells = [(f"d {row.state}/dt", self._value(row), f"in {row.term}", _buys(row)) for row in rows]
        widths = [max(len(line[k]) for line in cells) for k in range(4)]
        lines = ["  ".join(c.ljust(n) for c, n in zip(line, widths, strict=True)).rstrip() for line in cells]
        head = "constants before rounding, with standard errors"
        if widths[-1]:
            head += "; what their terms buy, in units of 2 log likelihood"
        return "\n".join([str(self.equations), "", f"{head}:", *(f"  {line}" for line in lines)])

    def _value(self, row: SummaryRow) -> str:
        if math.isnan(row.value):
            return ""
        return f"{row.value:.4g} +- {row.error:.1g}" if row.error > 0 else f"{row.value:.4g}, {self.without_error}"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self.equations))}</pre>\n{self.table()}"

    def table(self) -> str:
        """The rows as an HTML table."""
        rows = []
        for row in self.rows:
            doubt = (f"{row.error:.2g}", f"{100 * abs(row.error / row.value):.2g} %" if row.value else "\u2013")
            if math.isnan(row.value):
                doubt = ("", "")
            elif not row.error > 0:
                doubt = ("taken as exact" if row.error == 0.0 else self.without_error, "\u2013")
            value = "" if math.isnan(row.value) else f"{row.value:.6g}"
            price = "" if math.isnan(row.costs) else f"{row.costs:.1f}"
            cells = (f"d {row.state}/dt", row.term, value, *doubt, _gain(row), price)
            rows.append((tuple(cell or "\u2013" for cell in cells), ""))
        words = (
            "Constants of the chosen equations as fitted, before any rounding, how well the data fix them, and what "
        )
        words += "each term is worth. Gain: by how much the misfit (-2 log likelihood) grows when the term is left out "
        words += "and all else is fitted again. Price: what the term adds to the description. A term stays if it gains "
        words += "more."
        head = ("equation", "term", "constant", "standard error", "relative", "gain", "price")
        return html_table(words, head, rows, numbers=(2, 3, 4, 5, 6), formulas=(1,))


def _buys(row: SummaryRow) -> str:
    gain = _gain(row)
    return f"buys {gain}" if math.isfinite(row.buys) else gain


def _gain(row: SummaryRow) -> str:
    if math.isnan(row.buys):
        return ""
    return f"{row.buys:.1f}" if math.isfinite(row.buys) else "no solution without it"


def summarise(discovery: Discovery) -> Summary:
    """The table of a discovery's choice: each term's worth stands at its first constant that is shown as text."""
    chosen = discovery.chosen
    equations = chosen.equations
    names = (*equations.states, *equations.inputs)
    worth = {(w.state, write(read_expression(w.term, names), names, _FIGURES)): w for w in discovery.terms}
    rows = []
    sides = {f"d {state}/dt": state for state in equations.states}
    for (side, term), value, error in zip(places(equations), chosen.constants, chosen.standard_errors, strict=True):
        found = None if error == 0.0 else worth.pop((sides[side], term), None)
        buys, costs = (math.nan, math.nan) if found is None else (found.buys, found.costs)
        rows.append(SummaryRow(sides[side], term, value, error, buys, costs))
    rows += [SummaryRow(w.state, text, math.nan, math.nan, w.buys, w.costs) for (_, text), w in worth.items()]
    rows.sort(key=lambda row: equations.states.index(row.state))
    return Summary(discovery.equations, tuple(rows), chosen.without_error)


def html_table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[tuple[Sequence[str], str]],
    *,
    numbers: Sequence[int] = (),
    formulas: Sequence[int] = (),
) -> str:
    """An accessible table: a caption, headers with scope, each row with an optional class."""
    kinds = {**dict.fromkeys(numbers, "number"), **dict.fromkeys(formulas, "formula")}

    def attribute(kind: str) -> str:
        return f' class="{kind}"' if kind else ""

    top = "".join(
        f'<th scope="col"{attribute(kinds.get(i, ""))}>{html.escape(name)}</th>' for i, name in enumerate(head)
    )
    lines = []
    for cells, kind in rows:
        inner = "".join(f"<td{attribute(kinds.get(i, ''))}>{html.escape(c)}</td>" for i, c in enumerate(cells))
        lines.append(f"<tr{attribute(kind)}>{inner}</tr>")
    return (
        f'<div class="wide"><table><caption>{html.escape(caption)}</caption>\n<thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(lines)}\n</tbody></table></div>\n"
    )

"""Write arithmetic/fractional_sir.md from the rows beside it: ``python docs/results/fractional_sir.py``.

The rows are those of ``neural-arith bench fractional-sir --out docs/results/arithmetic``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from neural_arith_bench.arithmetic.scores import wilson
from neural_arith_bench.fractional_sir.results import TITLES, SirRow, draw, ordered, rows_in, table
from neural_arith_bench.store import origin

HERE = Path(__file__).parent / "arithmetic"

HEAD = """# A fractional epidemic, a hundred runs per unit

The grid of Heim, Pevný and Šmídl (Neural Power Units, NeurIPS 2020, arXiv:2006.01681): the epidemic
dS = -r + 0.01 R, dI = r - 0.05 I, dR = 0.05 I - 0.01 R with r = 0.06 sqrt(I S) is seen at 40 times without noise, and a
power unit under a NAU, or a dense network, is trained as its right-hand side: hidden sizes 6, 9, 12, 15 and 20, L1
penalties 0, .01, .1 and 1, five runs of each. Paper and code disagree, and the code is followed: RMSProp with rate
0.005 for 3,000 steps and then L-BFGS (paper: Adam, which is `--optimiser adam`), the mean square over 3 states and 40
times as loss, Euler steps of 1 as solver, about which the paper says nothing.

That solver decides the outcome: under it the true equations score worse than the best wrong ones, so the published
protocol cannot find them. Hence three protocols in one table. *published* is the one above; *accurate* is the same
through a solver that scores the truth as right; *ours* trains through an adaptive solver without a penalty, prunes,
rounds, and refits to a formula. *best* and *median* are mean squares by the protocol's own solver, with the number of
parameters above 1e-3; *accurate* is the same trajectory by LSODA. *exact* counts formulas with the true terms and no
others, every constant, exponents too, within 1 %. *paper* is read off the published figure; in it no run has
the true formula.
"""


def files(folder: Path = HERE) -> dict[str, list[SirRow]]:
    """Name to rows of each result file, in the order of the table: full training first, other budgets after it."""
    found = {}
    for path in sorted(folder.glob("fractional_sir*.csv"), key=lambda path: (len(path.stem), path.stem)):
        found[path.stem] = ordered(rows_in(path).rows.values())
    return found


def page(folder: Path = HERE) -> str:
    """The page as text."""
    parts = [HEAD.strip()]
    for name, rows in files(folder).items():
        setting = name.removeprefix("fractional_sir").strip("_").replace("_", " ").replace("pct", " %")
        parts += [f"## {setting.capitalize()}" if setting else "## Full training", table(rows), _found(rows)]
        if "budget" in setting:
            parts.append(f"**These runs took fewer steps than were published** ({setting} of the 3,000).")
        parts += [f"![Mean square against number of parameters]({name}.svg)", origin(folder / f"{name}.json")]
    return "\n\n".join(parts) + "\n"


def _found(rows: list[SirRow]) -> str:
    """How often the truth was found, and what else, in words."""
    runs = [row for row in rows if row.unit not in ("constant", "truth")]
    lines = []
    for protocol, unit in dict.fromkeys((row.protocol, row.unit) for row in runs):
        own = [row for row in runs if (row.protocol, row.unit) == (protocol, unit)]
        right = sum(row.exact for row in own)
        low, high = (100 * float(end) for end in wilson(right, len(own)))
        lines.append(f"* {protocol}, {TITLES[unit]}: {right} of {len(own)} exact ({low:.0f}-{high:.0f} %)")
    return "The true formula, with Wilson's interval:\n\n" + "\n".join(lines) if lines else "No runs yet."


def write(folder: Path = HERE) -> None:
    """Write page and pictures; nothing without rows."""
    found = files(folder)
    for name, rows in found.items():
        draw(folder / f"{name}.svg", rows)
    if found:
        (folder / "fractional_sir.md").write_text(page(folder), encoding="utf-8")


if __name__ == "__main__":
    write()

"""Write benchmarks.md and its pictures from the result files beside this one: ``python docs/results/suites.py``.

The files are those of ``neural-arith bench odebench | powerlaw --out docs/results``; whichever are there are shown.
"""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from neural_arith_bench.store import content
from neural_arith_bench.suites.methods import METHODS
from neural_arith_bench.suites.tables import table

HERE = Path(__file__).parent

SUITES = {
    "odebench": "ODEBench",
    "powerlaw": "Powers and ratios",
}
ABOUT = {
    "odebench": "The 63 systems of ODEBench (d'Ascoli et al., ICLR 2024, arXiv:2310.05573), 150 samples each.",
    "powerlaw": "The 24 systems of the catalogue that need real powers or ratios, each with its own number of samples.",
}
PANELS = {"rec": "reconstruction", "gen": "generalisation", "exact": "exact formula"}
COLOURS = dict(zip(METHODS, ("#1b6ca8", "#e08e2b", "#4c9f70", "#9a9a9a", "#d0d0d0"), strict=True))

HEAD = """# Benchmarks

How often equations are found on collections of systems whose equations are known. Every method gets the same samples of
one trajectory: noise is multiplicative, `x (1 + noise N(0, 1))`, and a share of the samples may be dropped at random.
None sees the truth, the second trajectory or the level of the noise, except *oracle*, an upper bound: it is given the
true structure and fits its constants. *constant*, a lower bound, says that nothing changes.

*rec* and *gen* are shares of systems, in percent, whose simulation from the true first state (reconstruction) and a
second state that nobody trained on (generalisation) has an R2 above 0.9 against the noiseless truth; an integration
that fails counts as missed. *exact*: without terms below a thousandth of their equation, the same formula as the truth
in whatever form (`EquationSystem.same_as`), every constant within 5 %. *structure*: the same terms, whatever their
numbers (`same_structure`). *RHS 10 %*: the right-hand side is within a tenth of the true one (relative root mean
square) on a box around both true trajectories. *failed*: an error, or out of time; these rows count as missed.

With one seed and 63 systems the standard error of a share is about 6 points, with three seeds hardly less, as the
systems are the same. Methods may have rows of different numbers of seeds. Seconds are wall-clock for one system.
PySINDy and Operon are tried with many settings; the model that follows the noisy data best (lowest BIC) is taken.
"""


def settings(suite: str) -> list[tuple[float, float, dict]]:
    """Noise, dropped share and content of each result file of a suite, in order."""
    found = []
    for path in HERE.glob(f"{suite}_noise_*.json"):
        match = re.fullmatch(rf"{suite}_noise_([\d.e-]+)_drop_([\d.e-]+)\.json", path.name)
        if match:
            found.append((float(match[2]), float(match[1]), content(path)))
    return [(noise, drop, held) for drop, noise, held in sorted(found, key=lambda item: item[:2])]


def ordered(held: dict) -> list[dict]:
    """The rows with methods in their usual order."""
    names = list(METHODS)
    return sorted(held["rows"], key=lambda row: (names.index(row["method"]), row["id"], row["seed"]))


def page() -> str:
    """The page as text."""
    parts = [HEAD]
    for suite, title in SUITES.items():
        shown = settings(suite)
        if not shown:
            continue
        parts.append(f"## {title}\n\n{ABOUT[suite]}\n\n![{_words()}, for each noise and method]({suite}.svg)\n")
        for noise, drop, held in shown:
            made = held["made_by"][-1]
            commits = ", ".join(f"`{commit}`" for commit in sorted({row["commit"] for row in held["rows"]}))
            seeds = len({row["seed"] for row in held["rows"]})
            parts.append(
                f"### {_setting(noise, drop).capitalize()}\n\n{table(ordered(held))}\n\n"
                f"{seeds} seed{'s' * (seeds > 1)}; last command `{made['command']}`, commit {commits}, "
                f"{made['cores']} cores.\n"
            )
    return "\n".join(parts)


def _words() -> str:
    *first, last = PANELS.values()
    return f"Shares of systems: {', '.join(first)} and {last}"


def _setting(noise: float, drop: float) -> str:
    words = f"noise {100 * noise:g} %" if noise else "no noise"
    return words if not drop else f"{words}, {100 * drop:g} % dropped"


def picture(suite: str) -> Figure:
    """Bars of all methods at each setting, a panel for each score."""
    shown = settings(suite)
    present = {row["method"] for _, _, held in shown for row in held["rows"]}
    methods = [method for method in METHODS if method in present]
    figure, axes = plt.subplots(len(PANELS), 1, figsize=(9, 7.5), sharex=True, layout="constrained")
    width = 0.8 / max(1, len(methods))
    for axis, (score, title) in zip(axes, PANELS.items(), strict=True):
        for number, method in enumerate(methods):
            places = [k for k, (_, _, held) in enumerate(shown) if method in held["summary"]]
            values = [shown[k][2]["summary"][method][score] for k in places]
            left = [k + (number - (len(methods) - 1) / 2) * width for k in places]
            bars = axis.bar(left, values, 0.92 * width, color=COLOURS[method], label=method)
            axis.bar_label(bars, fmt="%.0f", fontsize=8, padding=1)
        axis.set(ylim=(0, 112), yticks=(0, 50, 100), ylabel="% of systems")
        axis.set_title(title, loc="left", fontsize=11)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xticks(range(len(shown)), [_setting(noise, drop).replace(", ", "\n") for noise, drop, _ in shown])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(methods), frameon=False)
    return figure


def draw(suite: str, path: Path) -> None:
    """Write the picture, the same bytes for the same numbers, its words as text."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": suite}):
        figure = picture(suite)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    (HERE / "benchmarks.md").write_text(page(), encoding="utf-8")
    for name in SUITES:
        if settings(name):
            draw(name, HERE / f"{name}.svg")

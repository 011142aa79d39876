"""Write the pages of the experiments on arithmetic from the rows in arithmetic/: ``python docs/results/arithmetic.py``.

The rows are those of ``neural-arith bench NAME --out docs/results/arithmetic``; experiments without any are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from neural_arith_bench.arithmetic.experiments import EXPERIMENTS, Experiment
from neural_arith_bench.arithmetic.models import MODELS
from neural_arith_bench.arithmetic.published import published
from neural_arith_bench.arithmetic.references import CLOSED_FORM, GOLD, REFERENCES, TRIVIAL
from neural_arith_bench.arithmetic.results import (
    draw,
    middle,
    published_number,
    published_text,
    rate,
    share_of_steps,
    table,
    title,
)
from neural_arith_bench.arithmetic.rows import Row, rows_in
from neural_arith_bench.store import origin

HERE = Path(__file__).parent / "arithmetic"

TITLES = {
    "simple": "Four operations at once",
    "large-scale": "Operations on sums of fifty inputs",
    "static": "Operations on overlapping sums",
    "recurrent": "Operations on sums over time",
    "single-module": "Single modules",
    "inalu": "Seven distributions",
}

PROTOCOLS = {
    "simple": """
One network of two layers answers x + y, x y, x / y and the root of x at once (Heim, Pevný, Šmídl: Neural Power Units,
NeurIPS 2020, arXiv:2006.01681). Paper and code disagree, and the code is followed, because the printed numbers are
its own: inputs from U(0.1, 2.1) (paper: U(0.1, 2), which is `--range '[0.1,2]'`), six units under a sum of them
(appendix: the other way round), Adam with rate 0.005 (paper: 0.001), for NALU and iNALU RMSProp with 0.005 and 0.001,
a dense network 2-50-50-4 (appendix: 10 wide), 20,000 steps on ever new batches of 100. The error is the mean absolute
one on the grid -4.1, -3.9, ..., 3.9 in both directions, for the root 0.1, 0.2, ..., 4.0, of the last network, and
*mean* is what was printed, over 20 runs (paper: a median). There is no bar, so nothing is counted as solved. *sparse
RealNPU* is the published network by a recipe of ours: a rate that falls from 0.01 and an L1 penalty for a part of the
steps, chosen on the first 20 seeds; the others, 20 to 39, came afterwards.
""",
    "large-scale": """
A sum, product, reciprocal or root of two sums of 50 of 100 inputs, 12 of them shared, by a NAU of 100 rows under one
unit (Heim, Pevný, Šmídl: Neural Power Units, NeurIPS 2020, arXiv:2006.01681). Paper and code disagree, and the code
is followed, because the printed numbers are its own: tests on (-2, 2) for sum and product and on (-0.5, 0) for the
reciprocal (paper: (-4, 4) and (-0.5, 0.5), which is `--range paper`), a penalty on the size of weights that grows
tenfold every 10,000 steps to 1e-4 for the product (table: 1e-7), all matrices from U(0, 0.1). RMSProp, rate 0.01 for
the sum and 0.005 otherwise, batches of 128 of one Sobol sequence, 100,000 steps, but 10,000 and 20,000 for NMU on sum
and product. The error is the mean squared one of the last network on 10,000 points. What was printed is the median of
the ten best runs; ours is the median of all runs. *best constant* knows the mean of the test set: an error near it
explains nothing.
""",
    "static": """
An operation on two sums of 25 of 100 inputs, 12 of them shared, whose place is drawn for each seed; two layers with
two units between (Madsen, Johansen: Neural Arithmetic Units, ICLR 2020, arXiv:2001.05016, and its code). Inputs from
U(1, 2) and in the test from U(2, 6), Adam with rate 0.001, batches of 128, 5,000,000 steps, 100 seeds (50 for other
ranges and hidden sizes). The network of the lowest validation error is judged, among records every thousand steps or,
in short runs, ten of them. *Solved* is a mean squared error below that of the solution whose first layer is off by
1e-5. The bars are the published ones to three digits, whose script counts one input too many in each sum;
`StaticTask(..., exact_bar=True)` has that of the task as it is drawn. The paper prints one range as U(-1.1, 1.2); the
code has U(1.1, 1.2), which is followed. The bar of the quotient is at the rounding of float32, so it is trained in
float64.
""",
    "recurrent": """
An operation on two sums over a few of 10 inputs and over a whole sequence, of 10 steps in training and 1,000 in the
test (Trask et al.: Neural Arithmetic Logic Units, NeurIPS 2018, arXiv:1808.00508). The paper leaves sizes and ranges
open, so the form is that of Madsen and Johansen's public code: U(1, 2) throughout, Adam with rate 0.001, batches of
128, 5,000,000 steps, sums of 2 to 5 inputs that share one or two (the code says 1 to 5, and its own check refuses
some). The paper prints errors relative to a random network, the code was never printed, so there is nothing to stand
beside ours; the error is the mean squared one of the last network.
""",
    "single-module": """
One layer, one operation, two inputs, nine ranges (Mistry, Farrahi, Hare: A Primer for Neural Arithmetic Logic
Modules, JMLR 23(185), 2022); settings that end in x10 have eight inputs that do not matter. Adam with rate 0.001
(power units 0.005, the division units their own), batches of 128, 50,000 steps, with ten inputs 100,000, 25 seeds;
the network of the lowest validation error is judged (in the code, among the last records). *Solved* is a mean squared
error below that of the solution off by epsilon, and sources disagree about it: the table of settings has 1e-5, which
is followed, the committed script 1e-4 and the later paper on division (arXiv:2110.05177) a flat 1e-5 for the error
itself. Published rates were read off figures and, with ten inputs, are means over all ranges by that flat bar.
""",
    "inalu": """
An operation on inputs of seven distributions, tested on others (Schlör, Ring, Hotho: iNALU, Frontiers in Artificial
Intelligence 3, 2020): one layer for two or ten inputs, two for a hundred. RMSProp with rate 0.01, gradients clipped
to 0.1, batches of 64, 100 epochs of 64,000 points, that is 100,000 steps, here on ever new points; for iNALU a
regulariser once an error is below 1 and fresh starts of stalled networks. The authors update gates and weights in
turns, here all move together. *Solved* is a final mean squared error below 1e-5. The published rates were computed
from the committed result files, 10 seeds on each distribution, so they stand for all seven together. In the seventh,
Exp(0.8), training has the larger inputs: it is no extrapolation.
""",
}

WORDS = """
*closed form* is `fit_closed_form` on the first ten training batches, without gradient steps; *gold* has the weights
that solve the task, so its error is rounding alone; *zero*, *training mean*, *training median* and *best constant* do
not look at the inputs. Every other row is trained by gradient descent. *median* and *mean* are errors of
extrapolation over seeds. Intervals are at 95 %: Wilson's for the share of runs that are solved, gamma for the step at
which they were, beta for the sparsity error, the largest distance of a weight's size to 0 or 1. *steps* are those
taken and their share of the published number, in rows that are not trained the batches that were read. *s/seed* is
wall clock on processors that other work shared: for trained models the time of a whole batch of runs over their
number.
"""


def rows_of(name: str, folder: Path = HERE) -> list[Row]:
    """All rows of an experiment, trained models first, each kind in its usual order; none without a file."""
    if not (folder / f"{name}.csv").exists():
        return []
    experiment = EXPERIMENTS[name]
    models, settings = [*MODELS[name], *REFERENCES], list(experiment.settings)

    def place(row: Row) -> tuple[bool, int, int, int, int]:
        known = models.index(row.model) if row.model in models else -1
        return (
            row.model in REFERENCES,
            known,
            experiment.ops.index(row.op),
            settings.index(row.range),
            row.seed,
        )

    return sorted(rows_in(folder / f"{name}.csv").rows.values(), key=place)


def page(name: str, folder: Path = HERE) -> str:
    """The page of one experiment.

    Args:
        name: of the experiment.
        folder: of its files.
    """
    experiment, rows = EXPERIMENTS[name], rows_of(name, folder)
    parts = [f"# {TITLES[name]}", PROTOCOLS[name].strip(), "## In short", in_short(experiment, rows)]
    parts += [shortfall(experiment, rows)]
    parts += [f"![The error of every run by model and operation]({name}.png)"]
    parts += ["## Tables", WORDS.strip()]
    for op in experiment.ops:
        parts += _operation(experiment, op, [row for row in rows if row.op == op])
    return "\n\n".join([*parts, "## Made by", origin(folder / f"{name}.json")]) + "\n"


def _operation(experiment: Experiment, op: str, rows: Sequence[Row]) -> list[str]:
    settings = [setting for setting in experiment.settings if any(row.range == setting for row in rows)]
    if not settings:
        return []
    parts = [f"### {op}"]
    if len(settings) == 1:
        return [*parts, f"{_about(experiment, op, settings[0])}\n\n{table(experiment, op, settings[0], rows)}"]
    kinds: dict[str, list[str]] = {}
    for setting in settings:
        found = re.search(r"x\d+$|^\w+=", setting)
        kinds.setdefault(found[0] if found else "", []).append(setting)
    parts += [matrix(experiment, op, together, rows) for together in kinds.values()]
    parts.append("<details>\n<summary>Every number of each setting</summary>")
    for setting in settings:
        parts.append(f"{_about(experiment, op, setting)}\n\n{table(experiment, op, setting, rows)}")
    return [*parts, "</details>"]


def _about(experiment: Experiment, op: str, setting: str) -> str:
    return f"{title(experiment, op, setting).removeprefix(f'{experiment.name} ')}."


def matrix(experiment: Experiment, op: str, settings: Sequence[str], rows: Sequence[Row]) -> str:
    """Models down, settings across: shares of solved runs in percent, or errors; published numbers in brackets."""
    header = ["model", *settings, "all of these"]
    lines = []
    for model in dict.fromkeys(row.model for row in rows):
        cells = []
        for setting in settings:
            own = [row for row in rows if (row.model, row.range) == (model, setting)]
            known = published_number(experiment, op, setting, model)
            told = "" if known is None or "over all" in known.metric else f" ({_bare(published_text(known))})"
            cells.append(f"{_score(experiment, own)}{told}" if own else "-")
        own = [row for row in rows if row.model == model and row.range in settings]
        overall = _published_over(experiment, op, settings, model)
        told = "" if overall is None else f", published {_percent(overall)}"
        cells.append((rate(own) if judged(own) else _score(experiment, own)) + told if own else "-")
        if own:
            lines.append([model, *cells])
    return _markdown(header, lines)


def in_short(experiment: Experiment, rows: Sequence[Row], settings: Sequence[str] | None = None) -> str:
    """Operations down, the best that was published and the best of ours across, over the usual settings.

    Args:
        experiment: which.
        rows: its rows.
        settings: others than the usual ones.
    """
    settings = experiment.usual if settings is None else settings
    rows = [row for row in rows if row.range in settings]
    header = ["", "published", "trained here", CLOSED_FORM, GOLD, "trivial"]
    lines = []
    for op in experiment.ops:
        own = [row for row in rows if row.op == op]
        if own:
            trained = [row.model for row in own if row.model not in REFERENCES]
            kinds = ([*dict.fromkeys(trained)], [CLOSED_FORM], [GOLD], list(TRIVIAL))
            cells = [_best(experiment, own, models) for models in kinds]
            lines.append([op, best_published(experiment, op, settings), *cells])
    what = (
        "Shares of solved runs" if judged(rows) else f"{middle(experiment)[0].capitalize()} errors of the runs"
    ) + ", the best model of each kind"
    where = f"settings {', '.join(settings)}" if len(settings) > 1 else f"setting {settings[0]}"
    return f"{what}; {where}.\n\n{_markdown(header, lines)}" if lines else "No rows of the usual settings yet."


def best_published(experiment: Experiment, op: str, settings: Sequence[str]) -> str:
    """The best published number over settings, and whose it is; only models with a number for each count."""
    if experiment.family is None:
        return "-"
    found = {}
    for model in dict.fromkeys(entry.model for entry in published(experiment.family)):
        value = _published_over(experiment, op, settings, model)
        if value is not None:
            found[model] = value
    if not found:
        return "-"
    rates = experiment.task(op, settings[0]).threshold() is not None
    best = (max if rates else min)(found.values())
    names = [model for model, value in found.items() if value == best]
    if rates and best == 0:
        return "0 %, every model"
    return f"{_percent(best) if rates else f'{best:.3g}'}, {' and '.join(names)}"


def _published_over(experiment: Experiment, op: str, settings: Sequence[str], model: str) -> float | None:
    """The mean of a model's published rates, or its one published error, over settings; None unless all are known."""
    known = [published_number(experiment, op, setting, model) for setting in settings]
    values = [entry.value for entry in known if entry is not None]
    return float(np.mean(values)) if len(values) == len(settings) else None


def judged(rows: Sequence[Row]) -> bool:
    """Whether there is a bar for these rows."""
    return bool(rows) and all(row.success is not None for row in rows)


def _best(experiment: Experiment, rows: Sequence[Row], models: Sequence[str]) -> str:
    """The best of some models: by the share of solved runs with its interval, else by the literature's average."""
    groups = [own for model in models if (own := [row for row in rows if row.model == model])]
    if not groups:
        return "-"
    average = middle(experiment)[1]

    def errors(own: Sequence[Row]) -> float:
        return float(average([row.extrapolation_error for row in own]))

    if judged(rows):
        best = max(groups, key=lambda own: (np.mean([bool(row.success) for row in own]), -errors(own)))
        text = rate(best)
    else:
        best = min(groups, key=errors)
        text = f"{errors(best):.3g}"
    named = best[0].model not in (CLOSED_FORM, GOLD) and not (judged(rows) and not any(row.success for row in best))
    return f"{text}, {best[0].model}" if named else text


def _score(experiment: Experiment, rows: Sequence[Row]) -> str:
    if judged(rows):
        return f"{100 * np.mean([bool(row.success) for row in rows]):.0f}"
    return f"{middle(experiment)[1]([row.extrapolation_error for row in rows]):.3g}"


def shortfall(experiment: Experiment, rows: Sequence[Row]) -> str:
    """What is to be known about the steps of the trained models."""
    groups: dict[tuple[float, int], dict[str, None]] = {}
    for row in rows:
        share = share_of_steps(experiment, row)
        if share is not None:
            groups.setdefault((share, row.steps), {})[row.model] = None
    if not groups:
        return "No model has been trained yet."
    short = {key: models for key, models in sorted(groups.items()) if key[0] < 1}
    if not short:
        return "Every trained row took at least the published number of steps."
    told = "; ".join(f"{steps:,} ({100 * share:.2g} %) for {', '.join(short[share, steps])}" for share, steps in short)
    return (
        f"**Trained rows took fewer steps than were published**, schedules shortened alike: {told}. They show what the "
        "units reach in that time; a low rate in them is no evidence against a unit, and the published column is the "
        "better witness. `--budget 100%` trains in full."
    )


def index(folder: Path = HERE) -> str:
    """The page that lists the others."""
    there = [name for name in EXPERIMENTS if rows_of(name, folder)]
    parts = [
        "# Arithmetic units against their literature",
        "The published experiments on arithmetic units, repeated: all seeds of a model train as one batch by its "
        "authors' recipe, and beside them stand closed-form fits, the weights that solve the task, answers that ignore "
        "the inputs, and the published numbers. Each page says what is done, and whether the paper or its code is "
        "followed where they disagree.",
    ]
    for name in there:
        experiment, rows = EXPERIMENTS[name], rows_of(name, folder)
        parts += [f"## [{TITLES[name]}]({name}.md)", in_short(experiment, rows)]
        if "fewer steps" in shortfall(experiment, rows):
            parts.append("*trained here* took fewer steps than were published; the page says how many.")
    others = sorted(path.stem for path in folder.glob("*.md") if path.stem not in {*EXPERIMENTS, "index"})
    if others:
        listed = "\n".join(f"* [{_heading(folder / f'{name}.md')}]({name}.md)" for name in others)
        parts.append(f"## More experiments\n\n{listed}")
    if there or others:
        parts.append("```{toctree}\n:hidden:\n\n" + "\n".join([*there, *others]) + "\n```")
    return "\n\n".join(parts) + "\n"


def _heading(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def _markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *lines))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _bare(text: str) -> str:
    return text.removesuffix(" %")


def pages(folder: Path = HERE) -> dict[str, str]:
    """File name to text, for all experiments that have rows, and the index."""
    made = {f"{name}.md": page(name, folder) for name in EXPERIMENTS if rows_of(name, folder)}
    return made | {"index.md": index(folder)}


def write(folder: Path = HERE) -> None:
    """Write pages and pictures, which show all rows of their files."""
    for name in EXPERIMENTS:
        rows = rows_of(name, folder)
        if rows:
            ops = [op for op in EXPERIMENTS[name].ops if any(row.op == op for row in rows)]
            draw(EXPERIMENTS[name], ops, rows, folder / f"{name}.png")
    for name, text in pages(folder).items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()

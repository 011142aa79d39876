"""Write index.md, the page of measured numbers, and growth.svg from the files beside this one.

python docs/results/make.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from neural_arith_bench.store import content

HERE = Path(__file__).parent

HEAD = """# Measured

Every line comes from a result file in `docs/results`, which holds one row for each seed, the command, the commit and
the versions that made it. Times are wall-clock seconds on {cores} cores that other work shared. Commands stand as they
were given; what begins with `python -m` is now `neural-arith bench` with the last name and the same options.

| what | right | given the structure | median seconds | command |
| --- | --- | --- | --- | --- |
"""

TAIL = """
*Right* is the exact formula: the true terms and no others, every constant, exponents too, within 1 %. For
the counts of lynx and hare, where nobody knows the truth, it is the structure of Lotka and Volterra. *Given the
structure* is the oracle: the same count for the true structure with its constants fitted freely to the same data; it
neither ties nor rounds them, so a search that sees that constants are equal or round can do better. For the reactions
it is all four of them and nothing else, rates within 3 %; whatever their rates, the reactions were right in
{crnn_right}. The publication that set the task found the formula's neighbourhood in 3 of 100 runs (Heim, Pevný,
Šmídl: Neural Power Units, NeurIPS 2020, RealNPU).

The compiled solver refitted {candidates} candidate structures of the lynx and hare series at a median of {rate:.0f} per
second (`{command}`). In a new process the first candidate was refined after {cold:.1f} seconds where the solver was
still to be compiled, as once after installation, and after {warm:.1f} where it was not; the whole search of that series
took {cold_whole:.0f} and {warm_whole:.0f} seconds (`{start}`).

## Units of measurement

Ten problems with noise, each written down in six other sets of units (states and times from 1e-9 to 1e9 times as
large): the law was the same in {same} of {others} searches, and each of its constants within its standard error in
{within}; it was the true one in {true} of {all} (`{scales}`).

## The search for units

Four sizes of 64 restarts of at most 40 iterations for one equation of the fractional epidemic took {search:.2f}
seconds, {iteration:.1f} microseconds for each restart and iteration with three units. Time grows with the number of
points to the power {points:.2f}, of states to the power {states:.2f} and of restarts to the power {restarts:.2f}
(`{growth}`).

![Time of the search against points, states and restarts, on logarithmic axes](growth.svg)
"""

BUDGETS = """
## Time budgets

Seconds from call to return of searches with a time budget, over data of twelve shapes, without what the solver took to
load or to be compiled. More than two seconds and a tenth over: {over} of {searches}; the largest overrun was {most:.1f}
seconds (`{command}`).

{table}
"""

RECOVERY = (
    ("recovery_lynx_hare", "lynx and hare, the real counts, discovery route"),
    ("recovery_fractional_sir_noise_0_runs_1", "fractional SIR as published (40 clean points), discovery route"),
    ("recovery_fractional_sir_noise_0.01_runs_4", "the same, four runs, 1 % noise, discovery route"),
    ("recovery_fractional_sir_noise_0.03_runs_4", "the same, four runs, 3 % noise, discovery route"),
    ("recovery_fractional_sir_noise_0.1_runs_4", "the same, four runs, 10 % noise, discovery route"),
)


def read(name: str) -> dict:
    """One result file."""
    return content(HERE / f"{name}.json")


def page() -> str:
    """The page as text."""
    lines = []
    for name, what in RECOVERY:
        result = read(name)
        s = result["summary"]
        right = s.get("exact", s["structure"])
        oracle = f"{s['oracle_exact']} of {s['seeds']}" if "oracle_exact" in s else "-"
        command = result["made_by"][-1]["command"]
        lines.append(f"| {what} | {right} of {s['seeds']} | {oracle} | {s['median_seconds']:.1f} | `{command}` |")
    crnn = read("crnn")["summary"]
    lines.append(
        "| four reactions of five species (Ji and Deng 2021), 20 runs, 5 % noise, discovery route "
        f"| {crnn['exact']} of {crnn['seeds']} | {crnn['oracle_exact']} of {crnn['seeds']} "
        f"| {crnn['median_seconds']:.1f} | `{read('crnn')['made_by'][-1]['command']}` |"
    )
    route = read("ode_route")
    s = route["summary"]
    seconds = s["median_train_seconds"] + s["median_formula_seconds"]
    lines.append(
        "| fractional SIR as published, NPU(3,6) and NAU(6,3) trained through the solver, then pruned, rounded, "
        f"refitted; R2 above .9999 before pruning on {s['r2_above_0.9999']} of {s['seeds']} "
        f"| {s['exact_formula']} of {s['seeds']} | - "
        f"| {seconds:.1f} | `{route['made_by'][-1]['command']}` |"
    )
    speed, units, start = read("candidates"), read("formula_search"), read("first_result")
    grows, scales = units["summary"], read("scales")
    return (
        HEAD.format(cores=speed["made_by"][-1]["cores"])
        + "\n".join(lines)
        + "\n"
        + TAIL.format(
            crnn_right=f"{crnn['right']} of {crnn['seeds']}",
            candidates=speed["summary"]["candidates"],
            rate=speed["summary"]["median_per_second"],
            command=speed["made_by"][-1]["command"],
            cold=start["summary"]["median_cold_first_seconds"],
            warm=start["summary"]["median_warm_first_seconds"],
            cold_whole=start["summary"]["median_cold_whole_seconds"],
            warm_whole=start["summary"]["median_warm_whole_seconds"],
            start=start["made_by"][-1]["command"],
            search=grows["search_one_equation_seconds"],
            iteration=grows["microseconds_per_iteration_3_units"],
            points=grows["time_grows_with_points_to_the"],
            states=grows["time_grows_with_states_to_the"],
            restarts=grows["time_grows_with_restarts_to_the"],
            growth=units["made_by"][-1]["command"],
            same=scales["summary"]["same_law"],
            others=scales["summary"]["rows_in_other_units"],
            within=scales["summary"]["constants_within_one_standard_error"],
            true=scales["summary"]["true_law"],
            all=len(scales["rows"]),
            scales=scales["made_by"][-1]["command"],
        )
        + budgets()
    )


def budgets() -> str:
    """How long searches took that had a time budget; nothing before it was measured."""
    if not (HERE / "budgets.json").exists():
        return ""
    found = read("budgets")
    rows, s = found["rows"], found["summary"]
    given = sorted({row["budget"] for row in rows})
    lines = [f"| {' | '.join(['', *(f'{budget:g} s' for budget in given)])} |", f"| --- |{' --: |' * len(given)}"]
    for shape in dict.fromkeys(row["shape"] for row in rows):
        took = [[row["seconds"] for row in rows if (row["shape"], row["budget"]) == (shape, b)] for b in given]
        lines.append(f"| {shape} | {' | '.join(f'{max(t):.1f}' if t else '-' for t in took)} |")
    return BUDGETS.format(
        over=s["over_by_more_than_2_s_and_a_tenth"],
        searches=s["searches"],
        most=s["largest_overrun_seconds"],
        table="\n".join(lines),
        command=found["made_by"][-1]["command"],
    )


def draw_growth(path: Path) -> None:
    """Write the picture of the search's time against each size; the rows that vary only in that size are its points."""
    rows = [row for row in read("formula_search")["rows"] if row["what"] == "iteration"]
    sizes = ("points", "states", "restarts")
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "growth"}):
        figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True, layout="constrained")
        for axis, size in zip(axes, sizes, strict=True):
            groups: dict[tuple, dict[int, float]] = {}
            for row in rows:
                others = tuple(row[key] for key in (*sizes, "units") if key != size)
                groups.setdefault(others, {})[row[size]] = row["median_seconds"]
            x, y = zip(*sorted(max(groups.values(), key=len).items()), strict=True)
            axis.loglog(x, y, "o-", color="#1b6ca8")
            axis.loglog(x, [y[0] * v / x[0] for v in x], color="0.7", lw=1, zorder=0)
            axis.set_xlabel(size)
            axis.spines[["top", "right"]].set_visible(False)
        axes[0].set_ylabel("seconds; grey: in proportion")
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    (HERE / "index.md").write_text(page(), encoding="utf-8")
    draw_growth(HERE / "growth.svg")

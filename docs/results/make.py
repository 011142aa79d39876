"""Write index.md, the page of measured numbers, from the files beside this one: ``python docs/results/make.py``."""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent

HEAD = """# Measured

Every line comes from a result file in `docs/results`, which holds one row for each seed, the command, the commit and
the versions that made it. Times are wall-clock seconds on {cores} cores that other work shared.

| what | right | given the structure | median seconds | command |
| --- | --- | --- | --- | --- |
"""

TAIL = """
*Right* is the exact formula: the true terms and no others, exponents within 0.001, every coefficient within 1 %. For
the counts of lynx and hare, where nobody knows the truth, it is the structure of Lotka and Volterra. *Given the
structure* is the oracle: the same count for the true structure with its constants fitted to the same data. The
publication that set the task found the formula's neighbourhood in 3 of 100 runs (Heim, Pevný, Šmídl: Neural Power
Units, NeurIPS 2020, RealNPU).

The compiled solver refitted {candidates} candidate structures of the lynx and hare series at a median of {rate:.0f} per
second (`{command}`).
"""

RECOVERY = (
    ("recovery_lynx_hare", "lynx and hare, the real counts, discovery route"),
    ("recovery_fractional_sir_noise_0_runs_1", "fractional SIR as published (40 clean points), discovery route"),
    ("recovery_fractional_sir_noise_0.01_runs_4", "the same, four runs, 1 % noise, discovery route"),
    ("recovery_fractional_sir_noise_0.03_runs_4", "the same, four runs, 3 % noise, discovery route"),
)


def read(name: str) -> dict:
    """One result file."""
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def page() -> str:
    """The page as text."""
    lines = []
    for name, what in RECOVERY:
        result = read(name)
        s = result["summary"]
        right = s.get("exact", s["structure"])
        oracle = f"{s['oracle_exact']} of {s['seeds']}" if "oracle_exact" in s else "-"
        command = result["made_by"]["command"]
        lines.append(f"| {what} | {right} of {s['seeds']} | {oracle} | {s['median_seconds']:.1f} | `{command}` |")
    route = read("ode_route")
    s = route["summary"]
    seconds = s["median_train_seconds"] + s["median_formula_seconds"]
    lines.append(
        "| fractional SIR as published, NPU(3,6) and NAU(6,3) trained through the solver, then pruned, rounded, "
        f"refitted; R2 above .9999 before pruning on {s['r2_above_0.9999']} of {s['seeds']} "
        f"| {s['exact_formula']} of {s['seeds']} | - "
        f"| {seconds:.1f} | `{route['made_by']['command']}` |"
    )
    speed = read("candidates")
    return (
        HEAD.format(cores=speed["made_by"]["cores"])
        + "\n".join(lines)
        + "\n"
        + TAIL.format(
            candidates=speed["summary"]["candidates"],
            rate=speed["summary"]["median_per_second"],
            command=speed["made_by"]["command"],
        )
    )


if __name__ == "__main__":
    (HERE / "index.md").write_text(page(), encoding="utf-8")

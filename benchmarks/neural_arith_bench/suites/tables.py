"""What the rows of a suite come to: shares of systems in percent, and times, for each method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neural_arith_bench.store import Row

GOOD, CLOSE = 0.9, 0.1
"""The R2 above which a trajectory counts, and the relative error below which a right-hand side does."""


def summary(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """For each method, in the order in which they come: number of rows, shares in percent, seconds.

    Args:
        rows: rows of one suite at one setting.
    """
    return {method: _one([row for row in rows if row["method"] == method]) for method in _methods(rows)}


def _methods(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["method"] for row in rows))


def _one(rows: Sequence[Row]) -> dict[str, Any]:
    def percent(holds: Sequence[bool]) -> float:
        return round(100 * float(np.mean(holds)), 1)

    seconds = [row["seconds"] for row in rows if "seconds" in row] or [0.0]
    return {
        "rows": len(rows),
        "rec": percent([row["r2_rec"] is not None and row["r2_rec"] > GOOD for row in rows]),
        "gen": percent([row["r2_gen"] is not None and row["r2_gen"] > GOOD for row in rows]),
        "exact": percent([row["exact"] for row in rows]),
        "structure": percent([row["structure"] for row in rows]),
        "rhs_10": percent([row["rhs_error"] is not None and row["rhs_error"] < CLOSE for row in rows]),
        "median_seconds": round(float(np.median(seconds)), 2),
        "mean_seconds": round(float(np.mean(seconds)), 2),
        "max_seconds": round(float(np.max(seconds)), 2),
        "failed": sum(row["status"] != "ok" for row in rows),
    }


COLUMNS = {
    "rows": "rows",
    "rec": "rec",
    "gen": "gen",
    "exact": "exact",
    "structure": "structure",
    "rhs_10": "RHS 10 %",
    "median_seconds": "median s",
    "mean_seconds": "mean s",
    "max_seconds": "max s",
    "failed": "failed",
}
"""The columns of a table and their titles."""


def table(rows: Sequence[Row]) -> str:
    """The summary as a Markdown table, one line for each method.

    Args:
        rows: rows of one suite at one setting.
    """
    found = summary(rows)
    width = max(len("method"), *(len(method) for method in found))
    lines = [
        f"| {'method':{width}} | {' | '.join(f'{title:>5}' for title in COLUMNS.values())} |",
        f"| {'-' * width} | {' | '.join('-' * (max(len(title), 5) - 1) + ':' for title in COLUMNS.values())} |",
    ]
    for method, values in found.items():
        cells = [f"{_cell(values[key]):>{max(len(title), 5)}}" for key, title in COLUMNS.items()]
        lines.append(f"| {method:{width}} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: float) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)

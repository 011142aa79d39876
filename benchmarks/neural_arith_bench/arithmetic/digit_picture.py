"""The picture of the sequential digits: success by length."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from neural_arith.files import whole_file
from neural_arith.plotting import COLORS, color
from neural_arith_bench.arithmetic.published import published
from neural_arith_bench.arithmetic.rows import Row


def draw(rows: Iterable[Row], path: Path) -> None:
    """Success rates by length, one panel for each operation; the published ones dotted.

    Args:
        rows: with judgement.
        path: of the picture; its ending says the format.

    Raises:
        ImportError: matplotlib is missing.
    """
    from matplotlib.figure import Figure

    kept = [row for row in rows if row.success is not None]
    operations = list(dict.fromkeys(row.op for row in kept))
    figure = Figure(figsize=(1 + 5 * max(1, len(operations)), 3.8), layout="constrained")
    axes = figure.subplots(1, max(1, len(operations)), squeeze=False)[0]
    for ax, operation in zip(axes, operations, strict=False):
        own = [row for row in kept if row.op == operation]
        lengths = sorted({int(row.range) for row in own})
        printed = {n: {p.model: p.value for p in published("sequential_digits", f"{operation}-{n}")} for n in lengths}
        for place, model in enumerate(dict.fromkeys(row.model for row in own)):
            by_length = {n: [r.success for r in own if r.model == model and r.range == str(n)] for n in lengths}
            known = [n for n in lengths if by_length[n]]
            style: dict[str, Any] = {"color": color(place % len(COLORS)), "lw": 1.2}
            shape = "os^v"[place // len(COLORS)]
            ax.plot(
                known,
                [np.mean([bool(one) for one in by_length[n]]) for n in known],
                marker=shape,
                ms=3,
                label=model,
                **style,
            )
            said = [n for n in lengths if model in printed[n]]
            ax.plot(said, [printed[n][model] for n in said], ls=":", **style)
        ax.set(title=f"{operation} of digits", xlabel="digits in the sequence", ylim=(-0.04, 1.04))
        ax.legend(fontsize=7, ncols=2)
    axes[0].set_ylabel("success (published: dotted)")
    with whole_file(path) as draft:
        figure.savefig(draft, dpi=150)

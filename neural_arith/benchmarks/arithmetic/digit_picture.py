"""The picture of the sequential digits: success by length."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from neural_arith.benchmarks.arithmetic.published import published
from neural_arith.benchmarks.arithmetic.rows import Row
from neural_arith.plotting import _pyplot, color


def draw(rows: Iterable[Row], path: Path) -> None:
    """Success rates by length, one panel for each operation; the published ones dotted.

    Args:
        rows: with judgement.
        path: of the picture; its ending says the format.

    Raises:
        ImportError: matplotlib is missing.
    """
    kept = [row for row in rows if row.success is not None]
    operations = list(dict.fromkeys(row.op for row in kept))
    plt = _pyplot()
    figure, axes = plt.subplots(1, max(1, len(operations)), figsize=(10, 3.6), layout="constrained", squeeze=False)
    for ax, operation in zip(axes[0], operations, strict=False):
        own = [row for row in kept if row.op == operation]
        lengths = sorted({int(row.range) for row in own})
        for place, model in enumerate(dict.fromkeys(row.model for row in own)):
            by_length = {n: [r.success for r in own if r.model == model and r.range == str(n)] for n in lengths}
            known = [n for n in lengths if by_length[n]]
            style = {"color": color(place % 6), "lw": 1.2}
            ax.plot(known, [np.mean(by_length[n]) for n in known], marker="os^"[place // 6], ms=3, label=model, **style)
            said = {
                n: p.value
                for n in lengths
                for p in published("sequential_digits", f"{operation}-{n}")
                if p.model == model
            }
            ax.plot(list(said), list(said.values()), ls=":", **style)
        ax.set(title=f"{operation} of digits", xlabel="digits in the sequence", ylim=(-0.04, 1.04))
        ax.legend(fontsize=7, ncols=2)
    axes[0, 0].set_ylabel("success (published: dotted)")
    figure.savefig(path)
    plt.close(figure)

"""Draw the picture of the README, lynx_hare.png, beside this file: ``python docs/images/make.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

import neural_arith as na
from neural_arith import plotting


def main() -> None:
    """Fit the packaged series, draw data and equations over time and in the plane, write the file."""
    data = na.systems.get("lynx_hare").data()
    model = na.ODERegressor(random_state=0).fit(data)
    fitted = model.discovery_.fitted
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), width_ratios=(1.9, 1), layout="constrained")
    plotting.trajectories(data, fitted=fitted, ax=left)
    left.set_ylim(0, 92)
    left.set_ylabel("thousand pelts")
    left.set_xticks(range(1900, 1921, 5))
    left.legend(frameon=False, ncols=2, loc="upper center")
    plotting.phase(data, model.equations_, fitted=fitted, ax=right)
    path = Path(__file__).with_name("lynx_hare.png")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    model.print()
    print(f"wrote {path.name}")


if __name__ == "__main__":
    main()

"""The runs of the fractional SIR grid: networks trained as published in one batch, and our own route one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from neural_arith.equations import EquationSystem
from neural_arith.layers import NPU, RealNPU
from neural_arith_bench.fractional_sir import scores
from neural_arith_bench.fractional_sir.fields import KINDS, Fields, Kind
from neural_arith_bench.fractional_sir.flow import Solver
from neural_arith_bench.fractional_sir.ode_route import one_seed
from neural_arith_bench.fractional_sir.results import BETAS, HIDDEN, SirRow
from neural_arith_bench.fractional_sir.training import Objective, train
from neural_arith_bench.store import commit

UNITS = {"npu": NPU, "real_npu": RealNPU}
"""The units that our route knows; dense layers hold no formula."""


class Cell(NamedTuple):
    """One run of the grid."""

    hidden: int
    beta: float
    run: int

    @property
    def seed(self) -> int:
        """Of its initial weights, and, in our route, of everything random."""
        return 100_000 * self.hidden + 10_000 * BETAS.index(self.beta) + self.run


@dataclass(frozen=True)
class Task:
    """What one process does at a time.

    Attributes:
        protocol: "published", "accurate" or "ours".
        unit: "npu", "real_npu" or "dense".
        cells: the runs.
        budget: share of the published steps; not for "ours".
        adam: ADAM instead of RMSProp; not for "ours".
    """

    protocol: str
    unit: Kind
    cells: tuple[Cell, ...]
    budget: float = 1.0
    adam: bool = False


def make(task: Task, progress: Callable[[str, int], None] | None = None) -> list[SirRow]:
    """Do a task: the rows of its cells.

    Args:
        task: the task.
        progress: see `training.train`; our route does not tell.
    """
    torch.set_num_threads(1)
    if task.protocol == "ours":
        return [_ours(task.unit, cell) for cell in task.cells]
    return _trained(task, progress)


def _trained(task: Task, progress: Callable[[str, int], None] | None) -> list[SirRow]:
    times, data = scores.measurements()
    solver = Solver.published(times) if task.protocol == "published" else Solver.accurate(times)
    fields = Fields(task.unit, tuple(cell.hidden for cell in task.cells), max(HIDDEN))
    start = fields.initial([(KINDS.index(task.unit), cell.seed) for cell in task.cells])
    beta = torch.tensor([cell.beta for cell in task.cells], dtype=start.dtype)
    p, seconds = train(
        Objective(fields, solver, data, beta), start, budget=task.budget, adam=task.adam, progress=progress
    )
    with torch.no_grad():
        x = solver.trajectory(fields(p), data[:1].expand(len(p), -1))
    mse = (x - data).square().mean((1, 2)).nan_to_num(torch.inf).tolist()
    numbers = scores.numbers(p)
    rows = []
    for i, cell in enumerate(task.cells):
        accurate, exact = scores.accurate_mse(fields, p[i : i + 1]), scores.exact(fields, p[i : i + 1])
        found = (mse[i], accurate, numbers[i], exact, "", seconds / len(p))
        rows.append(SirRow(task.protocol, task.unit, *cell, *found, commit()))
    return rows


def _ours(unit: str, cell: Cell) -> SirRow:
    data, truth = scores.problem()
    row = one_seed(data, truth, cell.seed, cell.hidden, UNITS[unit])
    seconds = row["train_seconds"] + row["formula_seconds"]
    equations: dict[str, str] = row.get("equations", {})
    mse = scores.formula_mse(EquationSystem(equations)) if equations else float("inf")
    text = "; ".join(f"d{state}/dt = {formula}" for state, formula in equations.items()) or row["failure"]
    return SirRow("ours", unit, *cell, mse, mse, row.get("numbers", 0), row["exact"], text, seconds, commit())


def tasks(
    protocols: Sequence[str],
    units: Sequence[Kind],
    runs: Sequence[int],
    done: Callable[[str, str, Cell], bool],
    *,
    budget: float,
    adam: bool,
) -> list[Task]:
    """What is missing: one task for all cells of a trained unit, one for each cell of our route.

    Args:
        protocols: "published", "accurate", "ours".
        units: "npu", "real_npu", "dense"; our route leaves the last one out.
        runs: numbers of the runs of each cell.
        done: whether a row of this protocol, unit and cell is there.
        budget: see `Task`.
        adam: see `Task`.
    """
    found = []
    for protocol in protocols:
        for unit in units:
            if protocol == "ours" and unit not in UNITS:
                continue
            cells = [Cell(h, beta, run) for run in runs for h in HIDDEN for beta in BETAS]
            cells = [cell for cell in cells if not done(protocol, unit, cell)]
            if protocol == "ours":
                found += [Task(protocol, unit, (cell,)) for cell in cells]
            elif cells:
                found.append(Task(protocol, unit, tuple(cells), budget, adam))
    return found

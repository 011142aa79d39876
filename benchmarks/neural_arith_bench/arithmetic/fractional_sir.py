"""``neural-arith bench fractional-sir``: the fractional SIR grid of the Neural Power Units paper, three times."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_arith.arguments import folder, names, seeds, whole
from neural_arith.errors import OptionError
from neural_arith_bench.arithmetic.command import INTERRUPTED, budget
from neural_arith_bench.benchmark import Benchmark

if TYPE_CHECKING:
    from neural_arith_bench.arithmetic.fractional_sir_rows import SirRow
    from neural_arith_bench.arithmetic.fractional_sir_runs import Task

_SHOWN = 20  # steps of training between two looks at the progress bar

_DESCRIPTION = (
    "Hidden size 6, 9, 12, 15, 20, L1 penalty 0, .01, .1, 1 and 5 runs: 100 runs of NPU, RealNPU and Dense each, on a "
    "noise-free trajectory of 40 points. published: as in the paper's code, Euler steps of 1, under which the true "
    "equations score 1.08 and wrong ones 0.02. accurate: the same through a solver by which the truth scores 4.5e-7. "
    "ours: train through an adaptive solver, prune, round and refit to a formula, without a penalty; dense layers are "
    "left out. Where paper and code differ, the code is followed (RMSProp; --optimiser adam is the paper's). Rows that "
    "the result file holds are kept, so an interrupted command goes on where it stopped."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--protocol", metavar="A,B", type=names, help="published, accurate, ours (default: all)")
    parser.add_argument("--model", metavar="A,B", type=names, help="npu, real_npu, dense (default: all)")
    parser.add_argument(
        "--seeds", metavar="N", type=seeds, default=list(range(5)), help="runs of each cell, or a list (default: 5)"
    )
    parser.add_argument(
        "--budget",
        metavar="N",
        type=budget,
        default=(1.0, None),
        help="steps before L-BFGS: a share of the published 3000, as 2%%, or a number; those of L-BFGS shrink alike "
        "(default: 100%%)",
    )
    parser.add_argument("--optimiser", choices=("rmsprop", "adam"), default="rmsprop", help="before L-BFGS")
    parser.add_argument("--jobs", metavar="N", type=whole(1, 1024), default=1, help="processes (default: 1)")
    parser.add_argument("--out", metavar="FOLDER", type=folder, help="keep rows and picture there")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")


def run(arguments: argparse.Namespace) -> int:
    """Make the rows that are missing, keep them, print the table and draw the picture.

    Args:
        arguments: the options of `add_arguments`.

    Returns:
        The exit code: 0, or 130 after Ctrl-C.

    Raises:
        OptionError: no such protocol or unit, or nothing to do for them.
        DataError: the result file cannot be read, or the folder not be made.
    """
    # slow to import, and every command declares the options
    from tqdm import tqdm

    from neural_arith_bench.arithmetic.fractional_sir_fields import KINDS
    from neural_arith_bench.arithmetic.fractional_sir_rows import PROTOCOLS, SirRow, table
    from neural_arith_bench.arithmetic.fractional_sir_runs import tasks
    from neural_arith_bench.arithmetic.fractional_sir_scores import references
    from neural_arith_bench.arithmetic.fractional_sir_training import STEPS
    from neural_arith_bench.arithmetic.table_file import TableFile

    protocols = _chosen("--protocol", arguments.protocol, PROTOCOLS)
    units = _chosen("--model", arguments.model, KINDS)
    if protocols == ["ours"] and units == ["dense"]:
        raise OptionError("--protocol ours reads a formula from the weights, dense layers have none; use --model npu")
    share, steps = arguments.budget
    share = share if steps is None else steps / STEPS
    settings = {} if share == 1 else {"budget": f"{100 * share:g}%"}
    settings |= {} if arguments.optimiser == "rmsprop" else {"optimiser": arguments.optimiser}
    name = "_".join(["fractional_sir", *(word for pair in settings.items() for word in pair)]).replace("%", "pct")
    file = TableFile(None if arguments.out is None else arguments.out / f"{name}.csv", SirRow)
    todo = tasks(
        protocols,
        units,
        arguments.seeds,
        lambda protocol, unit, cell: (protocol, unit, *cell) in file.rows,
        budget=share,
        adam=arguments.optimiser == "adam",
    )
    wanted = {"protocol": ",".join(protocols), "model": ",".join(units), "seeds": _list(arguments.seeds)}
    command = " ".join(["neural-arith bench fractional-sir", *(f"--{k} {v}" for k, v in (wanted | settings).items())])
    total = sum(len(task.cells) for task in todo)
    bar = tqdm(total=total, desc="fractional-sir", unit="run", disable=arguments.quiet)
    made = 0
    try:
        for protocol in protocols:
            if (protocol, "truth", None, None, None) not in file.rows:
                file.add(references(protocol), command)
        for rows in _made(todo, arguments.jobs, bar):
            file.add(rows, command)
            made += len(rows)
            bar.update(len(rows))
    except KeyboardInterrupt:
        bar.close()
        kept = "kept; the same command goes on" if arguments.out else "lost without --out"
        print(f"neural-arith: interrupted after {made} of {total} runs, {kept}", file=sys.stderr)
        return INTERRUPTED
    bar.close()
    order = ("constant", "truth", *KINDS)
    found = sorted(file.rows.values(), key=lambda row: (PROTOCOLS.index(row.protocol), order.index(row.unit)))
    print(table(found))
    if file.path is not None:
        print(f"rows: {file.path}")
        _draw(file.path.with_suffix(".svg"), found)
    return 0


def _made(todo: list[Task], jobs: int, bar: Any) -> Iterator[list[SirRow]]:
    """The rows of each task as it is done; steps of training are shown if this process makes them."""
    from neural_arith_bench.arithmetic.fractional_sir_runs import make

    if jobs > 1 and len(todo) > 1:
        from joblib import Parallel, delayed

        calls: Iterable[Any] = (delayed(make)(task) for task in todo)
        done: Any = Parallel(n_jobs=jobs, return_as="generator_unordered")(calls)
        yield from done
        return
    for task in todo:
        steps: dict[str, int] = {}

        def progress(stage: str, members: int, task: Task = task, steps: dict[str, int] = steps) -> None:
            steps[stage] = steps.get(stage, 0) + 1
            if steps[stage] % _SHOWN == 0:
                bar.set_postfix_str(f"{task.protocol} {task.unit}, {stage} {steps[stage]}, {members} runs at it")

        yield make(task, progress)


def _chosen(option: str, given: list[str] | None, known: tuple[Any, ...]) -> list[Any]:
    unknown = [name for name in given or [] if name not in known]
    if unknown:
        raise OptionError(f"{option} must be among {', '.join(known)}; got {', '.join(unknown)}")
    return list(dict.fromkeys(given or known))


def _list(runs: list[int]) -> str:
    return ",".join(map(str, runs)) + ("," if len(runs) == 1 else "")


def _draw(path: Path, rows: list[SirRow]) -> None:
    from neural_arith_bench.arithmetic.fractional_sir_picture import draw

    try:
        draw(path, rows)
        print(f"picture: {path}")
    except ImportError:
        print('no picture: matplotlib is missing, pip install "neural-arith[plot]"', file=sys.stderr)


FRACTIONAL_SIR = Benchmark(
    "fractional-sir",
    "the fractional SIR grid of Neural Power Units (Heim et al., NeurIPS 2020)",
    _DESCRIPTION,
    add_arguments,
    run,
)
"""The benchmark."""

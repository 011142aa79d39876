"""``neural-arith bench simple | large-scale | static | recurrent | single-module | inalu``."""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import re
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from neural_arith.arguments import folder, names, seeds
from neural_arith.errors import OptionError
from neural_arith_bench.benchmark import Benchmark

if TYPE_CHECKING:
    from neural_arith_bench.arithmetic.experiments import Experiment
    from neural_arith_bench.arithmetic.rows import RowFile
    from neural_arith_bench.arithmetic.runner import Job

__all__ = ["ARITHMETIC_BENCHMARKS"]

INTERRUPTED = 130
ALL = "all"

_DESCRIPTION = (
    "All seeds of a model train as one batch by its authors' recipe; beside them stand the closed form of our units "
    "from the first training batches, the weights that solve the task (gold), answers that ignore the inputs, and the "
    "published numbers. Rows that the result file holds are kept, and training goes on from its last record."
)


def budget(text: str) -> tuple[float | None, int | None]:
    """Read a share of the published steps, ``2%``, or a number of steps, ``20000``.

    Raises:
        argparse.ArgumentTypeError: neither.
    """
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)%", text)
    if found and float(found[1]) > 0:
        return float(found[1]) / 100, None
    if text.isdecimal() and 1 <= int(text) <= 10**8:
        return None, int(text)
    raise argparse.ArgumentTypeError(
        f"expected a share of the published steps, as 2%, or a number of steps, got {text!r}"
    )


def settings(text: str) -> list[str]:
    """Read names separated by commas outside brackets, as ``[1,2],N(-3,3)``."""
    return names(re.sub(r"\[[^\]]*\]|\([^)]*\)", lambda part: part[0].replace(",", ";"), text))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    listed = "one or several, separated by commas; a wrong name lists the right ones"
    parser.add_argument("--model", metavar="A,B", type=names, help=f"models (default: all); {listed}")
    parser.add_argument("--op", metavar="A,B", type=names, help=f"operations (default: all); {listed}")
    parser.add_argument(
        "--range", metavar="A,B", type=settings, help=f"training ranges or other settings, or all; {listed}"
    )
    parser.add_argument(
        "--seeds", metavar="N", type=seeds, help="number of seeds, or a list as in 4,7 (default: as published)"
    )
    parser.add_argument(
        "--budget",
        metavar="N",
        type=budget,
        help="steps to train: a share of the published number, as 2%%, or a number; schedules shorten alike "
        "(default: what takes minutes; 100%% is the published protocol)",
    )
    parser.add_argument("--out", metavar="FOLDER", type=folder, help="keep rows, checkpoints and a picture there")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")


def run(name: str, arguments: argparse.Namespace) -> int:
    """Make the rows that are missing, keep them, and print the tables.

    Args:
        name: of the experiment.
        arguments: the options of `add_arguments`.

    Returns:
        The exit code: 0, or 130 after Ctrl-C.

    Raises:
        OptionError: no such model, operation or range, or rows of another budget are there.
        DataError: a result file cannot be read, or the folder not be made.
    """
    # slow to import, and every command declares the options
    from tqdm import tqdm

    from neural_arith_bench.arithmetic.experiments import EXPERIMENTS
    from neural_arith_bench.arithmetic.models import MODELS
    from neural_arith_bench.arithmetic.reference_rows import REFERENCES, reference_rows
    from neural_arith_bench.arithmetic.rows import RowFile
    from neural_arith_bench.arithmetic.runner import Budget, jobs, train
    from neural_arith_bench.arithmetic.summary import table, title

    experiment, known = EXPERIMENTS[name], MODELS[name]
    models = _chosen("--model", arguments.model, [*known, *REFERENCES], [*known, *REFERENCES])
    ops = _chosen("--op", arguments.op, experiment.ops, experiment.ops)
    labels = {label.replace(",", ";"): label for label in experiment.settings}
    usual = [label.replace(",", ";") for label in experiment.usual]
    ranges = [labels[label] for label in _chosen("--range", arguments.range, labels, usual)]
    numbers = list(range(experiment.seeds)) if arguments.seeds is None else arguments.seeds
    share, steps = arguments.budget or (experiment.budget, None)
    trained = {model: known[model] for model in models if model in known}
    out: Path | None = arguments.out
    file = RowFile(None if out is None else out / f"{name}.csv")
    todo = jobs(experiment, trained, ops, ranges, numbers, Budget(share or 1.0, steps))
    open_jobs = [job for job in todo if not _done(job, file)]
    command = _command(name, arguments)
    references = itertools.product((model for model in models if model in REFERENCES), ops, ranges)
    total = sum(job.steps for job in open_jobs)
    bar = tqdm(total=total, desc=name, unit="step", unit_scale=True, disable=arguments.quiet)
    try:
        for model, op, setting in references:
            bar.set_postfix_str(f"{model} {op} {setting}")
            missing = [seed for seed in numbers if (model, op, setting, seed) not in file.rows]
            if missing:
                file.add(reference_rows(experiment, model, op, setting, missing), command)
        for job in open_jobs:
            bar.set_postfix_str(f"{job.name} {','.join(job.ops)}")
            place = None if out is None else out / "checkpoints"
            file.add(train(job, place, bar.update), command)
            if place is not None:
                (place / job.checkpoint).unlink(missing_ok=True)
    except KeyboardInterrupt:
        bar.close()
        kept = "; the same command goes on where it stopped" if out else " lost; --out keeps them"
        print(f"neural-arith: interrupted, {len(file.rows)} rows made{kept}", file=sys.stderr)
        return INTERRUPTED
    bar.close()
    order = {model: place for place, model in enumerate(models)}
    wanted = {(model, op, setting, seed) for model in models for op in ops for setting in ranges for seed in numbers}
    rows = sorted((row for key, row in file.rows.items() if key in wanted), key=lambda row: order[row.model])
    for op in ops:
        for setting in ranges:
            print(f"{title(experiment, op, setting)}\n{table(experiment, op, setting, rows)}\n")
    if out is not None:
        _illustrate(experiment, ops, rows, out / f"{name}.png")
        print(f"rows: {file.path}")
    return 0


def _chosen(option: str, asked: Sequence[str] | None, known: Iterable[str], usual: Sequence[str]) -> list[str]:
    known = list(known)
    if asked is None:
        return list(usual)
    if asked == [ALL]:
        return known
    for name in asked:
        if name not in known:
            choices = ", ".join(label.replace(";", ",") for label in known)
            raise OptionError(f"{option} {name.replace(';', ',')}: expected {ALL} or some of {choices}")
    return list(dict.fromkeys(asked))


def _done(job: Job, file: RowFile) -> bool:
    """Whether the file has all rows of a population."""
    keys = [(job.name, op, setting, seed) for op in job.ops for setting in job.settings for seed in job.seeds]
    return len(file.made(keys, job.steps)) == len(keys)


def _illustrate(experiment: Experiment, ops: Sequence[str], rows: Sequence, path: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        print('neural-arith: no picture without matplotlib: pip install "neural-arith[plot]"', file=sys.stderr)
        return
    from neural_arith_bench.arithmetic.picture import draw

    draw(experiment, ops, rows, path)
    print(f"picture: {path}")


def _command(name: str, arguments: argparse.Namespace) -> str:
    """The command line that makes these rows, without paths of this machine."""
    parts = [f"neural-arith bench {name}"]
    for option in ("model", "op", "range"):
        values = getattr(arguments, option)
        if values is not None:
            parts.append(f"--{option} '{','.join(value.replace(';', ',') for value in values)}'")
    if arguments.seeds is not None:
        one = "," if len(arguments.seeds) == 1 else ""
        parts.append(f"--seeds {','.join(map(str, arguments.seeds))}{one}")
    if arguments.budget is not None:
        share, steps = arguments.budget
        parts.append(f"--budget {steps if share is None else f'{100 * share:g}%'}")
    return " ".join(parts)


_ABOUT = {
    "simple": "sum, product, quotient and root of two numbers (Heim et al., NeurIPS 2020)",
    "large-scale": "operations on sums of 50 of 100 inputs (Heim et al., NeurIPS 2020)",
    "static": "operations on overlapping sums of 100 inputs (Madsen and Johansen, ICLR 2020)",
    "recurrent": "operations on sums over sequences (Trask et al., NeurIPS 2018)",
    "single-module": "operations on two inputs, one layer, nine ranges (Mistry et al., JMLR 2022)",
    "inalu": "operations on inputs of seven distributions (Schlör, Ring, Hotho 2020)",
}

ARITHMETIC_BENCHMARKS = tuple(
    Benchmark(name, about, f"{about[0].upper()}{about[1:]}. {_DESCRIPTION}", add_arguments, partial(run, name))
    for name, about in _ABOUT.items()
)
"""One for each experiment on arithmetic."""

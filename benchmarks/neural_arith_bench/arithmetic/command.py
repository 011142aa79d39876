"""``neural-arith bench simple | large-scale | static | recurrent | single-module | inalu``."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from neural_arith_bench.arithmetic.experiments import EXPERIMENTS, Experiment
from neural_arith_bench.arithmetic.models import MODELS
from neural_arith_bench.arithmetic.references import REFERENCES, reference_rows
from neural_arith_bench.arithmetic.results import draw, table, title
from neural_arith_bench.arithmetic.rows import Row, check_steps, rows_in
from neural_arith_bench.arithmetic.training import Budget, Job, jobs, train
from neural_arith_bench.runner import DONE, Tick, Work, Worker, chosen, command_line, illustrate, make_missing
from neural_arith_bench.store import Store


def run(name: str, arguments: argparse.Namespace) -> int:
    """Make the rows that are missing, print the tables and draw the picture; see `Benchmark.run`."""
    experiment, known = EXPERIMENTS[name], MODELS[name]
    models = chosen("--model", arguments.model, [*known, *REFERENCES])
    ops = chosen("--op", arguments.op, experiment.ops)
    ranges = chosen("--range", arguments.range, experiment.settings, experiment.usual)
    seeds = list(range(experiment.seeds)) if arguments.seeds is None else arguments.seeds
    share, steps = arguments.budget or (experiment.budget, None)
    trained = {model: known[model] for model in models if model in known}
    out: Path | None = arguments.out
    store = rows_in(None if out is None else out / f"{name}.csv")
    references = itertools.product((model for model in models if model in REFERENCES), ops, ranges)
    todo = jobs(experiment, trained, ops, ranges, seeds, Budget(share or 1.0, steps))
    code = make_missing(
        [
            *(_reference(store, experiment, cell, seeds) for cell in references),
            *(_training(store, job, None if out is None else out / "checkpoints") for job in todo),
        ],
        command_line(
            name,
            model=arguments.model,
            op=arguments.op,
            range=arguments.range,
            seeds=arguments.seeds,
            budget=arguments.budget and (f"{100 * share:g}%" if steps is None and share else steps),
        ),
        quiet=arguments.quiet,
        unit="step",
    )
    if code == DONE:
        rows = [
            store.rows[key]
            for model in models
            for key in itertools.product([model], ops, ranges, seeds)
            if key in store.rows
        ]
        for op, setting in itertools.product(ops, ranges):
            print(f"{title(experiment, op, setting)}\n{table(experiment, op, setting, rows)}\n")
        if out is not None:
            illustrate(out / f"{name}.png", partial(draw, experiment, ops, rows))
            print(f"rows: {store.path}")
    return code


def _reference(
    store: Store[Row], experiment: Experiment, cell: tuple[str, str, str], seeds: Sequence[int]
) -> Work[Row]:
    """One of the models that are not trained; only the seeds that are missing."""
    missing = [seed for seed in seeds if (*cell, seed) not in store.rows]
    keys = [(*cell, seed) for seed in missing]
    return Work(store, keys, lambda *_: reference_rows(experiment, *cell, missing), size=0, label=" ".join(cell))


def _training(store: Store[Row], job: Job, checkpoints: Path | None) -> Work[Row]:
    """One population: all of it, if a row is missing."""

    def made(worker: Worker, tick: Tick) -> list[Row]:
        return train(job, checkpoints, tick)

    keys = [(job.name, *rest) for rest in itertools.product(job.ops, job.settings, job.seeds)]
    check_steps(store, keys, job.steps)
    kept = None if checkpoints is None else checkpoints / job.checkpoint
    return Work(store, keys, made, size=job.steps, label=f"{job.name} {','.join(job.ops)}", unfinished=kept)

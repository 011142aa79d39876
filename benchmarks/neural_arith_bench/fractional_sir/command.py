"""``neural-arith bench fractional-sir``: the fractional SIR grid of the Neural Power Units paper, three times."""

from __future__ import annotations

import argparse
from functools import partial

from neural_arith.errors import OptionError
from neural_arith_bench.fractional_sir.fields import KINDS
from neural_arith_bench.fractional_sir.results import PROTOCOLS, SirRow, draw, ordered, rows_in, table
from neural_arith_bench.fractional_sir.runs import Task, make, tasks
from neural_arith_bench.fractional_sir.scores import references
from neural_arith_bench.fractional_sir.training import STEPS
from neural_arith_bench.runner import DONE, Tick, Work, Worker, chosen, command_line, illustrate, make_missing
from neural_arith_bench.store import Store, in_folder

_SHOWN = 20
"""Steps of training between two looks at the progress bar."""


def run(name: str, arguments: argparse.Namespace) -> int:
    """Make the rows that are missing, print the table and draw the picture; see `Benchmark.run`."""
    protocols = chosen("--protocol", arguments.protocol, PROTOCOLS)
    units = chosen("--model", arguments.model, KINDS)
    if protocols == ["ours"] and units == ["dense"]:
        raise OptionError("--protocol ours reads a formula from the weights, dense layers have none; use --model npu")
    share, steps = arguments.budget
    share = share if steps is None else steps / STEPS
    settings = {} if share == 1 else {"budget": f"{100 * share:g}%"}
    settings |= {} if arguments.optimiser == "rmsprop" else {"optimiser": arguments.optimiser}
    file = "_".join([name, *(word for pair in settings.items() for word in pair)]).replace("%", "pct")
    store = rows_in(in_folder(arguments.out, file, "csv"))
    todo = tasks(
        protocols,
        units,
        arguments.seeds,
        lambda protocol, unit, cell: (protocol, unit, *cell) in store.rows,
        budget=share,
        adam=arguments.optimiser == "adam",
    )
    work = [
        Work(store, [(protocol, "truth", None, None, None)], lambda *_, p=protocol: references(p), size=0)
        for protocol in protocols
    ]
    code = make_missing(
        [*work, *(_work(store, task) for task in todo)],
        command_line(name, protocol=protocols, model=units, seeds=arguments.seeds, **settings),
        quiet=arguments.quiet,
        unit="run",
        jobs=arguments.jobs,
    )
    if code == DONE:
        found = ordered(store.rows.values())
        print(table(found))
        if store.path is not None:
            print(f"rows: {store.path}")
            illustrate(store.path.with_suffix(".svg"), partial(draw, rows=found))
    return code


def _work(store: Store[SirRow], task: Task) -> Work[SirRow]:
    def made(worker: Worker, tick: Tick) -> list[SirRow]:
        steps: dict[str, int] = {}

        def told(stage: str, members: int) -> None:
            steps[stage] = steps.get(stage, 0) + 1
            if steps[stage] % _SHOWN == 0:
                tick(0, f"{task.protocol} {task.unit}, {stage} {steps[stage]}, {members} runs at it")

        return make(task, told) if worker.here else worker.call(None, make, task)

    keys = [(task.protocol, task.unit, *cell) for cell in task.cells]
    return Work(store, keys, made, size=len(keys), label=f"{task.protocol} {task.unit}")

"""``neural-arith bench sequential-digits``: sums and products over sequences of images of digits."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from neural_arith.errors import OptionError
from neural_arith_bench.arithmetic.rows import Row, check_steps, rows_in
from neural_arith_bench.digits.images import DigitImages, mnist, scanned_digits
from neural_arith_bench.digits.models import REFERENCE, DigitModel, chosen_models, models
from neural_arith_bench.digits.results import bars, draw, judged, rows_of, table
from neural_arith_bench.digits.sequences import TASKS, Batches, SequenceTask, constant_errors, fixed_sequences, task
from neural_arith_bench.digits.training import train
from neural_arith_bench.runner import DONE, Tick, Work, Worker, command_line, illustrate, make_missing
from neural_arith_bench.store import Store, in_folder

PUBLISHED = 1000
"""Epochs of the publication."""

REFERENCE_SEEDS = tuple(range(10))
"""The reference is part of the protocol: always these, whatever seeds the models have."""


def run(name: str, arguments: argparse.Namespace) -> int:
    """Train what is missing, print the tables and draw the picture; see `Benchmark.run`."""
    wanted = [task(operation) for operation in dict.fromkeys(arguments.op or TASKS)]
    for one in wanted:
        if max(arguments.range or [1]) > one.longest:
            raise OptionError(f"--range: a {one.operation} can have at most {one.longest} digits")
    chosen = {one.operation: chosen_models(one.operation, arguments.model) for one in wanted}
    if not any(chosen.values()):
        only = ", ".join(arguments.model)
        raise OptionError(f"--model {only}: none of them is for --op {','.join(chosen)}; see --help, or leave --op out")
    images = scanned_digits() if arguments.mnist is None else mnist(arguments.mnist)
    store = rows_in(in_folder(arguments.out, f"{name}_{images.name}", "csv"))
    share, epochs = arguments.budget
    epochs = max(1, round(share * PUBLISHED)) if epochs is None else epochs
    command = command_line(
        name,
        op=arguments.op,
        model=arguments.model,
        range=arguments.range,
        seeds=arguments.seeds,
        budget=epochs,
        mnist=arguments.mnist and "FOLDER",
    )
    for one in wanted:
        bench = _Bench(one, images.only(one.digits), arguments.seeds, arguments.range, epochs, store)
        code = make_missing(bench.work(chosen[one.operation]), command, quiet=arguments.quiet, unit="epoch")
        if code != DONE:
            return code
        print(f"{one.operation} of digits, {images.name}, {epochs} epochs: success, ours (published)")
        print(bench.table(), end="\n\n")
    if store.path is not None:
        print(f"rows: {store.path}")
        illustrate(store.path.with_suffix(".png"), lambda path: draw(store.rows.values(), path))
    return DONE


class _Bench:
    """The models of one operation.

    Args:
        task: what the sequences come to.
        images: of its digits.
        seeds: of the models.
        lengths: of the test, None for the published.
        epochs: of training.
        store: the rows.
    """

    def __init__(
        self,
        task: SequenceTask,
        images: DigitImages,
        seeds: Sequence[int],
        lengths: Sequence[int] | None,
        epochs: int,
        store: Store[Row],
    ) -> None:
        self.task, self.images, self.store, self.epochs = task, images, store, epochs
        self.seeds, self.lengths = seeds, lengths or list(task.lengths)
        self.steps = epochs * Batches(task, images.train, [0]).per_epoch
        known = sorted({*self.lengths, 1})
        drawn = fixed_sequences(images.test, max(known), test=True)
        self.constant = dict(zip(known, constant_errors(task, images.test, drawn, known).tolist(), strict=True))

    def work(self, chosen: Sequence[DigitModel]) -> Iterator[Work[Row]]:
        """One training for each model, of the seeds that lack a row; that of the reference first."""
        reference = models(self.task.operation)[REFERENCE]
        yield self._training(reference, REFERENCE_SEEDS, list(self.constant))
        for model in chosen:
            if model != reference:
                yield self._training(model, self.seeds, self.lengths)

    def table(self) -> str:
        """Of the rows that were asked for."""
        lengths, seeds = set(map(str, self.lengths)), {*self.seeds, *REFERENCE_SEEDS}
        rows = [row for row in self.store.rows.values() if row.range in lengths and row.seed in seeds]
        return table(rows, self.task, self._bars(), self.constant)

    def _training(self, model: DigitModel, seeds: Sequence[int], lengths: Sequence[int]) -> Work[Row]:
        keys = {seed: [(model.name, self.task.operation, str(n), seed) for n in lengths] for seed in seeds}
        for own in keys.values():
            check_steps(self.store, own, self.steps)
        missing = [seed for seed, own in keys.items() if any(key not in self.store.rows for key in own)]
        save = None
        if self.store.path is not None:
            name = f"{self.store.path.stem}_{self.task.operation}_{model.name}_{self.epochs}_epochs.pt"
            save = self.store.path.with_name("checkpoints") / name

        def made(worker: Worker, tick: Tick) -> list[Row]:
            done = 0

            def progress(epoch: int) -> None:
                nonlocal done
                tick(epoch - done)
                done = epoch

            course = train(
                self.task, self.images, model, missing, self.epochs, lengths=lengths, progress=progress, save=save
            )
            rows = rows_of(course, self.task, model.name, missing, lengths, self.steps)
            bar = bars(rows, self.task, self.constant[1]) if model.name == REFERENCE else self._bars()
            return judged(rows, course, missing, bar)

        label = f"{self.task.operation} {model.name}"
        return Work(
            self.store, [key for seed in missing for key in keys[seed]], made, self.epochs, label, unfinished=save
        )

    def _bars(self) -> dict[int, float]:
        return bars(self.store.rows.values(), self.task, self.constant[1])

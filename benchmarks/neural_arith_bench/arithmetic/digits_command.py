"""``neural-arith bench sequential-digits``: sums and products over sequences of images of digits."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from neural_arith.arguments import folder, names, seeds, whole
from neural_arith.errors import OptionError
from neural_arith_bench.arithmetic.command import INTERRUPTED, budget
from neural_arith_bench.benchmark import Benchmark

if TYPE_CHECKING:
    from neural_arith_bench.arithmetic.digit_images import DigitImages
    from neural_arith_bench.arithmetic.digit_models import DigitModel
    from neural_arith_bench.arithmetic.digit_sequences import SequenceTask
    from neural_arith_bench.arithmetic.rows import RowFile

PUBLISHED, SHARE = 1000, 0.6
"""Epochs of the publication, and the share of them by default: the NMU's weights need some 450 epochs to reach 1."""

REFERENCE_SEEDS = tuple(range(10))
"""The reference is part of the protocol: always these, whatever seeds the models have."""

_DESCRIPTION = (
    "A small CNN reads one image at a time and answers with one number, a unit keeps the running sum or product of "
    "what it reads; only the results are told. Success is a test error below the 99 % bound of the same network with "
    "the right unit in place (the reference). Products are trained on 2 digits, sums on 10 (Madsen and Johansen, ICLR "
    "2020). Rows that the result file holds are kept and an unfinished training goes on where it stopped."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--op", metavar="A,B", type=names, help="product, sum (default: both)")
    parser.add_argument("--model", metavar="A,B", type=names, help="only these (default: all of the operation)")
    parser.add_argument("--range", metavar="N,M", type=_lengths, help="lengths of the test (default: the published)")
    parser.add_argument(
        "--seeds", metavar="N", type=seeds, default=list(range(10)), help="number or list (default: 10)"
    )
    parser.add_argument(
        "--budget",
        metavar="N",
        type=budget,
        default=(SHARE, None),
        help=f"epochs: a number, or a share of the published {PUBLISHED} as 10%% (default: {100 * SHARE:g}%%)",
    )
    parser.add_argument("--mnist", metavar="FOLDER", type=folder, help="read MNIST's four IDX files, not the scans")
    parser.add_argument("--out", metavar="FOLDER", type=folder, help="keep rows, picture and unfinished work there")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")


def run(arguments: argparse.Namespace) -> int:
    """Train what is missing, keep the rows, print the tables and draw the picture.

    Args:
        arguments: the options of `add_arguments`.

    Returns:
        The exit code: 0, or 130 after Ctrl-C.

    Raises:
        OptionError: no such operation, model or length, or rows of another budget are there.
        DataError: the images or the result file cannot be read, or the folder not be made.
    """
    # slow to import, and every command declares the options
    from neural_arith_bench.arithmetic.digit_images import mnist, scanned_digits
    from neural_arith_bench.arithmetic.digit_models import chosen_models
    from neural_arith_bench.arithmetic.digit_sequences import TASKS, task
    from neural_arith_bench.arithmetic.rows import RowFile

    wanted = [task(operation) for operation in dict.fromkeys(arguments.op or TASKS)]
    for one in wanted:
        if max(arguments.range or [1]) > one.longest:
            raise OptionError(f"--range: a {one.operation} can have at most {one.longest} digits")
    chosen = {one.operation: chosen_models(one.operation, arguments.model) for one in wanted}
    if not any(chosen.values()):
        only = ", ".join(arguments.model)
        raise OptionError(f"--model {only}: none of them is for --op {','.join(chosen)}; see --help, or leave --op out")
    images = scanned_digits() if arguments.mnist is None else mnist(arguments.mnist)
    out = arguments.out
    file = RowFile(None if out is None else out / f"sequential_digits_{images.name}.csv")
    for one in wanted:
        bench = _Bench(one, images.only(one.digits), arguments, file)
        try:
            bench.train(chosen[one.operation])
        except KeyboardInterrupt:
            kept = "kept; the same command goes on" if out else "lost without --out"
            print(f"neural-arith: interrupted, what was done is {kept}", file=sys.stderr)
            return INTERRUPTED
        print(f"{one.operation} of digits, {images.name}, {bench.epochs} epochs: success, ours (published)")
        print(bench.table(), end="\n\n")
    if file.path is not None:
        print(f"rows: {file.path}")
        if importlib.util.find_spec("matplotlib") is None:
            print('neural-arith: no picture without matplotlib: pip install "neural-arith[plot]"', file=sys.stderr)
        else:
            from neural_arith_bench.arithmetic.digit_picture import draw

            draw(file.rows.values(), file.path.with_suffix(".png"))
    return 0


class _Bench:
    """The models of one operation.

    Args:
        task: what the sequences come to.
        images: of its digits.
        arguments: the options.
        file: the rows.
    """

    def __init__(self, task: SequenceTask, images: DigitImages, arguments: argparse.Namespace, file: RowFile) -> None:
        from neural_arith_bench.arithmetic.digit_sequences import Batches, constant_errors, fixed_sequences

        self.task, self.images, self.file = task, images, file
        self.epochs, self.quiet = _epochs(arguments), arguments.quiet
        self.seeds, self.lengths = arguments.seeds, arguments.range or list(task.lengths)
        self.command = _command(task, arguments)
        self.steps = self.epochs * Batches(task, images.train, [0]).per_epoch
        known = sorted({*self.lengths, 1})
        chosen = fixed_sequences(images.test, max(known), test=True)
        self.constant = dict(zip(known, constant_errors(task, images.test, chosen, known).tolist(), strict=True))

    def train(self, models: Sequence[DigitModel]) -> None:
        """Make the rows that are missing, those of the reference first."""
        from tqdm import tqdm

        from neural_arith_bench.arithmetic import digit_models

        reference = digit_models.models(self.task.operation)[digit_models.REFERENCE]
        others = [model for model in models if model != reference]
        work = [
            (reference, list(REFERENCE_SEEDS), list(self.constant)),
            *((m, self.seeds, self.lengths) for m in others),
        ]
        todo = [(m, self._missing(m.name, s, n), n) for m, s, n in work]
        todo = [(m, s, n) for m, s, n in todo if s]
        with tqdm(total=self.epochs * len(todo), unit="epoch", disable=self.quiet) as bar:
            for place, (model, some, lengths) in enumerate(todo):
                bar.set_description(f"{self.task.operation} {model.name}")
                self._train_one(model, some, lengths, lambda e, p=place: bar.update(p * self.epochs + e - bar.n))

    def table(self) -> str:
        """Of the rows that were asked for."""
        from neural_arith_bench.arithmetic.digit_results import table

        lengths = set(map(str, self.lengths))
        rows = [r for r in self.file.rows.values() if r.range in lengths and r.seed in {*self.seeds, *REFERENCE_SEEDS}]
        return table(rows, self.task, self._bars(), self.constant)

    def _train_one(
        self, model: DigitModel, some: list[int], lengths: list[int], progress: Callable[[int], object]
    ) -> None:
        from neural_arith_bench.arithmetic.digit_models import REFERENCE
        from neural_arith_bench.arithmetic.digit_results import bars, judged, rows_of
        from neural_arith_bench.arithmetic.digit_training import train

        save = None
        if self.file.path is not None:
            name = f"{self.file.path.stem}_{self.task.operation}_{model.name}_{self.epochs}_epochs.pt"
            save = self.file.path.with_name("checkpoints") / name
        course = train(self.task, self.images, model, some, self.epochs, lengths=lengths, progress=progress, save=save)
        rows = rows_of(course, self.task, model.name, some, lengths, self.steps)
        own = model.name == REFERENCE
        bar = bars(rows, self.task, self.constant[1]) if own else self._bars()
        self.file.add(judged(rows, course, some, bar), self.command)
        if save is not None:
            save.unlink(missing_ok=True)

    def _bars(self) -> dict[int, float]:
        from neural_arith_bench.arithmetic.digit_results import bars

        return bars(self.file.rows.values(), self.task, self.constant[1])

    def _missing(self, model: str, some: Sequence[int], lengths: Sequence[int]) -> list[int]:
        """The seeds that lack a row."""
        keys = [(model, self.task.operation, str(n), seed) for seed in some for n in lengths]
        done = {(row.seed, row.range) for row in self.file.made(keys, self.steps)}
        return [seed for seed in some if any((seed, str(n)) not in done for n in lengths)]


def _epochs(arguments: argparse.Namespace) -> int:
    share, epochs = arguments.budget
    return max(1, round(share * PUBLISHED)) if epochs is None else epochs


def _lengths(text: str) -> list[int]:
    read = whole(1, 10_000)
    return sorted({read(part) for part in names(text)})


def _command(task: SequenceTask, arguments: argparse.Namespace) -> str:
    """The command line that makes these rows, without paths of this machine."""
    parts = [f"neural-arith bench sequential-digits --op {task.operation}"]
    parts += [f"--model {','.join(arguments.model)}"] if arguments.model else []
    parts += [f"--range {','.join(map(str, arguments.range))}"] if arguments.range else []
    chosen = ",".join(map(str, arguments.seeds)) + ("," if len(arguments.seeds) == 1 else "")
    parts += [f"--seeds {chosen}", f"--budget {_epochs(arguments)}"]
    return " ".join(parts + (["--mnist FOLDER"] if arguments.mnist else []))


SEQUENTIAL_DIGITS = Benchmark(
    "sequential-digits",
    "running sums and products of scanned digits or MNIST (Madsen and Johansen, ICLR 2020)",
    _DESCRIPTION,
    add_arguments,
    run,
)
"""The benchmark."""

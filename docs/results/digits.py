"""Write arithmetic/sequential_digits.md from the rows beside it: ``python docs/results/digits.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from neural_arith_bench.arithmetic.rows import Row, rows_in
from neural_arith_bench.digits.images import scanned_digits
from neural_arith_bench.digits.models import REFERENCE
from neural_arith_bench.digits.results import bars, table
from neural_arith_bench.digits.sequences import TASKS, SequenceTask, constant_errors, fixed_sequences
from neural_arith_bench.store import made_by

HERE = Path(__file__).parent / "arithmetic"

HEAD = """# Sequences of digits

A small CNN reads one image at a time and answers with one number; a unit keeps the running sum or product of what it
reads. Only the running results are told, so the reader learns from them alone. The experiment is that of Madsen and
Johansen (ICLR 2020, arXiv:2001.05016, with the rules of their public code) on the 1,797 scans of 8 x 8 pixels that
scikit-learn brings along, instead of MNIST: 1,197 for training, 200 for validation, 400 for the test.

As published: the state starts at 1 (product) or 0 (sum); the loss counts every step; products have digits 1 to 9, are
trained on 2 of them and tested on 1 to 20, sums are trained on 10 and tested on up to 1,000; Adam with its usual
numbers; the regulariser of NMU, NAU and NAC-nmu grows to 10 over the published share of the steps; *Rz* is the penalty
that keeps the reader from making up for weights that are not 1; the record with the least validation error is judged;
ten seeds. Success is a test error below *bar*, the one-sided 99 % bound of the mean error of the *reference*, the same
network with the solution as its unit, over the seeds that learned to read; a model that is exactly as good succeeds in
most runs, not in all.

Other than published: the convolutions fit 8 x 8 pixels; training takes fewer epochs than 1,000 (see the commands), and
an epoch is 45 times as short; sums have batches of 8 sequences instead of 64; the sequences are drawn anew in each
epoch, and in the test every image occurs once at each step; NALU and LSTM start products at 1 as well. *-mean* is ours:
the same training, judged by a running mean of the parameters over about 500 steps.

These choices were not made blindly. First runs kept the scans in their own order: validation errors were below the test
errors and the bars of long products above *constant*, so the order was drawn. Products with 300 epochs ended with
weights short of 1 that failed at some lengths; they arrive later, so 600 were taken. And
the rule for references that cannot read looks at single digits since one read every digit with the wrong sign.

*constant* is the least error that answers have which know the step but not the images. Where the bar is above it,
success says nothing about the unit: answers near zero pass as well.

"""


def read() -> list[Row]:
    """All rows."""
    return list(rows_in(HERE / "sequential_digits_scans.csv").rows.values())


def judged_lengths(rows: list[Row], task: SequenceTask) -> tuple[dict[int, float], dict[int, float]]:
    """The bar and the error of the best constant by length."""
    images = scanned_digits().only(task.digits)
    chosen = fixed_sequences(images.test, max(task.lengths), test=True)
    known = sorted({*task.lengths, 1})
    constant = dict(zip(known, constant_errors(task, images.test, chosen, known).tolist(), strict=True))
    return bars(rows, task, constant[1]), constant


def sparsity(rows: list[Row], task: SequenceTask) -> str:
    """Median error, distance to whole numbers, and seconds of each model."""
    lines = ["| model | weights off by | seconds per seed |", "| --- | --: | --: |"]
    for model in dict.fromkeys(row.model for row in rows if row.op == task.operation):
        own = [row for row in rows if (row.op, row.model, row.range) == (task.operation, model, str(task.lengths[0]))]
        off = [row.sparsity_error for row in own if row.sparsity_error is not None]
        lines.append(f"| {model} | {f'{np.median(off):.2g}' if off else '-'} | {own[0].seconds:.0f} |")
    return "\n".join(lines)


def page() -> str:
    """The page."""
    rows = read()
    text = HEAD
    for task in TASKS.values():
        bar, constant = judged_lengths(rows, task)
        models = ", ".join(dict.fromkeys(r.model for r in rows if r.op == task.operation and r.model != REFERENCE))
        text += f"## {task.operation.capitalize()}\n\nModels trained so far: {models}. Success, ours "
        text += (
            "(published, MNIST); *all*: the share of seeds that succeed at every length, with Wilson's interval.\n\n"
        )
        text += f"{table(rows, task, bar, constant)}\n\n{sparsity(rows, task)}\n\n"
    text += "![Success by length](sequential_digits_scans.png)\n\nMade by:\n\n```text\n"
    text += (
        "\n".join(dict.fromkeys(entry["command"] for entry in made_by(HERE / "sequential_digits_scans.csv")))
        + "\n```\n\nSeconds are wall clock on "
    )
    return text + "processors that much other work shared, of a batch of ten seeds divided by ten.\n"


if __name__ == "__main__":
    (HERE / "sequential_digits.md").write_text(page(), encoding="utf-8")

"""Sequences of digits: data, training of all seeds at once, the bar of the reference, and the command."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from idx_files import four_files
from neural_arith_bench.arithmetic.published import published
from neural_arith_bench.arithmetic.rows import Row
from neural_arith_bench.digits.images import Labelled, scanned_digits
from neural_arith_bench.digits.models import REFERENCE, chosen_models, models
from neural_arith_bench.digits.results import bars, judged, rows_of
from neural_arith_bench.digits.sequences import (
    TASKS,
    Batches,
    constant_errors,
    errors_by_length,
    fixed_sequences,
    task,
)
from neural_arith_bench.digits.training import Course, train
from scipy import stats

from neural_arith.cli import main
from neural_arith.errors import OptionError


@pytest.fixture(scope="module")
def scans():
    return scanned_digits()


# --- data ------------------------------------------------------------------------------------------------


def test_each_epoch_shows_every_image_at_most_once_in_an_order_of_the_seed(scans):
    part = Labelled(torch.arange(1197.0)[:, None, None].expand(-1, 8, 8), scans.train.digits)
    batches, alone = Batches(task("sum"), part, (3, 4)), Batches(task("sum"), part, (4,))
    steps = batches.per_epoch
    shown = torch.cat([batches(step)[0].reshape(2, -1, 64)[..., 0] for step in range(steps)], 1)
    assert shown.shape[1] == steps * 8 * 10 > 1000
    assert all(len(set(member.tolist())) == shown.shape[1] for member in shown)
    assert not torch.equal(shown[0], shown[1])
    later = batches(steps + 2)
    assert torch.equal(later[0][1], alone(steps + 2)[0][0])
    assert not torch.equal(later[0], batches(2)[0])


@pytest.mark.parametrize("operation", TASKS)
def test_targets_are_running_results(scans, operation):
    own = task(operation)
    images = scans.only(own.digits)
    part = Labelled(images.train.digits[:, None, None].expand(-1, 8, 8).float(), images.train.digits)
    x, y = Batches(own, part, (0,))(0)
    digits = x.reshape(-1, own.train_length, 64)[..., 0].double().numpy()
    expected = np.cumsum(digits, 1) if operation == "sum" else np.cumprod(digits, 1)
    assert np.array_equal(y[0].numpy(), expected)


def test_a_set_with_too_few_images_is_refused(scans):
    few = Labelled(scans.train.images[:9], scans.train.digits[:9])
    with pytest.raises(OptionError, match="do not make one sequence"):
        Batches(task("sum"), few, (0,))


def test_errors_by_length_are_those_of_a_plain_loop(scans):
    own = task("product")
    images = scans.only(own.digits)
    network = models("product")["NMU"].network(own, 8, 0)
    chosen = fixed_sequences(images.test, 4, test=True)
    assert all(sorted(column) == list(range(len(images.test.digits))) for column in chosen.T.tolist())
    with torch.no_grad():
        found = errors_by_length(own, images.test, chosen, (1, 3, 4))(network)
        answers = network(images.test.images[chosen].flatten(1)).double().numpy()
    right = np.cumprod(images.test.digits.numpy()[chosen], 1)
    expected = [np.mean((answers - right)[:, :length] ** 2) for length in (1, 3, 4)]
    assert np.allclose(found.numpy(), expected, rtol=1e-4)
    centred = right - right.mean(0)
    constant = [np.mean(centred[:, :length] ** 2) for length in (1, 3, 4)]
    assert np.allclose(constant_errors(own, images.test, chosen, (1, 3, 4)).numpy(), constant)


# --- training --------------------------------------------------------------------------------------------


def test_the_hard_wired_reference_learns_to_read_and_beats_the_lstm(scans):
    own = task("product")
    images = scans.only(own.digits)
    courses = {
        name: train(own, images, models("product")[name], (0, 1), 25, lengths=(1, 2, 20))
        for name in (REFERENCE, "LSTM")
    }
    chosen = fixed_sequences(images.test, 20, test=True)
    constant = constant_errors(own, images.test, chosen, (2,)).item()
    tests = {name: course.test[course.best(), [0, 1], 1] for name, course in courses.items()}
    assert tests[REFERENCE].max() < 0.6 * constant
    assert tests["LSTM"].min() > constant  # its output stays below 1
    assert np.isnan(courses[REFERENCE].sparsity).all()


def test_a_member_is_what_it_is_alone(scans):
    own = task("sum")
    model = models("sum")["NAU-Rz"]
    both = train(own, scans, model, (0, 7), 2, lengths=(1, 10))
    alone = train(own, scans, model, (7,), 2, lengths=(1, 10))
    assert np.allclose(both.validation[:, 1], alone.validation[:, 0], rtol=1e-3)
    assert np.allclose(both.sparsity[:, 1], alone.sparsity[:, 0], atol=1e-4)


def test_an_interrupted_training_goes_on_to_the_last_bit(scans, tmp_path):
    own, model = task("product"), models("product")["NMU-Rz-mean"]
    images = scans.only(own.digits)

    def stop(epoch):
        if epoch == 2:
            raise KeyboardInterrupt

    whole = train(own, images, model, (0, 1), 4, lengths=(1, 5))
    with pytest.raises(KeyboardInterrupt):
        train(own, images, model, (0, 1), 4, lengths=(1, 5), progress=stop, save=tmp_path / "state.pt")
    seen = []
    rest = train(own, images, model, (0, 1), 4, lengths=(1, 5), progress=seen.append, save=tmp_path / "state.pt")
    assert seen == [3, 4]
    assert np.array_equal(rest.test, whole.test)
    assert np.array_equal(rest.validation, whole.validation)


@pytest.mark.parametrize("operation", TASKS)
def test_every_model_trains(scans, operation):
    own = task(operation)
    images = scans.only(own.digits)
    for name, model in models(operation).items():
        course = train(own, images, model, (0,), 1, lengths=(1, 3))
        assert np.isfinite(course.validation).all(), name
        assert np.isnan(course.sparsity).all() == (name in (REFERENCE, "LSTM"))
        assert list(course.epochs) == [0, 1]


# --- judgement -------------------------------------------------------------------------------------------


def row(seed: int, length: int, error: float) -> Row:
    return Row(REFERENCE, "product", str(length), seed, None, None, None, error, 1.0, 10, "")


def test_the_bar_is_the_upper_bound_of_the_references_that_read():
    errors = [1.0, 2.0, 4.0]
    rows = [row(seed, 1, error) for seed, error in enumerate([*errors, 60.0])]
    rows += [row(seed, 9, 10 * error) for seed, error in enumerate([*errors, 0.1])]
    found = bars(rows, task("product"), 100.0)
    expected = np.mean(errors) + stats.t.ppf(0.99, 8) * stats.sem(errors)
    assert found[1] == pytest.approx(expected)
    assert found[9] == pytest.approx(10 * expected)
    assert np.isnan(bars(rows, task("product"), 3.0)[1])


def test_rows_take_the_epoch_of_the_best_validation_and_the_first_below_the_bar():
    course = Course(
        epochs=np.array([0, 4, 8]),
        validation=np.array([[9.0, 9.0], [1.0, np.nan], [2.0, 3.0]]),
        test=np.array([[[9.0], [9.0]], [[5.0], [0.1]], [[0.2], [7.0]]]),
        sparsity=np.array([[0.5, 0.5], [0.25, 0.4], [0.0, 0.125]]),
        seconds=2.0,
    )
    rows = judged(rows_of(course, task("product"), "NMU", (3, 5), (6,), 80), course, (3, 5), {6: 6.0})
    assert [r.extrapolation_error for r in rows] == [5.0, 7.0]
    assert [r.success for r in rows] == [True, False]
    assert [r.solved_at for r in rows] == [40, 40]
    assert [r.sparsity_error for r in rows] == [0.25, 0.125]
    assert [r.seed for r in rows] == [3, 5]


def test_published_rates_stand_at_every_length():
    for operation, own in TASKS.items():
        for length in own.lengths:
            rates = {p.model: p.value for p in published("sequential_digits", f"{operation}-{length}")}
            assert rates["LSTM"] == rates["NALU"] == 0
            assert set(rates) <= set(models(operation))
    assert {p.model: p.value for p in published("sequential_digits", "sum-1000")}["NAU-Rz"] == 0.8


# --- command ---------------------------------------------------------------------------------------------


def bench(*arguments: str) -> int:
    return main(["bench", "sequential-digits", "--quiet", *arguments])


def read(path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_command_keeps_rows_goes_on_and_prints_the_table(tmp_path, capsys):
    options = ("--op", "product", "--budget", "3", "--range", "1,20", "--out", str(tmp_path))
    assert bench(*options, "--model", "NMU-Rz", "--seeds", "1") == 0
    out = capsys.readouterr().out
    assert "NMU-Rz" in out
    assert "(0.9)" in out
    path = tmp_path / "sequential_digits_scans.csv"
    first = read(path)
    assert {(r["model"], r["range"]) for r in first} == {
        *((REFERENCE, length) for length in ("1", "20")),
        *(("NMU-Rz", length) for length in ("1", "20")),
    }
    assert sum(r["model"] == REFERENCE for r in first) == 20
    assert path.with_suffix(".json").exists()
    assert path.with_suffix(".png").stat().st_size > 1000
    assert not list((tmp_path / "checkpoints").glob("*"))
    assert bench(*options, "--model", "NMU-Rz", "--seeds", "2") == 0
    second = read(path)
    assert all(row in second for row in first)
    assert [r["seed"] for r in second if r not in first] == ["1", "1"]
    assert bench(*options, "--model", "NMU-Rz", "--seeds", "2") == 0
    assert read(path) == second
    assert bench("--op", "product", "--budget", "2", "--range", "1", "--out", str(tmp_path)) == 2
    assert "same --budget" in capsys.readouterr().err


def test_the_command_reads_mnist(tmp_path, capsys):
    four_files(tmp_path, train=240, test=30)
    options = ("--op", "sum", "--budget", "0.1%", "--range", "1,3", "--model", "LSTM", "--seeds", "1")
    assert bench(*options, "--mnist", str(tmp_path)) == 0
    assert "sum of digits, mnist, 1 epochs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--op", "difference"), "choose among product, sum"),
        (("--model", "NPU"), "choose among reference, NMU"),
        (("--op", "product", "--range", "41"), "at most 40 digits"),
        (("--range", "0"), "whole number from 1"),
        (("--budget", "none"), "share of the published"),
        (("--mnist", "nowhere"), "no file train-images"),
    ],
)
def test_wrong_options_are_one_clear_line(arguments, says, capsys):
    try:
        code = bench(*arguments)
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert says in capsys.readouterr().err


def test_models_of_the_other_operation_are_left_out():
    assert [m.name for m in chosen_models("sum", ["NMU", "NALU", "NALU"])] == ["NALU"]
    assert chosen_models("product", None)[0].name == REFERENCE

"""The experiments as commands, on small budgets: rows, resuming, closed forms below the bar, wrong options."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from neural_arith_bench.arithmetic import command, training
from neural_arith_bench.arithmetic.experiments import EXPERIMENTS
from neural_arith_bench.arithmetic.large_tasks import LargeScaleTask, RecurrentTask, StaticTask
from neural_arith_bench.arithmetic.models import MODELS, sums_under
from neural_arith_bench.arithmetic.published import published
from neural_arith_bench.arithmetic.references import REFERENCES, reference_rows
from neural_arith_bench.arithmetic.results import published_number, table
from neural_arith_bench.arithmetic.rows import rows_in
from neural_arith_bench.arithmetic.small_tasks import SimpleTask, SingleModuleTask
from neural_arith_bench.arithmetic.task import Batches
from neural_arith_bench.arithmetic.training import Budget, jobs, train
from neural_arith_bench.registry import BENCHMARKS, budget, settings

from neural_arith.cli import main

TASKS = [StaticTask("mul"), LargeScaleTask("sqrt"), RecurrentTask("add"), SimpleTask(), SingleModuleTask("div")]


def key(row):
    return row.model, row.op, row.range, row.seed


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_a_stream_may_start_anywhere(task):
    whole = task.stream([3, 8]).batch(12)
    rest = task.stream([3, 8], skip=5).batch(7)
    assert torch.equal(rest.x, whole.x[:, 5:])
    assert torch.equal(rest.y, whole.y[:, 5:])


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_batches_are_those_of_the_streams_at_any_step(task):
    stream = task.stream([3, 8])
    expected = [stream.batch() for _ in range(4)]
    batches = Batches([task], [3, 8], torch.float64)
    for step in (0, 1, 3, 2):
        x, y = batches(step)
        one = slice(None) if x.dim() == 3 else 0
        assert torch.equal(x, expected[step].x.flatten(2)[one])
        assert torch.equal(y, expected[step].y[one])


def test_batches_of_several_tasks_stand_one_after_the_other(monkeypatch):
    monkeypatch.setattr("neural_arith_bench.arithmetic.task._NUMBERS", 3 * 2 * 2 * 128 * 2)
    tasks = [SingleModuleTask("mul"), SingleModuleTask("div")]
    together, alone = Batches(tasks, [0, 1], torch.float64), Batches(tasks[1:], [1], torch.float64)
    for step in (0, 2, 3, 7, 4):
        assert torch.equal(together(step)[0][3:], alone(step)[0])
        assert torch.equal(together(step)[1][3:], alone(step)[1])


def test_budgets_are_shares_or_steps():
    assert budget("2%") == (0.02, None)
    assert budget("300") == (None, 300)
    assert Budget(0.02).of(50_000) == (1000, 0.02)
    assert Budget(steps=500).of(50_000) == (500, 0.01)
    assert settings("[1,2],N(-3,3),hidden=10") == ["[1,2]", "N(-3,3)", "hidden=10"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_model_trains_and_every_published_name_is_ours(name):
    experiment = EXPERIMENTS[name]
    if name == "recurrent":  # sequences of a thousand take long
        experiment = dataclasses.replace(
            experiment, settings={"[1,2]": lambda op: RecurrentTask(op, longer=20, count=50)}
        )
    op, setting = experiment.ops[0], experiment.usual[0]
    for job in jobs(experiment, dict(MODELS[name]), experiment.ops[:1], [setting], [0, 1], Budget(steps=2)):
        job = dataclasses.replace(job, model=dataclasses.replace(job.model, steps={}))
        rows = train(job, None, lambda _: None)
        assert [key(row) for row in rows] == [(job.name, op, setting, seed) for seed in (0, 1)]
        assert all(row.steps == 2 and row.extrapolation_error > 0 for row in rows)
    if experiment.family is not None:
        others = {"SignMulMCFC"}  # no unit of ours
        assert {entry.model for entry in published(experiment.family)} <= {*MODELS[name]} | others


def test_all_settings_together_are_each_alone():
    experiment = EXPERIMENTS["single-module"]
    chosen = {"RealNPU": MODELS["single-module"]["RealNPU"]}
    (job,) = jobs(experiment, chosen, ["div"], experiment.usual, [4, 2], Budget(steps=30))
    assert len(job.settings) == 9
    together = {key(row): row for row in train(job, None, lambda _: None)}
    (single,) = jobs(experiment, chosen, ["div"], ["[1,2]"], [2], Budget(steps=30))
    (alone,) = train(single, None, lambda _: None)
    assert together[key(alone)].extrapolation_error == pytest.approx(alone.extrapolation_error, rel=1e-4)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("name", ["NMU", "iNALU", "stochastic NMU"])
def test_resumed_rows_are_those_without_interruption(name, tmp_path):
    experiment = EXPERIMENTS["single-module"]
    (job,) = jobs(experiment, {name: MODELS["single-module"][name]}, ["mul"], ["[1,2]"], [0, 1], Budget(steps=40))
    taken = []

    def stop(steps):
        taken.append(steps)
        if sum(taken) >= 20:
            raise Stopped

    with pytest.raises(Stopped):
        train(job, tmp_path, stop)
    assert [path.name for path in tmp_path.iterdir()] == [job.checkpoint]
    progress = []
    again, whole = train(job, tmp_path, progress.append), train(job, None, lambda _: None)
    assert progress[0] == 20
    assert sum(progress) == 40
    for one, other in zip(again, whole, strict=True):
        assert dataclasses.replace(one, seconds=0.0) == dataclasses.replace(other, seconds=0.0)


@pytest.mark.parametrize(
    ("name", "op", "setting"),
    [
        ("single-module", "div", "[-2,2]"),
        ("single-module", "sub", "[-1.2,-1.1]"),
        ("static", "div", "[1,2]"),
        ("static", "mul", "hidden=10"),
        ("inalu", "div", "U"),
    ],
)
def test_closed_form_and_gold_are_below_the_bar_and_constants_are_not(name, op, setting):
    experiment = EXPERIMENTS[name]
    setting = "[-5,5]" if setting == "U" else setting
    for model in REFERENCES:
        for row in reference_rows(experiment, model, op, setting, [0, 3]):
            assert row.success is (model in ("closed form", "gold")), row
            assert (row.sparsity_error is None) is (model not in ("closed form", "gold"))


@pytest.mark.parametrize("op", EXPERIMENTS["large-scale"].ops)
def test_closed_form_of_the_large_task_leaves_nothing(op):
    experiment = EXPERIMENTS["large-scale"]
    (ours,) = reference_rows(experiment, "closed form", op, "code", [0])
    (constant,) = reference_rows(experiment, "best constant", op, "code", [0])
    assert ours.extrapolation_error < 1e-8 * constant.extrapolation_error


@pytest.mark.parametrize("op", EXPERIMENTS["simple"].ops)
def test_closed_form_of_the_simple_task_is_exact(op):
    for row in reference_rows(EXPERIMENTS["simple"], "closed form", op, "[0.1,2.1]", [0, 1]):
        assert row.extrapolation_error < 1e-12


def test_sparsity_is_the_worst_weight():
    network = sums_under(StaticTask("mul"))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1.0)
        next(network.parameters())[1, 7] = -0.8
    assert training.Sparsity()(network).item() == pytest.approx(0.2)


def test_published_numbers_stand_beside_their_cells():
    def value(name, *cell):
        found = published_number(EXPERIMENTS[name], *cell)
        return None if found is None else found.value

    assert value("simple", "mul", "[0.1,2.1]", "NMU") == 0.005
    assert value("large-scale", "sqrt", "code", "RealNPU") == 0.017
    assert value("static", "mul", "[1,2]", "NMU") == 0.98
    assert value("static", "mul", "[1.1,1.2]", "NMU") == 0
    assert value("static", "mul", "hidden=10", "NMU") == 0.63
    assert value("static", "add", "hidden=10", "NAU") is None
    assert value("single-module", "mul", "[-2,-1]", "NMU") == 0.80
    assert value("single-module", "div", "[1,2]x10", "NMRU") == 0.916
    assert value("inalu", "div", "[-1,1]", "iNALU") == 0.34
    assert value("inalu", "mul", "[-3,3]x100", "iNALU") == 0
    assert value("recurrent", "mul", "[1,2]", "NMU") is None


def run(capsys, *words):
    code = main(["bench", *map(str, words)])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_a_command_makes_rows_picture_and_tables_and_goes_on(tmp_path, capsys):
    words = ("single-module", "--op", "mul,div", "--range", "[1,2],[-2,2]", "--model", "NMU,closed form,gold,zero")
    words = (*words, "--seeds", 2, "--budget", 20, "--out", tmp_path, "--quiet")
    code, out, err = run(capsys, *words)
    assert code == 0
    assert not err
    assert out.count("| closed form") == 4
    assert "100 % (34-100)" in out
    rows = rows_in(tmp_path / "single-module.csv").rows
    assert len(rows) == 4 * 2 * 2 * 2
    assert {row.steps for row in rows.values() if row.model == "NMU"} == {20}
    assert (tmp_path / "single-module.png").stat().st_size > 5000
    assert not list((tmp_path / "checkpoints").glob("*.pt"))
    before = (tmp_path / "single-module.csv").read_bytes()
    assert run(capsys, *words)[0] == 0
    assert (tmp_path / "single-module.csv").read_bytes() == before
    longer = [30 if word == 20 else word for word in words]
    code, _, err = run(capsys, *longer)
    assert code == 2
    assert "has rows of 20 training steps for NMU, this command makes rows of 30" in err
    assert (tmp_path / "single-module.csv").read_bytes() == before


def test_a_table_counts_what_is_solved():
    experiment = EXPERIMENTS["single-module"]
    rows = reference_rows(experiment, "gold", "mul", "[1,2]", range(4))
    rows = [dataclasses.replace(row, model="NMU", solved_at=1000 * (row.seed + 1), steps=5000) for row in rows]
    rows[3] = dataclasses.replace(rows[3], success=False, solved_at=None, extrapolation_error=math.inf)
    text = table(experiment, "mul", "[1,2]", rows)
    assert "75 % (30-95)" in text
    assert "2e+03 (" in text
    assert "100 %" in text.splitlines()[-1]
    assert np.isfinite(float(text.splitlines()[-1].split("|")[4]))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", "NPU2"], "--model NPU2: expected all or some of NPU, RealNPU"),
        (["--op", "sin"], "--op sin: expected all or some of add, mul, div, sqrt"),
        (["--range", "[1,3]"], r"--range [1,3]: expected all or some of [0.1,2.1], [0.1,2]"),
        (["--budget", "0"], "--budget: expected a share of the published steps"),
        (["--budget", "0.5"], "--budget: expected a share of the published steps"),
        (["--seeds", "x"], "--seeds: expected a number of seeds"),
    ],
)
def test_wrong_options_get_one_line(words, told, capsys):
    code, out, err = run(capsys, "simple", *words)
    assert code == 2
    assert not out
    assert told in err
    assert len(err.splitlines()) == 1


def test_interruption_keeps_rows(tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "train", interrupted)
    code, _, err = run(capsys, "single-module", "--op", "mul", "--range", "[1,2]", "--seeds", 1, "--out", tmp_path)
    assert code == 130
    assert "rows, kept; the same command goes on" in err
    assert len(rows_in(tmp_path / "single-module.csv").rows) == len(REFERENCES)


def test_each_experiment_is_a_command():
    own = {benchmark.name for benchmark in BENCHMARKS if benchmark.module == "arithmetic.command"}
    assert own == set(EXPERIMENTS) == set(MODELS)

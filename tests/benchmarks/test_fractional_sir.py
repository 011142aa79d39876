"""The fractional SIR grid: its solvers, its networks in one batch, its training, its scores and its command."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from neural_arith_bench.fractional_sir import scores
from neural_arith_bench.fractional_sir.fields import KINDS, Fields
from neural_arith_bench.fractional_sir.flow import Solver
from neural_arith_bench.fractional_sir.results import SirRow, table
from neural_arith_bench.fractional_sir.runs import Cell, Task, make, tasks
from neural_arith_bench.fractional_sir.training import Objective, minimise_each, train

from neural_arith.cli import main
from neural_arith.errors import OptionError
from neural_arith.layers import NAU, NPU, RealNPU

TIMES, DATA = scores.measurements()
SOLVERS = {"published": Solver.published(TIMES), "accurate": Solver.accurate(TIMES)}
SIZES = (6, 20, 9)


def _fields(kind, scale=1.0, width=20, sizes=SIZES):
    fields = Fields(kind, sizes, width)
    return fields, scale * fields.initial([(1, size) for size in sizes])


# --- solvers ---------------------------------------------------------------------------------------------


def test_the_true_equations_score_what_the_literature_sheet_says():
    published, accurate = (scores.references(protocol) for protocol in ("published", "accurate"))
    truth, constant = published
    assert truth.mse == pytest.approx(1.08, abs=0.005)
    assert truth.mse_accurate < 1e-12
    assert accurate[0].mse < 5e-7
    assert constant.mse == pytest.approx(float(DATA.numpy().var(0).mean()))


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_have_their_order_and_end_where_the_data_do(name):
    solver = SOLVERS[name]
    assert (solver.grid[0], solver.grid[-1]) == (TIMES[0], pytest.approx(TIMES[-1]))
    assert (np.diff(solver.grid) > 0).all()
    start = torch.tensor([[1.0, 2.0, 0.0]], dtype=torch.float64)
    rates = torch.tensor([1.0, 0.0, -0.5], dtype=torch.float64)
    straight = solver.trajectory(lambda x: rates.expand_as(x), start)[0]
    torch.testing.assert_close(straight, start + torch.tensor(TIMES)[:, None] * rates)
    decay = solver.trajectory(lambda x: -0.01 * x, start)[0, -1, 0].item()
    assert decay == pytest.approx(np.exp(-2), rel=1e-7 if name == "accurate" else 0.02)
    assert name == "accurate" or decay == pytest.approx(0.99**200)


def test_steps_of_one_need_whole_numbers():
    with pytest.raises(OptionError, match=r"to a whole number, got 0 to 1\.5"):
        Solver.published(np.array([0, 1.5]))


# --- networks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["npu", "real_npu"])
def test_the_units_are_those_of_the_layers_but_for_the_published_epsilon(kind):
    fields, p = _fields(kind, scale=3.0)
    x = torch.randn(3, 50, 3, dtype=torch.float64)
    found = fields(p)(x)
    for i, size in enumerate(SIZES):
        w = {name: value[i] for name, value in fields.unpack(p).items()}
        wr, gate = w["wr"][:size], w["gate"]
        real = kind == "real_npu"
        unit = RealNPU.from_weights(wr, gate=gate) if real else NPU.from_weights(wr, w["wi"][:size], gate)
        torch.testing.assert_close(found[i], NAU.from_weights(w["nau"][:, :size])(unit(x[i])), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_initial_parameters_are_the_published_ones(kind):
    fields, p = _fields(kind)
    assert p.shape == fields.live.shape
    assert not p[~fields.live].any()
    published = {"npu": (57, 183), "real_npu": (39, 123), "dense": (87, 563)}[kind]
    assert tuple(fields.live.sum(1)[:2].tolist()) == published
    w = fields.unpack(p)
    if kind == "dense":
        assert not torch.cat([w["b1"], w["b2"], w["b3"]], 1).any()
        assert 0.9 * (6 / 40) ** 0.5 < w["w2"][1].abs().max() < (6 / 40) ** 0.5
    else:
        assert (w["gate"] == 0.5).all()
        assert 0.16 * (6 / 23) ** 0.5 < w["wr"][1].abs().max() < 0.2 * (6 / 23) ** 0.5


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_member_in_a_batch_is_the_member_alone(kind, name):
    fields, p = _fields(kind)
    p[1] *= 1e3  # diverges
    loss, gradient = SOLVERS[name].loss_and_gradient(fields, p, DATA)
    assert not (loss[1] < 1e6)
    for i in (0, 2):
        alone = Fields(kind, (SIZES[i],), 20)
        own_loss, own_gradient = SOLVERS[name].loss_and_gradient(alone, p[i : i + 1], DATA)
        torch.testing.assert_close(own_loss[0], loss[i], rtol=1e-13, atol=0)
        torch.testing.assert_close(own_gradient[0], gradient[i], rtol=1e-10, atol=1e-13)
        narrow, q = _fields(kind, width=SIZES[i], sizes=(SIZES[i],))
        assert torch.equal(q[0], p[i][fields.live[i]])
        own_loss, own_gradient = SOLVERS[name].loss_and_gradient(narrow, q, DATA)
        torch.testing.assert_close(own_loss[0], loss[i], rtol=1e-9, atol=0)
        torch.testing.assert_close(own_gradient[0], gradient[i][fields.live[i]], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_the_steps_one_after_the_other(kind, name):
    fields, p = _fields(kind)
    solver = SOLVERS[name]
    q = p.clone().requires_grad_()
    field, x, states = fields(q), DATA[:1].expand(3, 1, 3), []
    for length in np.diff(solver.grid):
        states.append(x)
        x = solver.step(field, x, float(length))
    grid = torch.cat([*states, x], 1)
    assert kind == "dense" or (grid < 0).any()  # phases take part
    found = np.stack([[np.interp(TIMES, solver.grid, s) for s in member.T] for member in grid.detach().numpy()])
    loss, gradient = solver.loss_and_gradient(fields, p, DATA)
    np.testing.assert_allclose(loss, ((found - DATA.numpy().T) ** 2).mean((1, 2)), rtol=1e-12)
    right = np.clip(np.searchsorted(solver.grid, TIMES - 1e-9), 1, None)
    share = torch.from_numpy((TIMES - solver.grid[right - 1]) / np.diff(solver.grid)[right - 1])[:, None]
    at = (1 - share) * grid[:, right - 1] + share * grid[:, right]
    (by_tape,) = torch.autograd.grad((at - DATA).square().mean((1, 2)).sum(), q)
    torch.testing.assert_close(gradient, by_tape, rtol=1e-8, atol=1e-9)


# --- training --------------------------------------------------------------------------------------------


def test_each_member_searches_as_it_would_alone():
    from scipy.optimize import minimize, rosen, rosen_der

    starts = np.array([[-1.2, 1.0], [3.0, -2.0], [np.nan, 0.0], [1.0, 1.0]])
    sizes = []

    def evaluate(points, members):
        sizes.append(len(members))
        values = np.array([rosen(x) if np.isfinite(x).all() else np.inf for x in points])
        return values, np.stack([rosen_der(x) for x in points])

    best, lowest = minimise_each(evaluate, starts, steps=12)
    options = {"maxiter": 12, "maxcor": 10, "ftol": 0, "gtol": 1e-8}
    for i in (0, 1, 3):
        alone = minimize(rosen, starts[i], jac=rosen_der, method="L-BFGS-B", options=options)
        assert lowest[i] == pytest.approx(alone.fun, rel=1e-12, abs=1e-30)
        np.testing.assert_allclose(best[i], alone.x, rtol=1e-12)
    assert lowest[2] == np.inf
    assert np.isnan(best[2, 0])
    assert sizes[0] == 4
    assert len(sizes) < 25  # of all rounds, not of all members


def test_an_error_in_a_batch_ends_all_searches():
    def evaluate(points, members):
        raise ZeroDivisionError("by zero")

    with pytest.raises(ZeroDivisionError):
        minimise_each(evaluate, np.zeros((5, 2)), steps=3)


def test_training_lowers_every_loss_and_leaves_padding_and_the_diverged_alone():
    fields, p = _fields("real_npu")
    p[1] *= 1e3
    objective = Objective(fields, SOLVERS["published"], DATA, torch.tensor([0.0, 0.1, 1.0], dtype=torch.float64))
    before, _ = objective(p)
    best, seconds = train(objective, p, budget=0.002)
    after, gradient = objective(best)
    assert before[1] == after[1] == torch.inf
    assert torch.equal(best[1], p[1])
    assert (after[[0, 2]] < 0.8 * before[[0, 2]]).all()
    assert not best[~fields.live].any()
    assert not gradient[~fields.live].any()
    assert seconds > 0


def test_the_penalty_is_beta_times_the_sum_of_all_magnitudes():
    fields, p = _fields("npu")
    plain, slope = Objective(fields, SOLVERS["published"], DATA, torch.zeros(3, dtype=torch.float64))(p)
    beta = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    value, gradient = Objective(fields, SOLVERS["published"], DATA, beta)(p)
    torch.testing.assert_close(value - plain, beta * p.abs().sum(1), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(gradient - slope, beta[:, None] * p.sign(), atol=1e-6, rtol=0)
    some, _ = Objective(fields, SOLVERS["published"], DATA, beta)(p[1:], np.array([1, 2]))
    torch.testing.assert_close(some, value[1:])


# --- scores ----------------------------------------------------------------------------------------------


def _true_weights(coefficient=0.06, small=0.0):
    fields = Fields("real_npu", (6,), 20)
    wr = torch.full((6, 3), small, dtype=torch.float64)
    wr[0, :2], wr[1, 1], wr[2, 2] = 0.5, 1, 1
    nau = torch.zeros(3, 6, dtype=torch.float64)
    nau[:, :3] = torch.tensor([[-coefficient, 0, 0.01], [coefficient, -0.05, 0], [0, 0.05, -0.01]])
    return fields, fields.pack([{"wr": wr, "gate": torch.ones(3, dtype=torch.float64), "nau": nau}])


@pytest.mark.parametrize(("coefficient", "small", "exact"), [(0.06, 0, True), (0.06, 1e-4, True), (0.0625, 0, False)])
def test_a_formula_is_exact_with_the_right_constants_only(coefficient, small, exact):
    fields, p = _true_weights(coefficient, small)
    assert scores.exact(fields, p) is exact
    assert scores.numbers(p) == [4 + 3 + 6]
    assert (scores.accurate_mse(fields, p) < 1e-10) is (coefficient == 0.06 and small == 0)


def test_what_does_not_end_scores_infinity():
    fields, p = _fields("npu")
    p[1] *= 1e3
    assert scores.accurate_mse(fields, p[1:2]) == np.inf
    assert not scores.exact(fields, p[1:2])
    assert not scores.exact(*_fields("dense"))


# --- the command -----------------------------------------------------------------------------------------


def test_only_what_is_missing_is_done_and_dense_layers_have_no_formula():
    first = Cell(6, 0.0, 0)
    done = {("ours", "npu", first)}
    found = tasks(["published", "ours"], ["npu", "dense"], [0], lambda *key: key in done, budget=0.5, adam=True)
    assert [(task.protocol, task.unit, len(task.cells)) for task in found[:2]] == [
        ("published", "npu", 20),
        ("published", "dense", 20),
    ]
    assert len(found) == 2 + 19
    assert {task.unit for task in found[2:]} == {"npu"}
    assert all(task.cells != (first,) for task in found)
    seeds = [Cell(h, beta, run).seed for h in (6, 9) for beta in (0.0, 0.01) for run in range(5)]
    assert len(set(seeds)) == 20


def test_rows_of_a_batch_are_rows_of_its_cells():
    cells = (Cell(6, 0.0, 3), Cell(20, 1.0, 0))
    both = make(Task("published", "dense", cells, budget=1e-4))
    (last,) = make(Task("published", "dense", cells[1:], budget=1e-4))
    assert [(row.hidden, row.beta, row.run) for row in both] == list(cells)
    assert (both[1].mse, both[1].numbers, both[1].exact) == (last.mse, last.numbers, False)


def test_the_table_shows_the_paper_beside_the_runs_that_repeat_it():
    run = SirRow("published", "npu", 6, 0.0, 0, 0.04, 0.3, 50, False, "", 2.0, "x")
    other = SirRow("published", "npu", 6, 0.0, 1, np.inf, np.inf, 57, False, "", 2.0, "x")
    ours = SirRow("ours", "npu", 6, 0.0, 0, 1e-16, 1e-16, 13, True, "", 20.0, "x")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table([run, other, ours]).splitlines()]
    assert len({len(line) for line in lines}) == 1
    assert lines[2][:5] == ["paper", "NPU", "100", "0.0153 (136)", "0.11"]
    assert lines[3][:9] == ["published", "NPU", "2", "0.04 (50)", "inf", "1", "1", "1", "1"]
    assert lines[4][-2:] == ["1", "20.0"]


def test_bench_writes_rows_and_a_picture_and_goes_on_where_it_stopped(tmp_path, capsys):
    command = ["bench", "fractional-sir", "--protocol", "published", "--budget", "0.01%", "--out", str(tmp_path)]
    assert main([*command, "--model", "dense", "--seeds", "1", "--quiet"]) == 0
    path = tmp_path / "fractional_sir_budget_0.01pct.csv"
    with path.open() as lines:
        before = list(csv.DictReader(lines))
    assert len(before) == 2 + 20
    assert "| paper | Dense | 100 |" in capsys.readouterr().out
    assert path.with_suffix(".svg").stat().st_size > 1000
    assert str(tmp_path) not in path.with_suffix(".json").read_text()

    assert main([*command, "--model", "dense", "--seeds", "0,1"]) == 0
    assert "20/20" in capsys.readouterr().err
    with path.open() as lines:
        after = list(csv.DictReader(lines))
    assert all(row in after for row in before)
    assert [row["run"] for row in after if row not in before] == ["1"] * 20


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--model", "npu,nmu"], "--model nmu: expected all or some of npu, real_npu, dense"),
        (["--protocol", "best"], "--protocol best: expected all or some of published, accurate, ours"),
        (["--protocol", "ours", "--model", "dense"], "dense layers have none; use --model npu"),
        (["--budget", "0"], "expected a share of the published steps"),
        (["--seeds", "0"], "expected from 1 to 10000 seeds"),
        (["--optimiser", "sgd"], "invalid choice: 'sgd'"),
        (["--jobs", "0"], "expected a whole number from 1"),
    ],
)
def test_bad_options_end_with_one_line(options, says, capsys):
    assert main(["bench", "fractional-sir", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert says in err


def test_a_damaged_result_file_is_left_alone(tmp_path, capsys):
    path = tmp_path / "fractional_sir.csv"
    path.write_text("protocol,unit\nours,npu\n")
    assert main(["bench", "fractional-sir", "--out", str(tmp_path)]) == 2
    assert "does not hold rows of this benchmark" in capsys.readouterr().err
    assert path.read_text() == "protocol,unit\nours,npu\n"

"""The tasks of the suites, the processes that make them, and the command around them."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
from joblib.externals.loky.process_executor import BrokenProcessPool
from neural_arith_bench.runner import Worker
from neural_arith_bench.suites import methods, tasks
from neural_arith_bench.suites.methods import METHODS, Given
from neural_arith_bench.suites.tables import summary, table
from neural_arith_bench.suites.tasks import Task, make_row

from neural_arith import systems
from neural_arith.cli import main


def _task(method: str, slug: str, noise: float = 0.0, drop: float = 0.0) -> Task:
    return Task(method, slug, 0, noise, drop, None, 60.0, 1)


# --- rows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", ["logistic_growth", "driven_pendulum_drag", "cdima_reaction", "fractional_sir"])
def test_the_true_structure_fitted_to_clean_data_is_exact(slug):
    task = _task("oracle", slug)
    row, found = tasks.attempt(task)
    assert found is not None
    assert row["status"] == "ok"
    assert min(row["r2_rec"], row["r2_gen"]) > 0.9999
    assert row["rhs_error"] < 1e-3
    assert tasks.judge(task, found) == (True, True)


def test_what_never_changes_is_no_prediction():
    row, found = tasks.attempt(_task("constant", "harmonic_oscillator", 0.05))
    assert found is not None
    assert row["rhs_error"] == 1
    # x = A cos(wt + p) about its mean against its first value: never better than the mean
    assert max(row["r2_rec"], row["r2_gen"]) <= 0
    assert tasks.judge(_task("constant", "harmonic_oscillator"), found) == (False, False)


def test_all_methods_get_the_same_corrupted_samples():
    row, _ = tasks.attempt(_task("constant", "logistic_growth", 0.05, 0.5))
    assert row["samples"] == 75
    # the noise of the collection's number 3 with seed 0: the generator of these five numbers
    system = systems.get("logistic_growth")
    rng = np.random.default_rng([0, 3, 0, 50_000, 500_000])
    clean = system.sample().runs[0]
    noisy = clean.x * (1 + 0.05 * rng.standard_normal(clean.x.shape))
    kept = np.sort(rng.permutation(150)[:75])
    drawn = system.sample(noise=0.05, drop=0.5, seed=0).runs[0]
    np.testing.assert_array_equal(drawn.t, clean.t[kept])
    np.testing.assert_allclose(drawn.x, noisy[kept])


def test_a_method_that_raises_is_a_failed_row(monkeypatch):
    def fit(data, given):
        raise ZeroDivisionError("by zero")

    monkeypatch.setitem(METHODS, "broken", methods.Method("raises", fit))
    row, found = tasks.attempt(_task("broken", "logistic_growth"))
    assert (found, row["status"], row["r2_rec"]) == (None, "error", None)
    assert "ZeroDivisionError: by zero" in row["error"]


@pytest.mark.parametrize(("name", "module"), [("pysindy", "pysindy"), ("operon", "pyoperon")])
def test_other_packages_find_a_linear_law(name, module):
    pytest.importorskip(module)
    system = systems.get("rc_charging")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        found = METHODS[name].fit(system.sample(), Given(system.equations, 60.0, 1))
    f, true = found.to_numpy(), system.equations.to_numpy()
    x = np.linspace(3, 10, 8)[:, None]
    np.testing.assert_allclose(f(0, x), true(0, x), rtol=0.01, atol=1e-3)


def test_summary_counts_what_the_rows_say():
    good = _task("oracle", "logistic_growth").row(
        r2_rec=0.95, r2_gen=0.9, rhs_error=0.05, structure=True, exact=False, seconds=2.0
    )
    bad = _task("oracle", "falling_body").row(status="timeout", seconds=60.0)
    found = summary([good, bad])["oracle"]
    assert (found["rows"], found["rec"], found["gen"], found["structure"], found["exact"]) == (2, 50.0, 0.0, 50.0, 0.0)
    assert (found["rhs_10"], found["median_seconds"], found["max_seconds"], found["failed"]) == (50.0, 31.0, 60.0, 1)
    lines = table([good, bad]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert len({len(line) for line in lines}) == 1


# --- processes -------------------------------------------------------------------------------------------


def test_a_process_that_hangs_or_dies_is_replaced():
    worker = Worker()
    try:
        with pytest.raises(TimeoutError):
            worker.call(0.2, signal.pause)
        with pytest.raises(BrokenProcessPool):
            worker.call(60.0, os._exit, 3)
        assert worker.call(60.0, divmod, 7, 2) == (3, 1)
        row = make_row(worker, _task("constant", "logistic_growth"))
        assert (row["status"], row["exact"]) == ("ok", False)
    finally:
        worker.close()
    with pytest.raises(BrokenProcessPool):
        worker.call(60.0, divmod, 7, 2)


def test_a_process_ended_at_once_is_gone():
    others = set(multiprocessing.active_children())
    for _ in range(3):  # an error in the thread that looks after it fails the test, too
        worker = Worker()
        with pytest.raises(TimeoutError):
            worker.call(0.0, signal.pause)
        worker.close()
        assert set(multiprocessing.active_children()) <= others


# --- the command -----------------------------------------------------------------------------------------


def test_bench_prints_a_table_and_goes_on_where_it_stopped(tmp_path, capsys):
    command = ["bench", "odebench", "--noise", "0.01", "--out", str(tmp_path), "--quiet"]
    assert main([*command, "--method", "constant", "--systems", "2"]) == 0
    path = tmp_path / "odebench_noise_0.01_drop_0.json"
    content = json.loads(path.read_text())
    content["rows"][0]["equations"] = {"population": "kept"}
    path.write_text(json.dumps(content))
    capsys.readouterr()

    assert main([*command, "--method", "constant,oracle", "--method", "oracle", "--systems", "2,logistic_growth"]) == 0
    out = capsys.readouterr().out
    content = json.loads(path.read_text())
    rows = content["rows"]
    assert [(row["method"], row["id"]) for row in rows] == [
        ("constant", 2),
        ("constant", 3),
        ("oracle", 2),
        ("oracle", 3),
    ]
    assert rows[0]["equations"] == {"population": "kept"}
    assert content["summary"]["oracle"]["exact"] == 100
    assert content["made_by"][-1]["command"].startswith(
        "neural-arith bench odebench --method constant,oracle --noise 0.01"
    )
    assert str(tmp_path) not in content["made_by"][-1]["command"]
    printed = [line.split("|")[1:5] for line in out.splitlines() if line.startswith("| oracle")]
    assert [[cell.strip() for cell in line] for line in printed] == [["oracle", "2", "100.0", "100.0"]]


def test_bench_counts_what_ran_out_of_time_as_failed(tmp_path, capsys):
    options = ["--method", "oracle", "--systems", "fractional_sir", "--time-limit", "0.001", "--points", "50"]
    assert main(["bench", "powerlaw", *options, "--out", str(tmp_path), "--quiet"]) == 0
    assert "oracle" in capsys.readouterr().out
    content = json.loads((tmp_path / "powerlaw_noise_0_drop_0_points_50.json").read_text())
    assert content["rows"][0]["status"] == "timeout"
    assert (content["summary"]["oracle"]["rec"], content["summary"]["oracle"]["failed"]) == (0, 1)


def test_interrupted_bench_keeps_its_rows(tmp_path):
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from neural_arith.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "bench", "odebench", "--method", "oracle", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    seen = b""
    while not re.search(rb" [1-9]\d*/63", seen) and (byte := process.stderr.read(1)):
        seen += byte
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err, err.decode()
    rows = json.loads((tmp_path / "odebench_noise_0_drop_0.json").read_text())["rows"]
    assert 1 <= len(rows) < 63
    assert f"interrupted after {len(rows)} of 63 rows".encode() in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--method", "magic"], "there is no method 'magic'; there are neural_arith, pysindy"),
        (["--systems", "1,64"], "odebench has no system '64'; give numbers from 1 to 63"),
        (["--systems", "fractional_sir"], "odebench has no system 'fractional_sir'"),
        (["--noise", "much"], "expected a finite number, got 'much'"),
        (["--noise", "-0.1"], "expected numbers from 0"),
        (["--drop", "1"], "expected numbers from 0 to below 1"),
        (["--seeds", "0"], "expected from 1 to 10000 seeds"),
        (["--seeds", "a"], "expected a number of seeds"),
        (["--jobs", "0"], "expected a whole number from 1"),
        (["--points", "3"], "expected a whole number from 10"),
        (["--time-limit", "0"], "expected a number above zero"),
    ],
)
def test_bad_options_end_with_one_line(options, says, capsys):
    assert main(["bench", "odebench", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("neural-arith: error: ")
    assert says in err


def test_a_missing_package_is_named_with_its_extra(monkeypatch, capsys):
    absent = methods.Method("absent", METHODS["constant"].fit, ("no_package_of_this_name",))
    monkeypatch.setitem(METHODS, "absent", absent)
    assert main(["bench", "odebench", "--method", "absent"]) == 2
    err = capsys.readouterr().err
    assert 'method absent needs no_package_of_this_name: pip install "neural-arith-bench[peers]"' in err


def test_a_damaged_result_file_is_left_alone(tmp_path, capsys):
    path = tmp_path / "odebench_noise_0_drop_0.json"
    path.write_text('{"rows": [{"method"')
    assert main(["bench", "odebench", "--out", str(tmp_path)]) == 2
    assert "does not hold rows of this benchmark; move it away" in capsys.readouterr().err
    assert path.read_text() == '{"rows": [{"method"'

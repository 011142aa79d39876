"""Every experiment is a command: what it prints is what its file holds, and a second time nothing is made again."""

from __future__ import annotations

import json
import shlex

import pytest
from neural_arith_bench.laws import recovery, scales, sensitivity
from neural_arith_bench.registry import BENCHMARKS
from neural_arith_bench.store import made_by

from neural_arith import systems
from neural_arith.cli import build_parser, main
from neural_arith.discovery.effort import Effort
from neural_arith.equations import EquationSystem
from neural_arith.terms.prior import Prior

SMALL = {
    "formula-search --passes 1 --jobs 1": "formula_search",
    "candidates --passes 1 --jobs 1": "candidates",
    "budgets --budgets 1 --seeds 3, --shapes '\"1 state, clean\"'": "budgets",
    "recovery rc_charging --noise 0.01 --runs 2 --seeds 1": "recovery_rc_charging_noise_0.01_runs_2",
    "crnn --time-budget 2 --seeds 1": "crnn",
}


@pytest.mark.parametrize("command", SMALL)
def test_the_smallest_setting_of_each(command, tmp_path, capsys):
    path = tmp_path / f"{SMALL[command]}.json"
    words = ["bench", *shlex.split(command), "--out", str(tmp_path), "--quiet"]
    assert main(words) == 0
    printed = capsys.readouterr().out.splitlines()
    content, whole = json.loads(path.read_text(encoding="utf-8")), path.read_bytes()
    assert printed == [f"{key}: {value}" for key, value in content["summary"].items()]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == printed
    assert path.read_bytes() == whole
    if command.startswith("formula-search"):
        assert all(0 < row["best_seconds"] <= row["median_seconds"] for row in content["rows"])
        assert {row["points"] for row in content["rows"] if row["what"] == "search"} == {156, 624}
    (made,) = made_by(path)
    # the command that is kept is one that makes the same rows again
    again, asked = (build_parser().parse_args(line) for line in (shlex.split(made["command"])[1:], words))
    assert {**vars(again), "out": asked.out, "quiet": True} == vars(asked)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["recovery", "nowhere"], "nowhere"),
        (["recovery", "fractional_sir", "--runs", "9"], "expected a whole number from 1 to 6"),
        (["scales", "--problems", "tea"], "--problems tea: expected all or some of enzyme, logistic"),
        (["sensitivity", "--entries", "Prior.tea"], "--entries Prior.tea: expected all or some of Prior.naming"),
        (["budgets", "--shapes", "square"], "--shapes square: expected all or some of 1 state, clean"),
        (["budgets", "--budgets", "0"], "expected a number above zero"),
        (["candidates", "--passes", "0"], "expected a whole number from 1"),
    ],
)
def test_wrong_options_end_with_one_line(words, says, capsys):
    assert main(["bench", *words]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert says in err
    assert err.count("\n") == 1


def test_all_have_the_same_ways():
    for benchmark in BENCHMARKS:
        target = ["lynx_hare"] if benchmark.name == "recovery" else []
        options = build_parser().parse_args(["bench", benchmark.name, *target, "--out", "there", "--quiet"])
        assert (str(options.out), options.quiet) == ("there", True)
        assert benchmark.help[0].islower() or benchmark.help[0].isdigit()


def test_equations_found_in_other_units_are_written_back():
    law = {"S": "-2.3*S/(0.8 + S)"}
    units = scales.Units("thousandths, minutes", (1e3,), 60.0)
    found = EquationSystem({"S": "-2.3*1000/60*S/(800 + S)"})
    assert scales.in_first_units(found, units).same_as(EquationSystem(law), rtol=1e-9)


def test_one_entry_is_changed_at_a_time():
    (halved,) = sensitivity.changed("Prior.square", 0.5).values()
    assert halved == Prior(square=Prior().square / 2)
    (doubled,) = sensitivity.changed("Effort.climb_width", 2.0).values()
    assert doubled == Effort(climb_width=2 * Effort().climb_width)
    (least,) = sensitivity.changed("Effort.again_rounds", 0.1).values()
    assert least == Effort(again_rounds=1)
    assert sensitivity.changed(sensitivity.AS_IT_IS, 1.0) == {}


def test_starts_of_the_epidemic_are_the_first_two_and_mixtures_of_them():
    system = systems.get("fractional_sir")
    starts = recovery.starts_for(system, 6)
    first, second = starts[:2]
    assert (starts[2] == first * 1.5 + second * 0.1).all()
    assert len({tuple(start) for start in starts}) == 6

"""The command that times the search for units prints what its result file holds."""

from __future__ import annotations

import json

from neural_arith_bench.formula_search import main


def test_one_pass(tmp_path, capsys):
    assert main(["--passes", "1", "--jobs", "1", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "formula_search.json").read_text(encoding="utf-8"))
    printed = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    assert {key: float(value) for key, value in printed.items()} == result["summary"]
    assert result["made_by"]["command"].endswith("formula_search --passes 1 --jobs 1")
    for row in result["rows"]:
        assert 0 < row["best_seconds"] <= row["median_seconds"]
    assert {row["points"] for row in result["rows"] if row["what"] == "search"} == {156, 624}

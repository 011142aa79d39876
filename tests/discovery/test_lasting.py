"""Long searches: any number of workers of any kind give one answer, and a search goes on where it stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from simulated import LOTKA, logistic, noisy, predator_prey

from neural_arith.data import Trajectories
from neural_arith.discovery import Discovery, Knowledge, Options, discover
from neural_arith.errors import OptionError

T = np.linspace(0, 10, 40)
YEAST = Trajectories.from_arrays(T, noisy(logistic(T), 0.05, 3), names=("yeast",))
PREY = predator_prey(150, 0.0, 0)


def find(data: Trajectories, progress=lambda _: None, **options) -> Discovery:
    return discover(data, progress=progress, **{"restarts": 8, "max_units": 1, "n_jobs": 1, **options})


def answer(found: Discovery) -> list[object]:
    """All that was found, to the last bit."""
    return [
        found.status,
        str(found.equations),
        found.messages,
        found.initial_states.tolist(),
        # as text, since an error that the data do not fix is nan, which equals nothing
        [repr((str(c.equations), c.constants, c.standard_errors, c.score, c.selected)) for c in found.candidates],
    ]


def stop_at(cue: str):
    """Ctrl-C at the first line of progress with a word in it."""

    def progress(line: str) -> None:
        if cue in line:
            raise KeyboardInterrupt

    return progress


def kept(folder: Path) -> list[Path]:
    return sorted(folder.rglob("output.pkl"))


# ------------------------------------------------------------------------------------------------------ one answer
@pytest.fixture(scope="module")
def alone() -> list[object]:
    return answer(find(PREY))


def test_threads_give_the_same_answer(alone):
    assert find(PREY).equations.same_as(LOTKA, rtol=1e-4)
    assert answer(find(PREY, n_jobs=2)) == alone


def test_processes_give_the_same_answer(alone):
    with joblib.parallel_config(backend="loky"):
        assert answer(find(PREY, n_jobs=2)) == alone


def test_a_dask_cluster_gives_the_same_answer(alone):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client, joblib.parallel_config(backend="dask"):
        assert answer(find(PREY, n_jobs=-1)) == alone
        done = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter)
    assert done > 0  # the cluster was asked at all


def test_the_number_of_workers_may_be_left_to_joblib(alone):
    with joblib.parallel_config(backend="threading", n_jobs=2):
        assert answer(find(PREY, n_jobs=None)) == alone


# -------------------------------------------------------------------------------------------------------- going on
@pytest.fixture(scope="module")
def through() -> list[object]:
    return answer(find(YEAST))


@pytest.fixture(scope="module")
def whole(through, tmp_path_factory) -> Path:
    """The folder of a search that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    assert answer(find(YEAST, checkpoint=folder)) == through
    return folder


@pytest.mark.parametrize("cue", ["regression", "looking beyond", "best score", "polishing"])
def test_a_stopped_search_goes_on_to_the_same_answer(cue, through, whole, tmp_path):
    half = tmp_path / "half"
    if cue == "regression":  # nothing to return yet
        with pytest.raises(KeyboardInterrupt):
            find(YEAST, stop_at(cue), checkpoint=half)
    else:
        assert find(YEAST, stop_at(cue), checkpoint=half).status == "interrupted"
    assert 0 < len(kept(half)) < len(kept(whole))
    assert answer(find(YEAST, checkpoint=half, n_jobs=2)) == through
    assert [p.relative_to(half) for p in kept(half)] == [p.relative_to(whole) for p in kept(whole)]


def test_what_is_known_holds_on_the_way_as_well(tmp_path):
    t = np.linspace(0, 12, 30)
    ill = 1 / (1 + 49 * np.exp(-0.8 * t))
    data = Trajectories.from_arrays(t, noisy(np.stack([1 - ill, ill], axis=1), 0.02, 0), names=("S", "I"))
    known = Knowledge(conserved=["S + I"], positive=["S", "I"], kinds=["fractions"], max_terms=2)
    alone = answer(find(data, knowledge=known))
    half = find(data, stop_at("looking beyond"), knowledge=known, checkpoint=tmp_path)
    assert half.status == "interrupted"
    whole = find(data, knowledge=known, checkpoint=tmp_path, n_jobs=2)
    for found in (half, whole):
        for candidate in found.candidates:
            change = candidate.equations.to_numpy()(0.0, np.array([0.7, 0.2])).sum()
            assert change == pytest.approx(0.0, abs=1e-9)
    assert answer(whole) == alone


def test_one_folder_serves_several_searches(through, tmp_path):
    other = Trajectories.from_arrays(T, noisy(logistic(T), 0.05, 4), names=("yeast",))
    alone = answer(find(other))
    assert answer(find(YEAST, checkpoint=tmp_path)) == through
    assert answer(find(other, checkpoint=tmp_path)) == alone
    assert answer(find(YEAST, checkpoint=tmp_path, random_state=1)) == answer(find(YEAST, random_state=1))
    for path in kept(tmp_path)[::3]:
        path.write_bytes(b"damaged")
    assert answer(find(YEAST, checkpoint=tmp_path)) == through


def test_another_process_finds_everything_again(tmp_path):
    """Whatever text hashes to there."""
    series = tmp_path / "yeast.csv"
    rows = [f"{t!r},{x!r}" for t, x in zip(T.tolist(), YEAST.runs[0].x[:, 0].tolist(), strict=True)]
    series.write_text("\n".join(["t,yeast", *rows]))
    folder, outputs, counts = tmp_path / "work", [], []
    for seed in ("1", "2"):
        command = [
            sys.executable,
            "-m",
            "neural_arith",
            "discover",
            str(series),
            "--quiet",
            "--checkpoint",
            str(folder),
        ]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        outputs.append(done.stdout)
        counts.append(len(kept(folder)))
    assert outputs[0] == outputs[1]
    assert 0 < counts[0] == counts[1]


def test_a_checkpoint_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="checkpoint must be a folder that can be written to, got"):
        find(YEAST, checkpoint=tmp_path / "file")
    with pytest.raises(OptionError, match="checkpoint must be the path of a folder or None, got 3"):
        Options(checkpoint=3)  # pyright: ignore[reportArgumentType]

"""Nothing is lost when a process is killed, starved or cut off: five moments of the fifty that the script tries."""

from __future__ import annotations

import os

import pytest
from lasting.kill_anywhere import run


@pytest.mark.skipif(os.name != "posix", reason="needs signals and limits of POSIX")
def test_five_random_moments(capsys):
    run(5, seed=1)
    assert "5 moments, nothing lost" in capsys.readouterr().out

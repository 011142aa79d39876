"""The command ``neural-arith`` as a process of its own, also as ``python -m neural_arith``."""

from __future__ import annotations

import sys

from neural_arith.process import hold_descriptors, leave_at_once


def main() -> int:
    """Run the command line with the arguments of the process; Ctrl-C is obeyed from here on, imports included.

    Returns:
        The exit code.
    """
    leave_at_once()
    hold_descriptors()
    from neural_arith.cli import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())

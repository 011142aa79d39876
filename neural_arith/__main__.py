"""``python -m neural_arith`` is the command ``neural-arith``."""

import sys

from neural_arith.cli import main

if __name__ == "__main__":
    sys.exit(main())

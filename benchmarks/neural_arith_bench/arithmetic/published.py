"""The published numbers, to print beside ours.

Each table has tasks down and models across, with ``value spread`` in each cell, ``-`` for what was not published.
Values that were read off figures or recomputed from committed result files say so in their source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["simple", "large_scale", "static", "single_module", "inalu", "sequential_digits"]


@dataclass(frozen=True)
class Published:
    """One published number.

    Attributes:
        family: of the task.
        task: ``Task.name``, or what stands for several, as ``div-10`` for all ranges with ten inputs.
        model: in the words of the source.
        metric: what the number is.
        value: the number.
        spread: its uncertainty as the source defines it, None where it gives none.
        source: paper or repository, and how the number came about.
    """

    family: Family
    task: str
    model: str
    metric: str
    value: float
    spread: float | None
    source: str


_NPU = "Heim, Pevny, Smidl, NeurIPS 2020, arXiv:2006.01681"
_MADSEN = "Madsen, Johansen, ICLR 2020, arXiv:2001.05016"
_PRIMER = "github.com/bmistry4/nalm-benchmark, notes/MCFC_findings.pdf, read off the figure; 25 seeds"
_DIVISION = "Mistry, Farrahi, Hare, arXiv:2110.05177; 25 seeds, nine ranges, ten inputs"
_INALU = "github.com/daschloer/inalu, recomputed from its result files: final error below 1e-5; 70 runs"

_TABLES: tuple[tuple[Family, str, str, str], ...] = (
    (
        "simple",
        "extrapolation mean absolute error",
        f"{_NPU}; mean of 20 runs and its standard error",
        """
        -      NPU         RealNPU     NMU           NALU        iNALU       Dense
        add    0.20 0.11   0.08 0.021  0.20 0.18     2.69 0.22   2.18 0.13   2.103 0.04
        mul    0.37 0.23   0.066 0.026 0.005 0.004   4.55 0.20   3.453 0.065 3.546 0.035
        div    0.23 0.13   0.085 0.038 11.399 0.035  3.33 0.18   2.54 0.26   14.16 0.23
        sqrt   0.031 0.025 0.004 0.001 0.16 0.002    0.034 0.006 0.049 0.011 0.084 0.007
        """,
    ),
    (
        "large_scale",
        "extrapolation mean squared error",
        f"{_NPU} (June 2020); median of the ten best runs and its absolute deviation, on the ranges of the code",
        """
        -          NPU           RealNPU       NALU      NMU             NaiveNPU
        add        0.092 0.031   0.063 0.014   740 330   0.00602 0.00019 161.65 0.11
        mul        4.28 0.9      3.09 0.74     2.9e83 -  1.7 1.4         3750 870
        reciprocal 1.0e-7 1e-7   1.4e-6 4e-7   530 200   1.622 0.081     5.4e17 -
        sqrt       0.054 0.0078  0.017 0.011   7300 7200 10.96 0.89      9.3e8 -
        """,
    ),
    (
        "large_scale",
        "training mean squared error",
        f"{_NPU} (June 2020); median of the ten best runs",
        """
        -          NPU      RealNPU  NALU     NMU       NaiveNPU
        add        0.017 -  0.0023 - 0.0045 - 0.00098 - 41.6 -
        mul        0.32 -   0.2 -    0.126 -  0.109 -   86 -
        reciprocal 1.3e-6 - 1.3e-6 - 3.3e-6 - 1.2e-4 -  6.5e-3 -
        sqrt       0.0106 - 0.0093 - 0.0072 - 0.038 -   9.3e24 -
        """,
    ),
    (
        "static",
        "success rate",
        f"{_MADSEN}; 100 seeds",
        """
        -      NAU    NMU    NAC+   NAC-mul NAC-sigma NAC-nmu NALU   Linear ReLU
        add    1.00 - 0 -    1.00 - 0 -     0 -       0 -     0.14 - 1.00 - 0.62 -
        sub    1.00 - 0.56 - 1.00 - - -     - -       - -     0.14 - 0.07 - - -
        mul    0 -    0.98 - 0 -    0.31 -  1.00 -    0.93 -  0 -    0 -    0 -
        div    0 -    0 -    0 -    0 -     0 -       0 -     0 -    0 -    0 -
        square - -    1.00 - - -    0.77 -  1.00 -    1.00 -  - -    - -    - -
        sqrt   0 -    0 -    0 -    0.07 -  0 -       0.03 -  0.02 - 0 -    0 -
        """,
    ),
    (
        "static",
        "success rate",
        f"{_MADSEN}; read off the figures; 50 seeds",
        """
        -               NMU    NAC-sigma NAC-nmu NAC-mul NALU
        mul-[-2,-1]     1.00 - 1.00 -    0.92 -  0.26 -  0 -
        mul-[-2,2]      0.78 - 0 -       0 -     0 -     0 -
        mul-[0,1]       1.00 - 1.00 -    1.00 -  0.64 -  0.02 -
        mul-[0.1,0.2]   0.84 - 1.00 -    0.58 -  0.08 -  0 -
        mul-[1.1,1.2]   0 -    0 -       0 -     0 -     0 -
        mul-[10,20]     1.00 - 1.00 -    0.54 -  0.42 -  0.02 -
        mul-hidden=3    0.88 - 0 -       0.55 -  0.22 -  0 -
        mul-hidden=4    0.92 - 0 -       0.31 -  0.10 -  0 -
        mul-hidden=5    0.97 - 0 -       0.06 -  0 -     0 -
        mul-hidden=6    0.72 - 0 -       0 -     0 -     0 -
        mul-hidden=7    0.77 - 0 -       0 -     0 -     0 -
        mul-hidden=8    0.74 - 0 -       0 -     0 -     0 -
        mul-hidden=9    0.59 - 0 -       0 -     0 -     0 -
        mul-hidden=10   0.63 - 0 -       0 -     0 -     0 -
        """,
    ),
    (
        "static",
        "median step of the solution",
        f"{_MADSEN}; of the runs that were solved",
        """
        -      NAU     NMU     NAC+    NAC-mul NAC-sigma NAC-nmu Linear
        add    1.8e4 - - -     2.5e5 - - -     - -       - -     6.1e4 -
        sub    5.0e3 - - -     9.0e3 - - -     - -       - -     - -
        mul    - -     1.4e6 - - -     2.8e6 - 2.5e6 -   1.8e6 - - -
        square - -     1.2e6 - - -     - -     - -       - -     - -
        """,
    ),
    (
        "static",
        "sparsity error as published",  # means are half of what they are called, see `intervals.beta`
        f"{_MADSEN}; of the runs that were solved",
        """
        -      NAU      NMU      NAC+   NAC-mul  NAC-sigma NAC-nmu  NALU  Linear
        add    3.2e-5 - - -      0.23 - - -      - -       - -      - -   0.25 -
        sub    0.066 -  - -      0.23 - - -      - -       - -      - -   - -
        mul    - -      4.2e-7 - - -    5.8e-4 - 4.6e-5 -  9.5e-7 - - -   - -
        square - -      3.7e-5 - - -    - -      - -       - -      - -   - -
        sqrt   - -      - -      - -    0.24 -   - -       0.17 -   0.5 - - -
        """,
    ),
    (
        "single_module",
        "success rate",
        _PRIMER,
        """
        -                  NMU    SignMulMCFC
        mul-[-20,-10]-2    1.00 - 1.00 -
        mul-[-2,-1]-2      0.80 - 1.00 -
        mul-[-1.2,-1.1]-2  0.68 - 1.00 -
        mul-[-0.2,-0.1]-2  1.00 - 1.00 -
        mul-[-2,2]-2       1.00 - 1.00 -
        mul-[0.1,0.2]-2    1.00 - 1.00 -
        mul-[1,2]-2        1.00 - 1.00 -
        mul-[1.1,1.2]-2    1.00 - 1.00 -
        mul-[10,20]-2      1.00 - 1.00 -
        """,
    ),
    (
        "single_module",
        "success rate over all ranges",
        _PRIMER,
        """
        -      NAU
        add-2  1.00 -
        """,
    ),
    (
        "single_module",
        "success rate over all ranges",
        _DIVISION,
        """
        -      RealNPU RealNPU-modified NMRU
        div-10 0.702 - 0.853 -          0.916 -
        """,
    ),
    (
        "inalu",
        "extrapolation success rate over all distributions",
        _INALU,
        """
        -     NALU   iNALU-shared iNALU
        add-2 0.43 - 0.86 -       1.00 -
        sub-2 0 -    0.76 -       1.00 -
        mul-2 0.47 - 0.49 -       0.71 -
        div-2 0 -    0.34 -       0.34 -
        """,
    ),
    (
        "inalu",
        "extrapolation success rate",
        "github.com/daschloer/inalu, recomputed from its result files: final error below 1e-5; 20 runs, 100-2-1",
        """
        -       NALU iNALU-shared iNALU
        add-100 0 -  1.00 -       0.80 -
        sub-100 0 -  0.65 -       0.85 -
        mul-100 0 -  0 -          0 -
        div-100 0 -  0 -          0 -
        """,
    ),
    (
        "sequential_digits",
        "success rate",
        f"{_MADSEN}, read off the figure; MNIST, 10 seeds",
        """
        -          NMU-Rz NAC-nmu-Rz NAC-sigma NAC-mul NALU  LSTM
        product-1  0.9 -  1 -        0.6 -     0.5 -   0 -   0 -
        product-2  1 -    0.9 -      0.6 -     0.5 -   0 -   0 -
        product-3  1 -    0.8 -      0.6 -     0.6 -   0 -   0 -
        product-4  1 -    0.9 -      0.7 -     0.6 -   0 -   0 -
        product-5  1 -    0.8 -      0.6 -     0.6 -   0 -   0 -
        product-6  0.8 -  0.7 -      0.4 -     0.3 -   0 -   0 -
        product-7  1 -    0.8 -      0.6 -     0.6 -   0 -   0 -
        product-8  1 -    0.8 -      0.5 -     0.4 -   0 -   0 -
        product-9  0.9 -  0.9 -      0.3 -     0.4 -   0 -   0 -
        product-10 0.9 -  0.7 -      0 -       0.1 -   0 -   0 -
        product-11 1 -    0.8 -      0 -       - -     0 -   0 -
        product-12 0.7 -  0.7 -      0 -       - -     0 -   0 -
        product-13 1 -    0.5 -      0 -       - -     0 -   0 -
        product-14 1 -    0.8 -      0 -       - -     0 -   0 -
        product-15 0.9 -  0.8 -      0 -       - -     0 -   0 -
        product-16 1 -    0.6 -      0 -       0 -     0 -   0 -
        product-17 0.7 -  0.7 -      0 -       0 -     0 -   0 -
        product-18 0.9 -  0.6 -      0 -       0 -     0 -   0 -
        product-19 0.8 -  0.9 -      0 -       0 -     0 -   0 -
        product-20 0.8 -  0.6 -      0 -       0 -     0 -   0 -
        """,
    ),
    (
        "sequential_digits",
        "success rate",
        f"{_MADSEN}, read off the figure; MNIST, 10 seeds",
        """
        -          NAU-Rz NAC+-Rz NAC+  NALU  LSTM
        sum-1      0.7 -  0.1 -   0.1 - 0 -   0 -
        sum-10     0.8 -  0.2 -   0.1 - 0 -   0 -
        sum-100    0.7 -  0.3 -   0 -   0 -   0 -
        sum-200    0.7 -  0.4 -   0 -   0 -   0 -
        sum-300    0.7 -  0.6 -   0 -   0 -   0 -
        sum-400    0.7 -  0.6 -   0 -   0 -   0 -
        sum-500    0.7 -  0.6 -   0 -   0 -   0 -
        sum-600    0.7 -  0.7 -   0 -   0 -   0 -
        sum-700    0.7 -  0.5 -   0 -   0 -   0 -
        sum-800    0.7 -  0.6 -   0 -   0 -   0 -
        sum-900    0.7 -  0.7 -   0 -   0 -   0 -
        sum-1000   0.8 -  0.6 -   0 -   0 -   0 -
        """,
    ),
)


def published(family: Family, task: str | None = None) -> tuple[Published, ...]:
    """All published numbers of one family, or of one of its tasks, in the order of their tables."""
    rows = (row for table in _TABLES if table[0] == family for row in _read(*table))
    return tuple(row for row in rows if task in (None, row.task))


def _read(family: Family, metric: str, source: str, table: str) -> list[Published]:
    header, *lines = (line.split() for line in table.strip().splitlines())
    found = []
    for task, *cells in lines:
        for model, value, spread in zip(header[1:], cells[::2], cells[1::2], strict=True):
            if value != "-":
                bound = None if spread == "-" else float(spread)
                found.append(Published(family, task, model, metric, float(value), bound, source))
    return found

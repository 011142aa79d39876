"""Arrays that the compiled solver reads in its innermost loops without counting references.

Numba counts references to an array atomically whenever it passes one to a function, also to one that is inlined; the
units of an equation have some twenty arrays, and counting them took ten times as long as evaluating a unit.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils
from numba.extending import intrinsic

from neural_arith.solve.compiled.cache import compiled
from neural_arith.terms.structure import Tables


def _borrowed(typing_context: Any, array: Any) -> Any:
    """The same array without ownership of its memory.

    Only for arguments of a function: the caller holds them until it returns. A local array might be freed after its
    last use under its own name.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, value=arguments[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        view.parent = cgutils.get_null_value(view.parent.type)
        return view._getvalue()

    return array(array), codegen


borrowed: Any = intrinsic(_borrowed)


@compiled(forceinline=True)
def borrowed_tables(tables: Tables) -> Tables:
    """The tables of one candidate, each array borrowed."""
    return Tables(
        borrowed(tables.powers), borrowed(tables.rates), borrowed(tables.frequencies), borrowed(tables.phases),
        borrowed(tables.logs), borrowed(tables.lifted), borrowed(tables.factor_first), borrowed(tables.factor_sum),
        borrowed(tables.factor_power), borrowed(tables.part_first), borrowed(tables.part_unit),
        borrowed(tables.part_coefficient), borrowed(tables.equation), borrowed(tables.unit), borrowed(tables.kind),
        borrowed(tables.place), borrowed(tables.live),
    )  # fmt: skip

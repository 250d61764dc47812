"""Compare eight rows at once with the processor's vector instructions.

A compiler processes short rows number by number, because numbers of the same column are not adjacent in
memory. This code reads four columns of eight rows and transposes them. Then one vector holds one column of
all eight rows.
"""

# ruff: noqa: ANN401, ARG001 - llvmlite's values have no types, and numba fixes the parameters

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba.core import cgutils
from numba.core.types import boolean, containers, intp, uint8
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROWS = 8
COLUMNS = 4
"""Rows with fewer columns are compared number by number, because a vector would read past their end."""
_INDEX, _BITS = ir.IntType(64), ir.IntType(ROWS)
_EVERY = range(ROWS)
# Two rounds of shuffles transpose four columns. One half of each vector holds rows 0 to 3, the other rows 4
# to 7.
_BETWEEN = ((0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15))
_TOGETHER = ((0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15))


@intrinsic
def near_rows(
    _: Any, rows: Any, first: Any, border: Any, gap: Any, measures: Any
) -> tuple[Any, Callable[..., Any]]:
    """Find which of ROWS rows have a largest number, or a gap to the second largest, of at most the border.

    Args:
        rows: float32 or float64 [N, C], C >= COLUMNS; the numbers of a row are adjacent.
        first: the first of the rows.
        border: in the precision of the rows.
        gap: True to measure the gap, False for the largest number.
        measures: of the type of the rows [ROWS]; receives the measure of each row.

    Returns:
        uint8 with bit j set for row first + j, and whether the sum of every row is finite.
    """
    result = containers.Tuple((uint8, boolean))

    def generate(context: Any, builder: Any, signature: Any, args: Sequence[Any]) -> Any:
        array, written = (context.make_array(signature.args[i])(context, builder, args[i]) for i in (0, 4))
        block = _Block(builder, context.get_value_type(signature.args[0].dtype))
        return context.make_tuple(builder, result, block.near(array, args[1], args[2], args[3], written.data))

    return result(rows, intp, rows.dtype, boolean, measures), generate


@dataclass(frozen=True)
class _Block:
    """Generates the instructions for one block of eight rows.

    Attributes:
        builder: the instruction builder of llvmlite.
        number: type of the numbers.
    """

    builder: Any
    number: ir.Type

    def near(self, array: Any, first: Any, border: Any, gap: Any, written: Any) -> tuple[Any, Any]:
        """Return the bits of the near rows, and whether every sum is finite; store the measures."""
        b = self.builder
        (_, classes), (stride, _) = (cgutils.unpack_tuple(b, of) for of in (array.shape, array.strides))
        starts = [cgutils.pointer_add(b, array.data, b.mul(b.add(first, _INDEX(j)), stride)) for j in _EVERY]
        lowest, nothing = self._all(float("-inf")), self._all(0.0)
        largest, second, total = (cgutils.alloca_once_value(b, of) for of in (lowest, lowest, nothing))

        def compare(column: Any, addend: Any) -> None:
            before = b.load(largest)
            b.store(self._max(b.load(second), self._min(before, column)), second)
            b.store(self._max(before, column), largest)
            b.store(b.fadd(b.load(total), addend), total)

        rest = b.and_(classes, _INDEX(COLUMNS - 1))
        with cgutils.for_range_slice(b, _INDEX(0), b.sub(classes, rest), _INDEX(COLUMNS)) as (at, _):
            for column in self._columns(starts, at):
                compare(column, column)
        with b.if_then(b.icmp_signed(">", rest, _INDEX(0))):
            # The last vector overlaps the one before. A column that was compared must not count twice.
            known = b.sub(_INDEX(COLUMNS), rest)
            for j, column in enumerate(self._columns(starts, b.sub(classes, _INDEX(COLUMNS)))):
                new = b.icmp_signed(">=", _INDEX(j), known)
                compare(b.select(new, column, lowest), b.select(new, column, nothing))
        top, distance = b.load(largest), b.fsub(b.load(largest), b.load(second))
        measures = b.select(gap, distance, top)
        b.store(measures, b.bitcast(written, self._vector(ROWS).as_pointer()), align=1)
        return self._judged(measures, b.load(total), border)

    def _judged(self, measures: Any, total: Any, border: Any) -> tuple[Any, Any]:
        """Return the bits of the measures at or below the border, and whether every sum is finite."""
        b = self.builder
        undefined = ir.Constant(self._vector(ROWS), ir.Undefined)
        borders = self._shuffle(b.insert_element(undefined, border, _INDEX(0)), undefined, [0] * ROWS)
        near = b.bitcast(b.fcmp_ordered("<=", measures, borders), _BITS)
        nan = b.fsub(total, total)  # 0 for a finite sum, NaN for an infinite one
        not_finite = b.bitcast(b.fcmp_unordered("uno", nan, nan), _BITS)
        return near, b.icmp_signed("==", not_finite, _BITS(0))

    def _columns(self, starts: Sequence[Any], at: Any) -> list[Any]:
        """Return four vectors with columns `at` to `at + 3` of the eight rows."""
        b, four = self.builder, self._vector(COLUMNS).as_pointer()
        # align=1: an array may begin at an address that is no multiple of a vector's size
        read = [b.load(b.bitcast(b.gep(start, [at]), four), align=1) for start in starts]
        rows = [self._shuffle(read[j], read[j + 4], _EVERY) for j in range(4)]
        pairs = [self._shuffle(rows[j], rows[j + 1], order) for j in (0, 2) for order in _BETWEEN]
        return [self._shuffle(pairs[j], pairs[j + 2], order) for j in range(2) for order in _TOGETHER]

    def _shuffle(self, left: Any, right: Any, order: Sequence[int]) -> Any:
        places = ir.Constant(ir.VectorType(ir.IntType(32), ROWS), list(order))
        return self.builder.shuffle_vector(left, right, places)

    def _max(self, left: Any, right: Any) -> Any:
        return self.builder.select(self.builder.fcmp_ordered(">", left, right), left, right)

    def _min(self, left: Any, right: Any) -> Any:
        return self.builder.select(self.builder.fcmp_ordered("<", left, right), left, right)

    def _vector(self, size: int) -> ir.VectorType:
        return ir.VectorType(self.number, size)

    def _all(self, number: float) -> ir.Constant:
        return ir.Constant(self._vector(ROWS), [number] * ROWS)

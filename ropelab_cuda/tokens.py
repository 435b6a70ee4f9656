"""How a kernel walks over tokens: two axes, in the order of memory, merged where that can be."""

from __future__ import annotations

from collections.abc import Sequence

from .views import View

__all__ = ["broadcast_strides", "merge_axes", "walk"]

Axes = tuple[int, ...]


def broadcast_strides(view: View, shape: Axes, *, skip: int = 0) -> Axes:
    """Return strides that read a view as if it had `shape`, to which it broadcasts.

    Parameters
    ----------
    view : View
        A tensor of at most as many axes.
    shape : tuple of int
        The wanted shape.
    skip : int, default 0
        Leading axes of the view that do not take part.

    Returns
    -------
    tuple of int
        0 along every axis that is missing or of length 1.
    """
    missing = len(shape) - len(view.shape[skip:])
    given = zip(view.shape[skip:], view.strides[skip:], strict=True)
    return (0,) * missing + tuple(0 if length == 1 else stride for length, stride in given)


def merge_axes(shape: Axes, rows: Sequence[Axes]) -> tuple[Axes, list[Axes]]:
    """Join neighbouring axes that one stride can walk, in every tensor alike.

    Parameters
    ----------
    shape : tuple of int
        Lengths, in the order of visiting.
    rows : sequence of tuple of int
        The strides of each tensor along these axes.

    Returns
    -------
    shape, rows
        The same visits by the fewest axes; those of length 1 vanish.

    Examples
    --------
    >>> merge_axes((2, 3, 5), [(15, 5, 1), (0, 5, 1)])
    ((2, 15), [(15, 1), (0, 1)])
    """
    lengths: list[int] = []
    columns: list[Axes] = []  # a column holds every tensor's stride along one axis
    for length, column in zip(shape, zip(*rows, strict=True), strict=True):
        if length == 1:
            continue
        if columns and columns[-1] == tuple(length * stride for stride in column):
            lengths[-1] *= length
            columns[-1] = column
        else:
            lengths.append(length)
            columns.append(column)
    return tuple(lengths), [tuple(column[i] for column in columns) for i in range(len(rows))]


def walk(shape: Axes, rows: Sequence[Axes], *, reorder: bool) -> tuple[Axes, list[Axes]]:
    """Return the (outer, inner) lengths, and the strides of each tensor along both.

    Parameters
    ----------
    shape : tuple of int
        Lengths of the token axes.
    rows : sequence of tuple of int
        The strides of each tensor along them.
    reorder : bool
        Whether the axes may change places, so that the first tensor's smaller stride is walked
        in the inner loop.

    Returns
    -------
    shape, rows
        Two lengths, and two strides a tensor.

    Raises
    ------
    ValueError
        If the strides do not reduce to two axes.
    """
    order = sorted(range(len(shape)), key=lambda axis: -abs(rows[0][axis]) if reorder else axis)
    lengths, strides = merge_axes(
        tuple(shape[axis] for axis in order),
        [tuple(row[axis] for axis in order) for row in rows],
    )
    if len(lengths) > 2:
        msg = (
            f"position_ids: expected strides that reduce to two axes; got shape {shape} with "
            f"strides {rows[0]}; make it contiguous"
        )
        raise ValueError(msg)
    missing = 2 - len(lengths)
    return (1,) * missing + lengths, [(0,) * missing + row for row in strides]

"""Which position axis turns which pair in M-RoPE.

Axis 0 is time, 1 the row and 2 the column; `mrope_positions` gives them in that order. A result
is given to ``Rope(axes=...)``.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..checks import check_choice, positive_int
from .common import integers

__all__ = ["MROPE_ORDERS", "mrope_axes", "row_column_axes"]

MROPE_ORDERS = ("chunked", "interleaved", "alternating")
_TIME, _ROW, _COLUMN = range(3)


def mrope_axes(
    rotary_dim: int, sections: Sequence[int], *, order: str = "chunked"
) -> tuple[int, ...]:
    """Return the position axis of each pair, from a config's ``mrope_section``.

    ==================  ==================================  ====================================
    order               pairs                               used by
    ==================  ==================================  ====================================
    ``"chunked"``       t t ... h h ... w w ...             Qwen2-VL and 2.5-VL (16, 24, 24);
                                                            GLM-4.1V and 4.5V (8, 12, 12)
    ``"interleaved"``   t h w t h w ... t t                 Qwen3-VL (24, 20, 20), Qwen3.5
                                                            (11, 11, 10)
    ``"alternating"``   h w h w ... t t                     ERNIE 4.5 VL (22, 22, 20); Ling-VL
    ==================  ==================================  ====================================

    Parameters
    ----------
    rotary_dim : int
        Rotated channels d; even.
    sections : sequence of int
        Pairs of each axis: (t, h, w), but (h, w, t) if alternating, as ERNIE's config lists them
        (Ling's lists t first). Chunked sections may be of any number, section k turned by axis k,
        such as HunYuan-VL's four if both members of a pair are to turn alike.
    order : {"chunked", "interleaved", "alternating"}, default "chunked"
        How the pairs are dealt to the axes.

    Returns
    -------
    tuple of int, length d/2
        Axis of each pair.

    Raises
    ------
    TypeError, ValueError
        If the sections are no integers, are negative, do not sum to d/2, or do not fit the order.

    References
    ----------
    .. [1] Transformers 5.24, models qwen2_vl, qwen3_vl and ernie4_5_vl_moe:
       ``recomposition_frequencies``; vLLM, rotary_embedding/bailing_mrope.py.

    Examples
    --------
    >>> mrope_axes(16, (2, 3, 3)), mrope_axes(16, (4, 2, 2), order="interleaved")
    ((0, 0, 1, 1, 1, 2, 2, 2), (0, 1, 2, 0, 1, 2, 0, 0))
    >>> mrope_axes(16, (3, 3, 2), order="alternating")
    (1, 2, 1, 2, 1, 2, 0, 0)
    """
    check_choice(order, MROPE_ORDERS, "order")
    sizes = _sizes(sections, positive_int(rotary_dim, "rotary_dim", even=True) // 2)
    if order == "chunked":
        return tuple(axis for axis, size in enumerate(sizes) for _ in range(size))
    if len(sizes) != 3:
        msg = f"sections: expected three of them in {order} order; got {len(sizes)}: {sizes}"
        raise ValueError(msg)
    if order == "alternating":
        rows, columns, frames = sizes
        if rows != columns:
            msg = f"sections: expected as many rows as columns to alternate; got {sizes}"
            raise ValueError(msg)
        return (_ROW, _COLUMN) * rows + (_TIME,) * frames
    axes = tuple(
        i % 3 if i < 3 * sizes[i % 3] else _TIME  # bounds of rows and columns alone matter
        for i in range(sum(sizes))
    )
    if tuple(axes.count(axis) for axis in range(3)) != sizes:
        msg = (
            f"sections: expected at most a third of {sum(sizes)} pairs for rows and for columns, "
            f"to be woven into those of time; got {sizes}"
        )
        raise ValueError(msg)
    return axes


def row_column_axes(rotary_dim: int) -> tuple[int, ...]:
    """Return axes that alternate between row and column, as in NeoMME.

    Parameters
    ----------
    rotary_dim : int
        Rotated channels d; even.

    Returns
    -------
    tuple of int, length d/2
        0, the row, for even pairs and 1, the column, for odd ones.

    Raises
    ------
    TypeError, ValueError
        If `rotary_dim` is no positive even integer.

    References
    ----------
    .. [1] Transformers 5.24, models/neomme: ``recomposition_frequencies``.

    Examples
    --------
    >>> row_column_axes(10)
    (0, 1, 0, 1, 0)
    """
    pairs = positive_int(rotary_dim, "rotary_dim", even=True) // 2
    return tuple(i % 2 for i in range(pairs))


def _sizes(sections: Sequence[int], pairs: int) -> tuple[int, ...]:
    given = integers(sections, "sections")
    if given.ndim != 1 or given.size == 0 or given.min() < 0:
        msg = f"sections: expected a list of pairs an axis, none negative; got {given.tolist()}"
        raise ValueError(msg)
    sizes = tuple(given.tolist())
    if sum(sizes) != pairs:
        msg = (
            f"sections: expected a sum of rotary_dim / 2 = {pairs} pairs; got {sum(sizes)} from "
            f"{sizes}; count pairs, not channels"
        )
        raise ValueError(msg)
    return sizes

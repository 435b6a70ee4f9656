"""Options of the types that the operators' schemas have, refused in the kernels' own words.

What torch would say of another type names a schema; and it takes 1 for True, and True for 1. What
is of its type but unknown, the kernels refuse, and whatever foresees them.
"""

from __future__ import annotations

from typing import Any

import torch

from ropelab.checks import ANGLES, TENSOR_FORMATS, check_choice, check_flag, check_layout, integer
from ropelab.tables import check_repeated

from .again import How

__all__ = ["flag", "of_schema", "read_once"]


def of_schema(how: tuple[Any, ...], angles: str = "exact") -> How:
    """Return where pairs lie and which way they turn, as the schemas have it.

    Parameters
    ----------
    how : tuple
        In the order of `ropelab.pairs.Placement`, as a caller said; unchecked.
    angles : str, default "exact"
        The angle pipeline, likewise.

    Returns
    -------
    tuple
        With Python's integer and truth value in place of NumPy's.

    Raises
    ------
    TypeError
        If the offset is no integer, or `inverse` no bool.
    ValueError
        If a layout is no string, or another option is none of its choices.

    Examples
    --------
    >>> of_schema(("thd", "half", None, 2, False))
    ('thd', 'half', None, 2, False)
    """
    tensor_format, layout, output_layout, rotary_offset, inverse = how
    check_choice(tensor_format, TENSOR_FORMATS, "tensor_format")
    check_choice(angles, ANGLES, "angles")
    if not isinstance(layout, str):  # a string is looked up where torch.compile does not trace
        check_layout(layout)
    if output_layout is not None and not isinstance(output_layout, str):
        check_layout(output_layout, "output_layout")
    if type(rotary_offset) not in (int, torch.SymInt):
        rotary_offset = integer(rotary_offset, "rotary_offset")
    return tensor_format, layout, output_layout, rotary_offset, flag(inverse, "inverse")


def flag(value: object, name: str) -> bool:
    """Return `value` as a bool, or raise TypeError unless it is one.

    Parameters
    ----------
    value : bool
        As a caller said it.
    name : str
        What the message calls it.

    Returns
    -------
    bool
        The same.

    Raises
    ------
    TypeError
        If it is none.

    Examples
    --------
    >>> flag(True, "inverse")
    True
    """
    return value if type(value) is bool else check_flag(value, name)


def read_once(table: torch.Tensor, head_dim: int, how: How, name: str) -> torch.Tensor:
    """Return a table of one column a pair, from one whose pairs have two.

    Parameters
    ----------
    table : torch.Tensor of float, shape (..., d)
        The first column of each pair is read, and has the gradient of both.
    head_dim : int
        Channels of a head.
    how : tuple
        As in `of_schema`; the columns lie as rotated pairs do.
    name : str
        What messages call the table.

    Returns
    -------
    torch.Tensor, shape (..., d/2)
        In the same memory.

    Raises
    ------
    ValueError
        If the width is odd, or larger than a head.

    Examples
    --------
    >>> table = torch.tensor([[1.0, 1.0, 2.0, 2.0]])
    >>> read_once(table, 4, ("thd", "interleaved", None, 0, False), "cos").tolist()
    [[1.0, 2.0]]
    """
    check_repeated(tuple(table.shape), head_dim, name)
    _, layout, output_layout, *_ = how
    if (output_layout or layout) == "interleaved":
        return table[..., ::2]
    return table[..., : table.shape[-1] // 2]

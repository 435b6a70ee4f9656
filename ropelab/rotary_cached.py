"""Rotating queries and keys by given cosines and sines, as in `rotary`."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, DTypeLike, NDArray

from .arrays import as_floats
from .checks import check_same_tokens, token_shape
from .pairs import Placement, Storage, turned, turned_qk
from .positions.token_positions import PositionIds
from .tables import given_cos_sin

__all__ = ["apply_rotary_cached", "apply_rotary_cached_qk"]


def apply_rotary_cached(
    x: ArrayLike,
    cos: ArrayLike,
    sin: ArrayLike,
    *,
    position_ids: PositionIds | None = None,
    repeated: bool = False,
    overrun: str = "raise",
    layout: str = "half",
    tensor_format: str = "bshd",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
    dtype: DTypeLike | None = None,
    scale: float | None = None,
) -> NDArray[Any]:
    """Rotate by given cosines and sines.

    Parameters
    ----------
    x : array-like of float
        As in `apply_rotary`.
    cos, sin : array-like of float, broadcastable to (batch, sequence, d/2) or (tokens, d/2)
        One value a pair, as `ropelab.cos_sin` returns them; with `position_ids` of shape
        (table_length, d/2).
    position_ids : array-like of int, broadcastable to (batch, sequence) or (tokens,), optional
        Position m of each token, or an object as in `apply_rotary`: row m of the tables serves it.
    repeated : bool, default False
        Whether the tables have width d, since each value stands in both columns of its pair, as
        Transformers' do; the first is read. A pair's columns lie as its channels do, in
        `output_layout` if that is given, whichever way it turns.
    overrun : {"raise", "clamp"}, default "raise"
        What to do about a position that is negative or past the last row: raise ValueError, or
        take the first or the last row for it.
    layout : {"half", "interleaved"}, default "half"
        As in `apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary`.
    inverse : bool, default False
        Rotate the other way, from `output_layout` to `layout`.
    output_layout : {"half", "interleaved"}, optional
        As in `apply_rotary`.
    rotary_offset : int, default 0
        As in `apply_rotary`.
    dtype : dtype-like, optional
        As in `apply_rotary`.
    scale : float, optional
        As in `apply_rotary`.

    Returns
    -------
    ndarray, shape of `x`
        The rotated tensor.

    Raises
    ------
    TypeError
        If a dtype is not supported.
    ValueError
        If a shape or an option does not fit, or a position has no row.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[1.0, 0.0]]])  # one packed token, one head
    >>> apply_rotary_cached(x, [[0.0]], [[1.0]], tensor_format="thd").tolist()
    [[[0.0, 1.0]]]
    >>> tables = ([[1.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]])
    >>> options = {"position_ids": [1], "repeated": True, "tensor_format": "thd"}
    >>> apply_rotary_cached(x, *tables, **options).tolist()
    [[[0.0, 1.0]]]
    """
    array = as_floats(x, "x")
    place = Placement(tensor_format, layout, output_layout, rotary_offset, inverse)
    cos_by_token, sin_by_token = given_cos_sin(
        (cos, sin),
        token_shape(array.shape, tensor_format, "x"),
        array.shape[-1],
        position_ids=position_ids,
        repeated=repeated,
        overrun=overrun,
        layout=place.rotated_layout(),
    )
    return turned(array, cos_by_token, sin_by_token, place, Storage(dtype, scale))


def apply_rotary_cached_qk(
    q: ArrayLike,
    k: ArrayLike,
    cos: ArrayLike,
    sin: ArrayLike,
    *,
    position_ids: PositionIds | None = None,
    repeated: bool = False,
    overrun: str = "raise",
    layout: str = "half",
    tensor_format: str = "bshd",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
    dtype: DTypeLike | None = None,
    scale: float | tuple[float, float] | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rotate queries and keys of the same tokens by given cosines and sines.

    Parameters
    ----------
    q, k : array-like of float
        As in `apply_rotary_qk`; their head counts may differ.
    cos, sin : array-like of float, broadcastable to (batch, sequence, d/2) or (tokens, d/2)
        As in `apply_rotary_cached`.
    position_ids : array-like of int, broadcastable to (batch, sequence) or (tokens,), optional
        As in `apply_rotary_cached`.
    repeated : bool, default False
        As in `apply_rotary_cached`.
    overrun : {"raise", "clamp"}, default "raise"
        As in `apply_rotary_cached`.
    layout : {"half", "interleaved"}, default "half"
        As in `apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary`.
    inverse : bool, default False
        As in `apply_rotary_cached`.
    output_layout : {"half", "interleaved"}, optional
        As in `apply_rotary`.
    rotary_offset : int, default 0
        As in `apply_rotary`.
    dtype : dtype-like, optional
        As in `apply_rotary`, of both results.
    scale : float or (float, float), optional
        As in `apply_rotary_qk`.

    Returns
    -------
    q, k : ndarray
        The rotated tensors.

    Raises
    ------
    TypeError
        If a dtype is not supported.
    ValueError
        If a shape or an option does not fit, a position has no row, or q and k differ in more
        than their heads.

    Examples
    --------
    >>> import numpy as np
    >>> q, k = np.tile([3.0, 4.0], (1, 2, 1)), np.array([[[1.0, 0.0]]])  # one token, two heads
    >>> turned = apply_rotary_cached_qk(q, k, [[0.0]], [[1.0]], tensor_format="thd")
    >>> [x.tolist() for x in turned]
    [[[[-4.0, 3.0], [-4.0, 3.0]]], [[[0.0, 1.0]]]]
    """
    queries, keys = as_floats(q, "q"), as_floats(k, "k")
    check_same_tokens(queries.shape, keys.shape, tensor_format)
    place = Placement(tensor_format, layout, output_layout, rotary_offset, inverse)
    cos_by_token, sin_by_token = given_cos_sin(
        (cos, sin),
        token_shape(queries.shape, tensor_format, "q"),
        queries.shape[-1],
        position_ids=position_ids,
        repeated=repeated,
        overrun=overrun,
        layout=place.rotated_layout(),
    )
    return turned_qk((queries, keys), cos_by_token, sin_by_token, place, dtype, scale)

"""Turning the pairs of a tensor by given cosines and sines, wherever the pairs lie in it.

What is stored of a number is its quotient by a scale, rounded once to the format asked for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .checks import (
    TENSOR_FORMATS,
    check_flag,
    check_layout,
    check_rotary_offset,
    check_scale,
    check_width,
    pair_of_scales,
    token_shape,
)
from .layouts import pair_channels
from .phases import cos_sin_values
from .positions.token_positions import PositionIds, token_positions
from .precision import format_name, narrow, stored_dtype, widen
from .spectrum import Spectrum, check_spectrum

__all__ = ["Placement", "Storage", "cos_sin_by_token", "stored", "turned", "turned_qk"]


class Placement(NamedTuple):
    """Where the pairs of a tensor lie and which way they turn, as a caller said; unchecked."""

    tensor_format: str
    layout: str
    output_layout: str | None = None
    rotary_offset: int = 0
    inverse: bool = False

    def ends(self) -> tuple[str, str]:
        """Return the layout to take pairs from and the one to put them into, both checked."""
        check_layout(self.layout)
        if self.output_layout is None:
            return self.layout, self.layout
        check_layout(self.output_layout, "output_layout")
        ends = (self.layout, self.output_layout)
        return ends[::-1] if self.inverse else ends

    def rotated_layout(self) -> str:
        """Return the layout in which rotated pairs lie, and repeated tables with them; checked."""
        self.ends()
        return self.layout if self.output_layout is None else self.output_layout


class Storage(NamedTuple):
    """How a result is stored, as a caller said; unchecked."""

    dtype: DTypeLike | None = None
    scale: object = None
    scale_name: str = "scale"

    @classmethod
    def of_both(cls, dtype: DTypeLike | None, scale: object) -> tuple[Storage, Storage]:
        """Return how q and k are stored: in one format, and over one scale or a pair of them."""
        q_scale, k_scale = pair_of_scales(scale)
        return cls(dtype, q_scale[1], q_scale[0]), cls(dtype, k_scale[1], k_scale[0])

    def by_default(self, dtype: np.dtype[Any]) -> Storage:
        """Return the same with a dtype where none was said."""
        return self if self.dtype is not None else self._replace(dtype=dtype)

    def of(self, array: NDArray[Any]) -> tuple[np.dtype[Any], float | None]:
        """Return the dtype, that of `array` by default, and the scale, both checked."""
        dtype = array.dtype if self.dtype is None else stored_dtype(self.dtype)
        return dtype, None if self.scale is None else check_scale(self.scale, self.scale_name)


_AS_IT_CAME = Storage()


def cos_sin_by_token(
    shape: tuple[int, ...],
    name: str,
    position_ids: PositionIds,
    spectrum: Spectrum,
    tensor_format: str,
    angles: str,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return cos and sin of every token of a tensor.

    Parameters
    ----------
    shape : tuple of int
        Of the tensor.
    name : str
        What messages call the tensor.
    position_ids : array-like of int, Consecutive or Packed
        Position of each token; see `ropelab.apply_rotary`.
    spectrum : Spectrum
        Frequencies and attention factor.
    tensor_format : str
        Order of the tensor's axes.
    angles : str
        The angle pipeline.

    Returns
    -------
    cos, sin : ndarray of float64, shape (batch, sequence, d/2) or (tokens, d/2)
        One value a pair, times the attention factor.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If a shape or an option does not fit.

    Examples
    --------
    >>> cos, sin = cos_sin_by_token((7, 2, 4), "q", 5, Spectrum([1.0, 0.5]), "thd", "exact")
    >>> cos.shape
    (7, 2)
    """
    tokens = token_shape(shape, tensor_format, name)
    check_spectrum(spectrum)
    check_width(spectrum.rotary_dim, shape[-1], name)
    positions = token_positions(position_ids, tokens, axes=spectrum.position_axes)
    cos, sin = cos_sin_values(positions, spectrum, angles)
    whole = (*tokens, spectrum.rotary_dim // 2)
    return np.broadcast_to(cos, whole), np.broadcast_to(sin, whole)


def turned(
    array: NDArray[Any],
    cos: NDArray[np.float64],
    sin: NDArray[np.float64],
    place: Placement,
    storage: Storage = _AS_IT_CAME,
) -> NDArray[Any]:
    """Return a copy of a tensor with each pair turned, rounded once.

    Parameters
    ----------
    array : ndarray of float
        Queries or keys.
    cos, sin : ndarray of float64, shape (batch, sequence, d/2) or (tokens, d/2)
        Of every token, as `cos_sin_by_token` returns them.
    place : Placement
        Where the pairs lie, and which way they turn.
    storage : Storage, optional
        In which format, and over which scale, the result is stored; by default in that of `array`.

    Returns
    -------
    ndarray, shape of `array`
        Channels outside of the rotated ones keep their bits, or are stored like these.

    Raises
    ------
    TypeError
        If the offset is no integer, `inverse` no bool, or a dtype or a scale is none.
    ValueError
        If a layout is unknown, the offset leaves less than d channels, or a scale is not positive.

    Examples
    --------
    >>> place = Placement("thd", "interleaved", rotary_offset=1)
    >>> turned(np.array([[[5.0, 1.0, 0.0]]]), np.array([[0.0]]), np.array([[1.0]]), place).tolist()
    [[[5.0, 0.0, 1.0]]]
    """
    d = 2 * cos.shape[-1]
    sin = -sin if check_flag(place.inverse, "inverse") else sin
    source, target = (pair_channels(layout, d) for layout in place.ends())
    offset = check_rotary_offset(place.rotary_offset, d, array.shape[-1])
    dtype, scale = storage.of(array)
    axes = TENSOR_FORMATS[place.tensor_format]
    # From (tokens..., d/2) to the tensor's own order of axes, with heads to broadcast over.
    order = (*np.argsort(axes.token_axes).tolist(), len(axes.token_axes))
    c = np.expand_dims(cos.transpose(order), axes.head_axis)
    s = np.expand_dims(sin.transpose(order), axes.head_axis)
    result = stored(array, storage)
    old, new = (side[..., offset : offset + d] for side in (array, result))
    x, y = widen(old[..., source[0]]), widen(old[..., source[1]])
    with np.errstate(over="ignore", invalid="ignore"):
        new[..., target[0]] = _stored(x * c - y * s, dtype, scale)
        new[..., target[1]] = _stored(y * c + x * s, dtype, scale)
    return result


def turned_qk(
    both: tuple[NDArray[Any], NDArray[Any]],
    cos: NDArray[np.float64],
    sin: NDArray[np.float64],
    place: Placement,
    dtype: DTypeLike | None = None,
    scale: object = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return copies of queries and keys of the same tokens, turned alike.

    Parameters
    ----------
    both : (ndarray of float, ndarray of float)
        Queries and keys.
    cos, sin : ndarray of float64, shape (batch, sequence, d/2) or (tokens, d/2)
        As in `turned`.
    place : Placement
        As in `turned`, of both.
    dtype : dtype-like, optional
        Format of both results; by default that of each tensor.
    scale : float or (float, float), optional
        Over which both are stored, or the queries and the keys; unchecked.

    Returns
    -------
    q, k : ndarray
        As `turned` returns each.

    Raises
    ------
    TypeError
        As in `turned`.
    ValueError
        As in `turned`; or if there are neither one nor two scales.

    Examples
    --------
    >>> x, place = np.array([[[4.0, 0.0]]]), Placement("thd", "half")
    >>> both = turned_qk((x, x), np.array([[0.0]]), np.array([[1.0]]), place, scale=(1.0, 2.0))
    >>> [y.tolist() for y in both]
    [[[[0.0, 4.0]]], [[[0.0, 2.0]]]]
    """
    queries, keys = both
    q_storage, k_storage = Storage.of_both(dtype, scale)
    return (
        turned(queries, cos, sin, place, q_storage),
        turned(keys, cos, sin, place, k_storage),
    )


def stored(array: NDArray[Any], storage: Storage) -> NDArray[Any]:
    """Return a copy of a tensor as it is to be stored.

    Parameters
    ----------
    array : ndarray of float
        Any tensor.
    storage : Storage
        In which format, and over which scale.

    Returns
    -------
    ndarray, shape of `array`
        The same bits if the format is that of `array` and no scale is given; else each number is
        rounded once.

    Raises
    ------
    TypeError
        If the dtype or the scale is none.
    ValueError
        If the scale is not positive.

    Examples
    --------
    >>> stored(np.array([3.0]), Storage("float32", 2.0)).tolist()
    [1.5]
    """
    dtype, scale = storage.of(array)
    if scale is None and format_name(dtype) == format_name(array.dtype):
        return array.copy().view(dtype)
    return _stored(widen(array), dtype, scale)


def _stored(values: NDArray[np.float64], dtype: np.dtype[Any], scale: float | None) -> NDArray[Any]:
    with np.errstate(over="ignore", under="ignore"):
        return narrow(values if scale is None else values / scale, dtype)

r"""RMS norm of queries and keys, then their rotation: one rounding for both.

.. math:: y = \frac{x}{\sqrt{\operatorname{mean}(x^2) + \varepsilon}} \, (w + o)

(Zhang and Sennrich, Root Mean Square Layer Normalization, 2019, arXiv:1910.07467, eq. 4), and then
each pair of the rotated channels turns as in `ropelab.rotary`. The mean is taken over all channels
of a head, also those that are not rotated, or over all heads of a token together.

Models differ in what is normed, in the offset o, and in where they round. In Transformers:

========================  ==================================  ===  ================================
``Qwen3RMSNorm``          each head                           0    to the dtype of x before w
``Gemma3RMSNorm``         each head                           1    to the dtype of x after 1 + w
``Olmo2RMSNorm``          all heads of a token together       0    to the dtype of x after w
``Llama4TextL2Norm``      each head, without w                     to the dtype of x
========================  ==================================  ===  ================================

Each squares and divides in float32, and the rotation that follows rounds its products and sums
again. Llama 4 norms after the rotation, which without a weight is the same. Here all of it is
float64 and is rounded once, at the end, to the dtype of the input or to another that is asked for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .arrays import as_floats
from .checks import (
    TENSOR_FORMATS,
    check_flag,
    check_norm_weight,
    check_same_tokens,
    finite_real,
    real_within,
    token_shape,
)
from .pairs import Placement, Storage, cos_sin_by_token, turned
from .positions.token_positions import PositionIds
from .precision import narrow, widen
from .spectrum import Spectrum

__all__ = ["Norm", "apply_norm_rotary_qk", "rms_norm"]


class Norm(NamedTuple):
    """How a tensor is normed, as a caller said; unchecked."""

    eps: float = 1e-6
    weight_offset: float = 0.0
    across_heads: bool = False

    def checked(self) -> Norm:
        """Return the same as Python's own numbers, or raise unless they are such."""
        return Norm(
            real_within(self.eps, "eps", 0.0),
            finite_real(self.weight_offset, "weight_offset"),
            check_flag(self.across_heads, "across_heads"),
        )


def rms_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    eps: float = 1e-6,
    weight_offset: float = 0.0,
    across_heads: bool = False,
    tensor_format: str = "bshd",
) -> NDArray[Any]:
    """Divide each head, or all heads of a token together, by the root of its mean square.

    Parameters
    ----------
    x : array-like of float64, float32, float16 or bfloat16
        Queries or keys of shape (batch, sequence, heads, head_dim), or as `tensor_format` says.
    weight : array-like of float, optional
        What multiplies each channel, in any of the four formats: shape (head_dim,), or
        (heads, head_dim) or (heads * head_dim,) with `across_heads`. By default nothing does.
    eps : float, default 1e-6
        Added to the mean square; with 0, a head of zeros becomes NaN.
    weight_offset : float, default 0.0
        Added to each weight: 1 for Gemma 3, whose weights are stored less 1.
    across_heads : bool, default False
        Whether the mean goes over all heads of a token, as in OLMo 2.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        Order of the axes, as in `ropelab.apply_rotary`.

    Returns
    -------
    ndarray, shape and dtype of `x`
        Computed in float64 and rounded once. Channels above 1e154, whose squares a float64 does
        not hold, become 0.

    Raises
    ------
    TypeError
        If a dtype is not supported, or an option has another type.
    ValueError
        If a shape or an option does not fit, or `eps` is negative.

    Examples
    --------
    >>> rms_norm(np.array([[[3.0, 4.0]]]), [0.0, 1.0], weight_offset=1.0, eps=0.0,
    ...     tensor_format="thd").round(6).tolist()
    [[[0.848528, 2.262742]]]
    """
    array = as_floats(x, "x")
    token_shape(array.shape, tensor_format, "x")
    norm = Norm(eps, weight_offset, across_heads).checked()
    return narrow(_normed(array, weight, "weight", norm, tensor_format), array.dtype)


def apply_norm_rotary_qk(
    q: ArrayLike,
    k: ArrayLike,
    q_weight: ArrayLike | None,
    k_weight: ArrayLike | None,
    position_ids: PositionIds,
    spectrum: Spectrum,
    *,
    eps: float = 1e-6,
    weight_offset: float = 0.0,
    across_heads: bool = False,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    output_layout: str | None = None,
    rotary_offset: int = 0,
    dtype: DTypeLike | None = None,
    scale: float | tuple[float, float] | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Norm queries and keys, each by its own weight, then rotate them.

    Parameters
    ----------
    q, k : array-like of float
        As in `ropelab.apply_rotary_qk`; their head counts may differ.
    q_weight, k_weight : array-like of float, or None
        As `weight` in `rms_norm`: in the order of the channels that come in. None is no weight,
        to which no offset is added either.
    position_ids : array-like of int, Consecutive or Packed
        As in `ropelab.apply_rotary`.
    spectrum : Spectrum
        As in `ropelab.apply_rotary`; the norm covers channels past its rotary_dim too.
    eps : float, default 1e-6
        As in `rms_norm`.
    weight_offset : float, default 0.0
        As in `rms_norm`.
    across_heads : bool, default False
        As in `rms_norm`.
    layout : {"half", "interleaved"}, default "half"
        As in `ropelab.apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `ropelab.apply_rotary`.
    angles : {"exact", "float32"}, default "exact"
        As in `ropelab.apply_rotary`.
    output_layout : {"half", "interleaved"}, optional
        As in `ropelab.apply_rotary`.
    rotary_offset : int, default 0
        As in `ropelab.apply_rotary`.
    dtype : dtype-like, optional
        As in `ropelab.apply_rotary`, of both results.
    scale : float or (float, float), optional
        As in `ropelab.apply_rotary_qk`: what is stored is the normed and rotated tensor over it.

    Returns
    -------
    q, k : ndarray, shapes of `q` and `k`
        Computed in float64 and rounded once.

    Raises
    ------
    TypeError
        If a dtype is not supported, or an option has another type.
    ValueError
        If a shape or an option does not fit, `eps` is negative, or q and k differ in more than
        their heads.

    Examples
    --------
    >>> from ropelab import Rope
    >>> q, k = np.full((1, 1, 2, 4), 7.0), np.full((1, 1, 1, 4), -0.1)
    >>> weight, gemma = np.zeros(4), {"weight_offset": 1.0, "eps": 0.0}
    >>> q, k = apply_norm_rotary_qk(q, k, weight, weight, [3], Rope(4).spectrum(), **gemma)
    >>> q[0, 0, 0].round(6).tolist(), k[0, 0, 0].round(6).tolist()
    ([-1.131113, 0.969555, -0.848872, 1.029546], [1.131113, -0.969555, 0.848872, -1.029546])
    """
    queries, keys = as_floats(q, "q"), as_floats(k, "k")
    check_same_tokens(queries.shape, keys.shape, tensor_format)
    norm = Norm(eps, weight_offset, across_heads).checked()
    cos, sin = cos_sin_by_token(queries.shape, "q", position_ids, spectrum, tensor_format, angles)
    place = Placement(tensor_format, layout, output_layout, rotary_offset)
    normed_q = _normed(queries, q_weight, "q_weight", norm, tensor_format)
    normed_k = _normed(keys, k_weight, "k_weight", norm, tensor_format)
    q_storage, k_storage = Storage.of_both(dtype, scale)
    return (
        turned(normed_q, cos, sin, place, q_storage.by_default(queries.dtype)),
        turned(normed_k, cos, sin, place, k_storage.by_default(keys.dtype)),
    )


def _normed(
    array: NDArray[Any], weight: ArrayLike | None, name: str, norm: Norm, tensor_format: str
) -> NDArray[np.float64]:
    """Return the normed tensor before it is rounded."""
    x, head_axis = widen(array), TENSOR_FORMATS[tensor_format].head_axis
    heads, head_dim = x.shape[head_axis], x.shape[-1]
    axes, count = ((head_axis, -1), heads * head_dim) if norm.across_heads else ((-1,), head_dim)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        mean = np.sum(x * x, axis=axes, keepdims=True) / max(count, 1)  # no heads: nothing to norm
        y: NDArray[np.float64] = x / np.sqrt(mean + norm.eps)
    if weight is None:
        return y
    given = as_floats(weight, name)
    check_norm_weight(given.shape, heads, head_dim, name, across_heads=norm.across_heads)
    factors = widen(given) + norm.weight_offset
    if norm.across_heads:
        apart = [1] * x.ndim
        apart[head_axis], apart[-1] = heads, head_dim
        factors = factors.reshape(apart)
    return y * factors

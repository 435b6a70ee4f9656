r"""Rotating queries and keys.

Each pair (x, y) of a head turns by its angle :math:`\varphi` (Su et al., RoFormer, 2021,
arXiv:2104.09864, eq. 34):

.. math:: x' = x \cos\varphi - y \sin\varphi, \qquad y' = y \cos\varphi + x \sin\varphi

in float64, rounded once to the dtype of the input, or to another one that is asked for. The
channels before and after the rotated ones pass through bit for bit, or are converted likewise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, DTypeLike, NDArray

from .arrays import as_floats
from .checks import check_head_dim, check_rope, check_same_tokens, token_shape
from .pairs import Placement, Storage, cos_sin_by_token, turned, turned_qk
from .positions.token_positions import PositionIds, current_length
from .spectrum import Spectrum

if TYPE_CHECKING:
    from .rope import Rope

__all__ = ["apply_rotary", "apply_rotary_qk", "rotate"]


def apply_rotary(
    x: ArrayLike,
    position_ids: PositionIds,
    spectrum: Spectrum,
    *,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
    dtype: DTypeLike | None = None,
    scale: float | None = None,
) -> NDArray[Any]:
    """Rotate each pair of channels by its position times its frequency.

    Parameters
    ----------
    x : array-like of float64, float32, float16 or bfloat16
        Queries or keys of shape (batch, sequence, heads, head_dim), or as `tensor_format` says.
    position_ids : array-like of int, broadcastable to (batch, sequence) or (tokens,)
        Position of each token, whatever the order of the tensor's axes. With several position
        axes in the spectrum (3 for M-RoPE) a leading axis counts them, as those of
        `ropelab.positions.mrope_positions` do; tokens of text have the same position on each:
        ``np.broadcast_to(position_ids, (3, *position_ids.shape))``. In place of ids,
        `ropelab.positions.Consecutive` or `Packed` may say them.
    spectrum : Spectrum
        Frequencies and attention factor; its rotary_dim may be smaller than head_dim.
    layout : {"half", "interleaved"}, default "half"
        Which two channels form a pair.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        Order of the axes: b batch, s sequence, h heads, d head_dim, t packed tokens.
    angles : {"exact", "float32"}, default "exact"
        The angle pipeline; see `ropelab.cos_sin`.
    inverse : bool, default False
        Rotate by minus the position: the transpose, which is also the backward pass. It takes the
        pairs from `output_layout` and puts them into `layout`. The attention factor multiplies
        both directions.
    output_layout : {"half", "interleaved"}, optional
        Where the two members of a pair are put; by default, where they came from. DeepSeek-V3 of
        Transformers goes from ``"interleaved"`` to ``"half"``.
    rotary_offset : int, default 0
        The first rotated channel; DeepSeek-V4 rotates the last d of D channels, from D - d on.
    dtype : dtype-like, optional
        Format of the result: float64, float32, float16, bfloat16, float8_e4m3fn or float8_e5m2, by
        name for instance; by default that of `x`. The last two, for caches of keys, take what is
        too large for them, infinities too, as their largest number; see `ropelab.float8`.
    scale : float, optional
        What a stored number is multiplied by to read it back: the result is the rotated tensor
        over `scale`, rounded once. With it, or in another dtype, the channels that pass through
        are stored likewise.

    Returns
    -------
    ndarray, shape of `x`
        The rotated tensor; a bfloat16 tensor that came by DLPack is returned as raw bits of
        dtype `ropelab.bfloat16`: `ropelab.widen` gives their numbers, and
        ``torch.from_numpy(y.view(np.uint16)).view(torch.bfloat16)`` a torch tensor. So is a
        `dtype` that is given by such a name.

    Raises
    ------
    TypeError
        If an argument has another type, or a dtype is not supported.
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    Position 0 changes no number, but a -0.0 may become +0.0, since a zero is added to it. An
    infinity has no direction to be turned from: its pair becomes infinite or NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from ropelab import Rope
    >>> x = np.array([[[[1.0, 2.0, 3.0, 4.0]]]])  # one token, one head
    >>> apply_rotary(x, [2**31 - 1], Rope(4).spectrum()).round(6).tolist()
    [[[[1.485913, -4.231033, -2.791427, -1.448571]]]]
    """
    array = as_floats(x, "x")
    cos, sin = cos_sin_by_token(array.shape, "x", position_ids, spectrum, tensor_format, angles)
    place = Placement(tensor_format, layout, output_layout, rotary_offset, inverse)
    return turned(array, cos, sin, place, Storage(dtype, scale))


def apply_rotary_qk(
    q: ArrayLike,
    k: ArrayLike,
    position_ids: PositionIds,
    spectrum: Spectrum,
    *,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
    dtype: DTypeLike | None = None,
    scale: float | tuple[float, float] | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rotate queries and keys of the same tokens; their head counts may differ.

    Parameters
    ----------
    q, k : array-like of float
        As `x` in `apply_rotary`; grouped-query attention has fewer heads in k.
    position_ids : array-like of int
        As in `apply_rotary`.
    spectrum : Spectrum
        As in `apply_rotary`.
    layout : {"half", "interleaved"}, default "half"
        As in `apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary`.
    angles : {"exact", "float32"}, default "exact"
        As in `apply_rotary`.
    inverse : bool, default False
        As in `apply_rotary`.
    output_layout : {"half", "interleaved"}, optional
        As in `apply_rotary`.
    rotary_offset : int, default 0
        As in `apply_rotary`.
    dtype : dtype-like, optional
        As in `apply_rotary`, of both results.
    scale : float or (float, float), optional
        As in `apply_rotary`; of a pair, the first is for q, the second for k.

    Returns
    -------
    q, k : ndarray
        The rotated tensors.

    Raises
    ------
    TypeError
        If a dtype is not supported.
    ValueError
        If a shape or an option does not fit, or q and k differ in more than their heads.

    Examples
    --------
    >>> import numpy as np
    >>> from ropelab import Rope
    >>> q, k = np.ones((1, 3, 4, 8)), np.ones((1, 3, 2, 8))
    >>> [y.shape for y in apply_rotary_qk(q, k, [5, 6, 7], Rope(8).spectrum())]
    [(1, 3, 4, 8), (1, 3, 2, 8)]
    """
    queries, keys = as_floats(q, "q"), as_floats(k, "k")
    check_same_tokens(queries.shape, keys.shape, tensor_format)
    cos, sin = cos_sin_by_token(queries.shape, "q", position_ids, spectrum, tensor_format, angles)
    place = Placement(tensor_format, layout, output_layout, rotary_offset, inverse)
    return turned_qk((queries, keys), cos, sin, place, dtype, scale)


def rotate(
    rope: Rope,
    q: ArrayLike,
    k: ArrayLike,
    position_ids: PositionIds,
    *,
    tensor_format: str = "bshd",
    angles: str = "exact",
    seq_len: int | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rotate queries and keys as a model does: its own layouts, channels and spectrum.

    Parameters
    ----------
    rope : Rope
        The model's rotary embedding, from `ropelab.from_transformers` for instance.
    q, k : array-like of float
        As in `apply_rotary_qk`; their last axis must be ``rope.head_dim``.
    position_ids : array-like of int
        As in `apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary`.
    angles : {"exact", "float32"}, default "exact"
        As in `apply_rotary`.
    seq_len : int, optional
        Current length, for rules that depend on it; by default ``max(position_ids) + 1``, of a
        `Packed` that of the whole sequences, so that context-parallel ranks agree.

    Returns
    -------
    q, k : ndarray
        The rotated tensors.

    Raises
    ------
    TypeError
        If a dtype is not supported.
    ValueError
        If a shape or an option does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from ropelab import Rope
    >>> rope = Rope(8, layout="interleaved")
    >>> q, k = rotate(rope, np.ones((1, 2, 4, 8)), np.ones((1, 2, 1, 8)), [0, 1])
    >>> q.shape, k.shape
    ((1, 2, 4, 8), (1, 2, 1, 8))
    """
    check_rope(rope)
    queries = as_floats(q, "q")
    check_head_dim(queries.shape, rope.head_dim)
    if seq_len is None:
        seq_len = current_length(position_ids, token_shape(queries.shape, tensor_format, "q"))
    return apply_rotary_qk(
        queries,
        k,
        position_ids,
        rope.spectrum(seq_len),
        layout=rope.layout,
        tensor_format=tensor_format,
        angles=angles,
        output_layout=rope.output_layout,
        rotary_offset=rope.rotary_offset,
    )

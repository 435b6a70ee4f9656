"""RMS norm and rotation of queries and keys on the GPU: `ropelab.norm_rotary`, in one launch.

Sums and products are float32, or float64 if tensors come or go in it, and what is stored is rounded
once. The sums have a fixed order, so that the same call gives the same bits. The squares of a head
must fit into that format: a float32 head with numbers beyond 1e18 becomes zeros. There is no
backward pass. The work goes to the caller's current stream; nothing synchronises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ropelab.norm_rotary import Norm
from ropelab.pairs import Placement, Storage

from .calls import named_pair
from .calls_norm import norm_and_rotate
from .device_spectrum import AnySpectrum
from .recordings import Key
from .replay import replay
from .storage import split_scale

__all__ = ["apply_norm_rotary_qk", "apply_norm_rotary_qk_"]


def apply_norm_rotary_qk(
    q: Any,
    k: Any,
    q_weight: Any,
    k_weight: Any,
    position_ids: Any,
    spectrum: AnySpectrum,
    *,
    eps: float = 1e-6,
    weight_offset: float = 0.0,
    across_heads: bool = False,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    output_layout: str | None = None,
    rotary_offset: int = 0,
    dtype: Any = None,
    scale: Any = None,
    out: Sequence[Any] | None = None,
) -> tuple[Any, Any]:
    """Norm queries and keys, each by its own weight, then rotate them, all in one launch.

    Parameters
    ----------
    q, k : CUDA tensor of float
        As in `apply_rotary_qk`; their head counts may differ.
    q_weight, k_weight : CUDA tensor of float, or None
        What multiplies each channel: shape (head_dim,), or (heads, head_dim) or
        (heads * head_dim,) with `across_heads`; both of one dtype, which need not be that of `q`.
        None is no weight, to which no offset is added either.
    position_ids : CUDA tensor of int, Consecutive or Packed
        As in `apply_rotary`.
    spectrum : ropelab.Spectrum or DeviceSpectrum
        As in `apply_rotary`; the norm covers channels past its rotary_dim too.
    eps : float, default 1e-6
        Added to the mean square, as a number of the format that sums have.
    weight_offset : float, default 0.0
        Added to each weight, likewise; 1 for Gemma 3.
    across_heads : bool, default False
        Whether the mean goes over all heads of a token, as in OLMo 2.
    layout : {"half", "interleaved"}, default "half"
        As in `apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary`.
    angles : {"exact", "float32"}, default "exact"
        As in `apply_rotary`.
    output_layout : {"half", "interleaved"}, optional
        As in `ropelab.apply_rotary`.
    rotary_offset : int, default 0
        As in `ropelab.apply_rotary`.
    dtype : str or dtype, optional
        As in `apply_rotary`, of both results.
    scale : float, CUDA tensor of float32 with one element, or a pair of these, optional
        As in `apply_rotary_qk`.
    out : (CUDA tensor, CUDA tensor), optional
        Where the results go, as in `apply_rotary_qk`.

    Returns
    -------
    q, k : CUDA tensor
        The normed and rotated tensors.

    Raises
    ------
    TypeError
        As in `apply_rotary_qk`; or if the weights differ in dtype, or an option has another type.
    ValueError
        As in `apply_rotary_qk`; or if the shape of a weight does not fit, or `eps` is negative.
    ImportError
        If CuPy is missing.

    Examples
    --------
    >>> q = torch.randn(1, 4096, 32, 128, device="cuda")  # doctest: +SKIP
    >>> m = torch.arange(4096, device="cuda")  # doctest: +SKIP
    >>> weights = attention.q_norm.weight, attention.k_norm.weight  # doctest: +SKIP
    >>> spectrum = ropelab.Rope(128, base=1e6).spectrum()  # doctest: +SKIP
    >>> with torch.no_grad():  # doctest: +SKIP
    ...     q, k = apply_norm_rotary_qk(q, q[:, :, :8], *weights, m, spectrum)
    """
    outs = {} if out is None else named_pair(out)
    norm = Norm(eps, weight_offset, across_heads)
    place = Placement(tensor_format, layout, output_layout, rotary_offset)
    weights = {"q_weight": q_weight, "k_weight": k_weight}
    word, scales = (None, ()) if scale is None else split_scale(scale, 2)
    present = (weight for weight in weights.values() if weight is not None)
    given = (q, k, *outs.values(), *scales, *present, position_ids)
    stored = (out is None, dtype, word)
    call = _key("apply_norm_rotary_qk", spectrum, weights, angles, norm, place, *stored)
    made = replay(given, call)
    if made is None:
        both, storage = {"q": q, "k": k}, Storage(dtype, scale)
        made = norm_and_rotate(
            both, outs or None, weights, position_ids, spectrum, angles, norm, place, call, storage
        )
    q_out, k_out = made or outs.values()
    return q_out, k_out


def apply_norm_rotary_qk_(
    q: Any,
    k: Any,
    q_weight: Any,
    k_weight: Any,
    position_ids: Any,
    spectrum: AnySpectrum,
    *,
    eps: float = 1e-6,
    weight_offset: float = 0.0,
    across_heads: bool = False,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    output_layout: str | None = None,
    rotary_offset: int = 0,
) -> tuple[Any, Any]:
    """Norm and rotate queries and keys in place, in one launch.

    Parameters
    ----------
    q, k : CUDA tensor of float
        As in `apply_norm_rotary_qk`; views of one packed projection are welcome.
    q_weight, k_weight : CUDA tensor of float, or None
        As in `apply_norm_rotary_qk`.
    position_ids : CUDA tensor of int, Consecutive or Packed
        As in `apply_rotary`.
    spectrum : ropelab.Spectrum or DeviceSpectrum
        As in `apply_norm_rotary_qk`.
    eps : float, default 1e-6
        As in `apply_norm_rotary_qk`.
    weight_offset : float, default 0.0
        As in `apply_norm_rotary_qk`.
    across_heads : bool, default False
        As in `apply_norm_rotary_qk`.
    layout : {"half", "interleaved"}, default "half"
        As in `apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary`.
    angles : {"exact", "float32"}, default "exact"
        As in `apply_rotary`.
    output_layout : {"half", "interleaved"}, optional
        As in `ropelab.apply_rotary`.
    rotary_offset : int, default 0
        As in `ropelab.apply_rotary`.

    Returns
    -------
    q, k : CUDA tensor
        The tensors that were given.

    Raises
    ------
    TypeError
        As in `apply_norm_rotary_qk`.
    ValueError
        As in `apply_norm_rotary_qk`.
    ImportError
        If CuPy is missing.
    """
    norm = Norm(eps, weight_offset, across_heads)
    place = Placement(tensor_format, layout, output_layout, rotary_offset)
    weights = {"q_weight": q_weight, "k_weight": k_weight}
    given = (q, k, *(w for w in weights.values() if w is not None), position_ids)
    call = _key("apply_norm_rotary_qk_", spectrum, weights, angles, norm, place)
    if replay(given, call) is None:
        both = {"q": q, "k": k}
        norm_and_rotate(both, both, weights, position_ids, spectrum, angles, norm, place, call)
    return q, k


def _key(
    name: str,
    spectrum: AnySpectrum,
    weights: dict[str, Any],
    angles: str,
    norm: Norm,
    place: Placement,
    *more: object,
) -> Key:
    """Return all that a plan depends on beside the tensors."""
    there = tuple(weight is not None for weight in weights.values())
    kinds = tuple(type(value) for value in (*norm, place.rotary_offset))
    return (name, id(spectrum), there, angles, norm, place, kinds, *more)

"""Rotating queries and keys on the GPU: `ropelab.rotary`, for tensors in device memory.

Arithmetic is float32, or float64 if tensors come or go in it, and rounds once, at the store.
Channels past the rotary width are copied bit for bit, or converted as the others are. A tensor may
have any strides but the last. The work goes to the caller's current stream; nothing synchronises,
so it can be captured in a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ropelab import Rope
from ropelab.pairs import Placement, Storage

from .calls import named_pair, rotate_by_positions
from .device_spectrum import AnySpectrum
from .replay import replay
from .ropes import spectrum_for
from .storage import split_scale

__all__ = ["apply_rotary", "apply_rotary_qk", "rotate"]


def apply_rotary(
    x: Any,
    position_ids: Any,
    spectrum: AnySpectrum,
    *,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
    dtype: Any = None,
    scale: Any = None,
    out: Any = None,
) -> Any:
    """Rotate each pair of channels by its position times its frequency.

    Parameters
    ----------
    x : CUDA tensor of float64, float32, float16 or bfloat16
        Queries or keys of shape (batch, sequence, heads, head_dim), or as `tensor_format` says: a
        torch.Tensor, a cupy.ndarray, or anything with ``__dlpack__``.
    position_ids : CUDA tensor of int, broadcastable to (batch, sequence) or (tokens,)
        Position of each token, of any integer dtype but uint64; with several position axes in the
        spectrum, a leading axis counts them. In place of ids, `ropelab.positions.Consecutive` or
        `Packed` may say them: the kernel then counts for itself, from an int, or from offsets and
        cumulative lengths on the device, whose values the host never reads. They must be what
        `ropelab.apply_rotary` asks for; if they are not, a token gets some other position, and
        one behind the last sequence of a pack position 0.
    spectrum : ropelab.Spectrum or DeviceSpectrum
        Frequencies and attention factor; its rotary_dim may be smaller than head_dim.
    layout : {"half", "interleaved"}, default "half"
        Which two channels form a pair.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        Order of the axes: b batch, s sequence, h heads, d head_dim, t packed tokens.
    angles : {"exact", "float32"}, default "exact"
        The angle pipeline; see `ropelab.cos_sin`. ``"float32"`` holds for angles below 2**50.
    inverse : bool, default False
        Rotate by minus the position: the transpose, which is also the backward pass. The
        attention factor multiplies both directions.
    output_layout : {"half", "interleaved"}, optional
        As in `ropelab.apply_rotary`.
    rotary_offset : int, default 0
        As in `ropelab.apply_rotary`.
    dtype : str or dtype, optional
        Format of the result: float64, float32, float16, bfloat16, float8_e4m3fn or float8_e5m2, by
        name or as the dtype of any framework; by default that of `x`. The last two saturate, as in
        `ropelab.apply_rotary`.
    scale : float or CUDA tensor of float32 with one element, optional
        What a stored number is multiplied by to read it back, as in `ropelab.apply_rotary`. The
        product with its inverse is stored, which is within an eps of float32 of the quotient. A
        tensor is read on the device alone, so nobody looks whether it is positive.
    out : CUDA tensor, optional
        Where the result goes: `x` itself, or a tensor of its shape, device and framework, and of
        the result's dtype, that shares no memory with it.

    Returns
    -------
    CUDA tensor, shape of `x`
        The rotated tensor: `out`, or a new one of the framework of `x` (CuPy for any framework
        but torch; `ropelab_cuda.arrays` answers JAX with its own).

    Raises
    ------
    TypeError
        If an argument is no tensor that can be taken, or of an unsupported dtype.
    ValueError
        If a device, a shape, a stride or an option does not fit.
    ImportError
        If CuPy is missing.

    Examples
    --------
    >>> q = torch.randn(2, 4096, 32, 128, device="cuda")  # doctest: +SKIP
    >>> m = torch.arange(4096, device="cuda")  # doctest: +SKIP
    >>> apply_rotary(q, m, ropelab.Rope(128).spectrum()).shape  # doctest: +SKIP
    torch.Size([2, 4096, 32, 128])
    """
    how = (tensor_format, layout, output_layout, rotary_offset, inverse)
    word, scales = (None, ()) if scale is None else split_scale(scale, 1)
    call = (
        "apply_rotary",
        id(spectrum),
        angles,
        out is None,
        how,
        type(rotary_offset),
        type(inverse),
        dtype,
        word,
    )
    given = (x, *scales, position_ids) if out is None else (x, out, *scales, position_ids)
    made = replay(given, call)
    if made is None:
        outs = None if out is None else {"out": out}
        tensors, place, storage = {"x": x}, Placement(*how), Storage(dtype, scale)
        made = rotate_by_positions(
            tensors, outs, position_ids, spectrum, angles, place, call, storage
        )
    return made[0] if out is None else out


def apply_rotary_qk(
    q: Any,
    k: Any,
    position_ids: Any,
    spectrum: AnySpectrum,
    *,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
    dtype: Any = None,
    scale: Any = None,
    out: Sequence[Any] | None = None,
) -> tuple[Any, Any]:
    """Rotate queries and keys of the same tokens in one launch; their head counts may differ.

    Parameters
    ----------
    q, k : CUDA tensor of float
        As `x` in `apply_rotary`; grouped-query attention has fewer heads in k.
    position_ids : CUDA tensor of int
        As in `apply_rotary`.
    spectrum : ropelab.Spectrum or DeviceSpectrum
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
        As in `ropelab.apply_rotary`.
    rotary_offset : int, default 0
        As in `ropelab.apply_rotary`.
    dtype : str or dtype, optional
        As in `apply_rotary`, of both results.
    scale : float, CUDA tensor of float32 with one element, or a pair of these, optional
        As in `apply_rotary`; of a pair, the first is for q, the second for k.
    out : (CUDA tensor, CUDA tensor), optional
        Where the results go, as in `apply_rotary`.

    Returns
    -------
    q, k : CUDA tensor
        The rotated tensors.

    Raises
    ------
    TypeError
        As in `apply_rotary`; or if q and k differ in dtype.
    ValueError
        As in `apply_rotary`; or if q and k differ in more than their heads.
    ImportError
        If CuPy is missing.
    """
    how = (tensor_format, layout, output_layout, rotary_offset, inverse)
    word, scales = (None, ()) if scale is None else split_scale(scale, 2)
    call = (
        "apply_rotary_qk",
        id(spectrum),
        angles,
        out is None,
        how,
        type(rotary_offset),
        type(inverse),
        dtype,
        word,
    )
    outs = {} if out is None else named_pair(out)
    made = replay((q, k, *outs.values(), *scales, position_ids), call)
    if made is None:
        tensors, place, storage = {"q": q, "k": k}, Placement(*how), Storage(dtype, scale)
        made = rotate_by_positions(
            tensors, outs or None, position_ids, spectrum, angles, place, call, storage
        )
    q_out, k_out = made or outs.values()
    return q_out, k_out


def rotate(
    rope: Rope,
    q: Any,
    k: Any,
    position_ids: Any,
    *,
    tensor_format: str = "bshd",
    angles: str = "exact",
    seq_len: int | None = None,
    out: Sequence[Any] | None = None,
) -> tuple[Any, Any]:
    """Rotate queries and keys as a model does: its own layout, width and spectrum.

    Parameters
    ----------
    rope : ropelab.Rope
        The model's rotary embedding, from `ropelab.from_transformers` for instance.
    q, k : CUDA tensor of float
        As in `apply_rotary_qk`; their last axis must be ``rope.head_dim``.
    position_ids : CUDA tensor of int
        As in `apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary`.
    angles : {"exact", "float32"}, default "exact"
        As in `apply_rotary`.
    seq_len : int, optional
        Current length, for rules that depend on it; by default as in `ropelab.rotate`, which the
        device finds by itself; see `spectrum_on_device`. That allocates the spectrum's numbers, 28
        bytes a pair, beside the outputs. For a rule of your own, which the device does not know,
        the host reads the positions and so waits; likewise for `Consecutive` or `Packed` that hold
        tensors of a framework other than torch and CuPy, or of several.
    out : (CUDA tensor, CUDA tensor), optional
        As in `apply_rotary_qk`.

    Returns
    -------
    q, k : CUDA tensor
        The rotated tensors.

    Raises
    ------
    TypeError
        As in `apply_rotary_qk`.
    ValueError
        As in `apply_rotary_qk`; or if the head_dim is not the rope's.
    ImportError
        If CuPy is missing.
    """
    spectrum = spectrum_for(rope, q, position_ids, seq_len, tensor_format)
    return apply_rotary_qk(
        q,
        k,
        position_ids,
        spectrum,
        layout=rope.layout,
        output_layout=rope.output_layout,
        rotary_offset=rope.rotary_offset,
        tensor_format=tensor_format,
        angles=angles,
        out=out,
    )

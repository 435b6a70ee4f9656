"""The in-place twins of `rotary.py`, named with a trailing underscore as torch names its own.

Channels past the rotary width are not touched. torch's autograd is told of the change.
"""

from __future__ import annotations

from typing import Any

from ropelab import Rope
from ropelab.pairs import Placement

from .calls import rotate_by_positions
from .device_spectrum import AnySpectrum
from .replay import replay
from .ropes import spectrum_for

__all__ = ["apply_rotary_", "apply_rotary_qk_", "rotate_"]


def apply_rotary_(
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
) -> Any:
    """Rotate a tensor in place.

    Parameters
    ----------
    x : CUDA tensor of float
        As in `apply_rotary`; its elements must not share memory.
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

    Returns
    -------
    CUDA tensor
        `x`.

    Raises
    ------
    TypeError
        As in `apply_rotary`.
    ValueError
        As in `apply_rotary`.
    ImportError
        If CuPy is missing.
    """
    how = (tensor_format, layout, output_layout, rotary_offset, inverse)
    call = ("apply_rotary_", id(spectrum), angles, how, type(rotary_offset), type(inverse))
    if replay((x, position_ids), call) is None:
        one = {"x": x}
        rotate_by_positions(one, one, position_ids, spectrum, angles, Placement(*how), call)
    return x


def apply_rotary_qk_(
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
) -> tuple[Any, Any]:
    """Rotate queries and keys in place, in one launch.

    Parameters
    ----------
    q, k : CUDA tensor of float
        As in `apply_rotary_qk`; views of one packed projection are welcome.
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

    Returns
    -------
    q, k : CUDA tensor
        The tensors that were given.

    Raises
    ------
    TypeError
        As in `apply_rotary_qk`.
    ValueError
        As in `apply_rotary_qk`.
    ImportError
        If CuPy is missing.
    """
    how = (tensor_format, layout, output_layout, rotary_offset, inverse)
    call = ("apply_rotary_qk_", id(spectrum), angles, how, type(rotary_offset), type(inverse))
    if replay((q, k, position_ids), call) is None:
        both = {"q": q, "k": k}
        rotate_by_positions(both, both, position_ids, spectrum, angles, Placement(*how), call)
    return q, k


def rotate_(
    rope: Rope,
    q: Any,
    k: Any,
    position_ids: Any,
    *,
    tensor_format: str = "bshd",
    angles: str = "exact",
    seq_len: int | None = None,
) -> tuple[Any, Any]:
    """Rotate queries and keys in place as a model does.

    Parameters
    ----------
    rope : ropelab.Rope
        As in `rotate`.
    q, k : CUDA tensor of float
        As in `apply_rotary_qk_`.
    position_ids : CUDA tensor of int
        As in `apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary`.
    angles : {"exact", "float32"}, default "exact"
        As in `apply_rotary`.
    seq_len : int, optional
        As in `rotate`.

    Returns
    -------
    q, k : CUDA tensor
        The tensors that were given.

    Raises
    ------
    TypeError
        As in `rotate`.
    ValueError
        As in `rotate`.
    ImportError
        If CuPy is missing.
    """
    return apply_rotary_qk_(
        q,
        k,
        position_ids,
        spectrum_for(rope, q, position_ids, seq_len, tensor_format),
        layout=rope.layout,
        output_layout=rope.output_layout,
        rotary_offset=rope.rotary_offset,
        tensor_format=tensor_format,
        angles=angles,
    )

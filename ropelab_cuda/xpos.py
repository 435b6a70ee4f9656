"""xPos on the GPU: `ropelab.xpos`, for tensors in device memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ropelab import Spectrum
from ropelab.pairs import Placement, Storage
from ropelab.xpos import check_decay

from .calls import named_pair, rotate_by_positions
from .decay import Decay
from .replay import replay
from .storage import split_scale

__all__ = ["apply_xpos_qk", "apply_xpos_qk_"]


def apply_xpos_qk(
    q: Any,
    k: Any,
    position_ids: Any,
    spectrum: Spectrum,
    *,
    scale_base: float = 512.0,
    centre: int = 0,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    inverse: bool = False,
    dtype: Any = None,
    scale: Any = None,
    out: Sequence[Any] | None = None,
) -> tuple[Any, Any]:
    """Rotate queries and keys of the same tokens, and scale them as xPos does, in one launch.

    Parameters
    ----------
    q, k : CUDA tensor of float
        As in `ropelab_cuda.apply_rotary_qk`.
    position_ids : CUDA tensor of int
        As in `ropelab_cuda.apply_rotary`. They are not read on the host, so nobody looks how far
        from the centre they are: where the decay leaves float64's range, which `ropelab` refuses,
        results are 0, infinite or NaN.
    spectrum : ropelab.Spectrum
        Frequencies and attention factor, of one position axis.
    scale_base : float, default 512.0
        Tokens B after which a pair has decayed by its whole base.
    centre : int, default 0
        Position at which nothing is scaled; see `ropelab.xpos.xpos_scale`.
    layout : {"half", "interleaved"}, default "half"
        Which two channels form a pair; torchscale's are interleaved.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `ropelab_cuda.apply_rotary`.
    angles : {"exact", "float32"}, default "exact"
        The angle pipeline. The decay is float64 in both.
    inverse : bool, default False
        The transpose, which is also the backward pass, as in `ropelab.apply_xpos_qk`.
    dtype : str or dtype, optional
        As in `ropelab_cuda.apply_rotary`, of both results.
    scale : float, CUDA tensor of float32 with one element, or a pair of these, optional
        As in `ropelab_cuda.apply_rotary_qk`; it has nothing to do with the decay.
    out : (CUDA tensor, CUDA tensor), optional
        Where the results go, as in `ropelab_cuda.apply_rotary_qk`.

    Returns
    -------
    q, k : CUDA tensor
        The rotated and scaled tensors.

    Raises
    ------
    TypeError
        As in `ropelab_cuda.apply_rotary_qk`.
    ValueError
        As in `ropelab_cuda.apply_rotary_qk`; or if an option does not fit.
    ImportError
        If CuPy is missing.
    """
    decay = Decay(*check_decay(spectrum, scale_base, centre))
    place = Placement(tensor_format, layout, inverse=inverse)
    outs = {} if out is None else named_pair(out)
    word, scales = (None, ()) if scale is None else split_scale(scale, 2)
    how = (place, type(inverse), decay, dtype, word)
    call = ("apply_xpos_qk", id(spectrum), angles, out is None, *how)
    made = replay((q, k, *outs.values(), *scales, position_ids), call)
    if made is None:
        both, storage = {"q": q, "k": k}, Storage(dtype, scale)
        made = rotate_by_positions(
            both, outs or None, position_ids, spectrum, angles, place, call, storage, decay
        )
    q_out, k_out = made or outs.values()
    return q_out, k_out


def apply_xpos_qk_(
    q: Any,
    k: Any,
    position_ids: Any,
    spectrum: Spectrum,
    *,
    scale_base: float = 512.0,
    centre: int = 0,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    inverse: bool = False,
) -> tuple[Any, Any]:
    """Rotate queries and keys in place, and scale them as xPos does, in one launch.

    Parameters
    ----------
    q, k : CUDA tensor of float
        As in `ropelab_cuda.apply_rotary_qk_`.
    position_ids : CUDA tensor of int
        As in `apply_xpos_qk`.
    spectrum : ropelab.Spectrum
        As in `apply_xpos_qk`.
    scale_base : float, default 512.0
        As in `apply_xpos_qk`.
    centre : int, default 0
        As in `apply_xpos_qk`.
    layout : {"half", "interleaved"}, default "half"
        As in `apply_xpos_qk`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `ropelab_cuda.apply_rotary`.
    angles : {"exact", "float32"}, default "exact"
        As in `apply_xpos_qk`.
    inverse : bool, default False
        As in `apply_xpos_qk`.

    Returns
    -------
    q, k : CUDA tensor
        The tensors that were given.

    Raises
    ------
    TypeError
        As in `apply_xpos_qk`.
    ValueError
        As in `apply_xpos_qk`.
    ImportError
        If CuPy is missing.
    """
    decay = Decay(*check_decay(spectrum, scale_base, centre))
    place = Placement(tensor_format, layout, inverse=inverse)
    call = ("apply_xpos_qk_", id(spectrum), angles, place, type(inverse), decay)
    if replay((q, k, position_ids), call) is None:
        both = {"q": q, "k": k}
        rotate_by_positions(both, both, position_ids, spectrum, angles, place, call, decay=decay)
    return q, k

"""Rotating queries and keys inside torch models.

Where nobody records gradients, traces or transforms, a call goes straight to the kernels, or on the
CPU to the specification; else through an operator, which has a gradient of its own.
"""

from __future__ import annotations

import torch

from ropelab import Spectrum
from ropelab.checks import check_same_tokens
from ropelab.pairs import Placement
from ropelab.positions import Consecutive, Packed

from . import autograd, batching, fakes, on_cpu, on_cuda, ops
from .again import overwritten_again, rotated_again
from .options import flag, of_schema, read_once
from .plain import are_plain, check_tensors
from .positions import PositionIds, listed
from .spectra import SpectrumText, described

__all__ = ["apply_rotary", "apply_rotary_", "apply_rotary_cached"]

del autograd, batching, fakes  # which have registered what they have


def apply_rotary(
    q: torch.Tensor,
    k: torch.Tensor,
    position_ids: PositionIds,
    spectrum: Spectrum | SpectrumText,
    *,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys of the same tokens; gradients flow to both.

    It can be compiled, checkpointed, transformed by torch.func and differentiated again. Under
    autocast it keeps the dtype of its inputs, the wider one if they differ.

    Parameters
    ----------
    q, k : torch.Tensor of float64, float32, float16 or bfloat16
        Queries and keys of shape (batch, sequence, heads, head_dim), or as `tensor_format` says,
        of one dtype and device. Their head counts may differ.
    position_ids : torch.Tensor of int, broadcastable to (batch, sequence) or (tokens,)
        As in `ropelab.apply_rotary`, on the device of `q`; or a `ropelab.positions.Consecutive`
        or `Packed`, of numbers or of tensors on that device.
    spectrum : ropelab.Spectrum or SpectrumText
        Frequencies and attention factor; `spectrum_for` returns either. Under torch.compile a
        Spectrum has to be made outside of what is compiled.
    layout : {"half", "interleaved"}, default "half"
        As in `ropelab.apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `ropelab.apply_rotary`.
    angles : {"exact", "float32"}, default "exact"
        As in `ropelab.apply_rotary`.
    inverse : bool, default False
        As in `ropelab.apply_rotary`.
    output_layout : {"half", "interleaved"}, optional
        As in `ropelab.apply_rotary`.
    rotary_offset : int, default 0
        As in `ropelab.apply_rotary`.

    Returns
    -------
    q, k : torch.Tensor
        New tensors with the axes in memory ordered as in those that were given.

    Raises
    ------
    TypeError
        If an argument has another type, or a dtype is not supported or not that of the other.
    ValueError
        If a device, a shape or an option does not fit.
    NotImplementedError
        In forward-mode AD.

    Examples
    --------
    >>> import ropelab
    >>> q, k = torch.ones(1, 3, 4, 8, requires_grad=True), torch.ones(1, 3, 2, 8)
    >>> q_out, k_out = apply_rotary(q, k, torch.arange(3), ropelab.Rope(8).spectrum())
    >>> q_out.shape, q_out.requires_grad
    (torch.Size([1, 3, 4, 8]), True)
    """
    how = (tensor_format, layout, output_layout, rotary_offset, inverse)
    made = rotated_again(q, k, position_ids, spectrum, angles, how)
    if made is not None:
        return made
    if are_plain(*_tensors(q, k, position_ids, spectrum)):
        rotate = on_cuda.rotary_qk if q.is_cuda else on_cpu.rotary_qk
        return rotate(
            *(q, k, position_ids, spectrum),
            layout=layout,
            tensor_format=tensor_format,
            angles=angles,
            inverse=inverse,
            output_layout=output_layout,
            rotary_offset=rotary_offset,
        )
    check_tensors(q=q, k=k)
    how = of_schema(how, angles)
    ids = listed(position_ids, q, tensor_format)
    q_out, k_out = ops.rotary_qk(q, k, ids, *described(spectrum), angles, *how)
    return q_out, k_out


def apply_rotary_(
    q: torch.Tensor,
    k: torch.Tensor,
    position_ids: PositionIds,
    spectrum: Spectrum | SpectrumText,
    *,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys in place; autograd notices that they have changed.

    Parameters
    ----------
    q, k : torch.Tensor of float
        As in `apply_rotary`; they share no memory, and where gradients are recorded require none.
    position_ids : torch.Tensor of int, Consecutive or Packed
        As in `apply_rotary`.
    spectrum : ropelab.Spectrum or SpectrumText
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

    Returns
    -------
    q, k : torch.Tensor
        The tensors that were given.

    Raises
    ------
    TypeError
        As in `apply_rotary`.
    ValueError
        As in `apply_rotary`; or if a tensor requires grad, or shares memory with the other.
    NotImplementedError
        In forward-mode AD, and under the transforms of torch.func.

    Examples
    --------
    >>> import ropelab
    >>> q, k = torch.ones(1, 3, 4, 8), torch.ones(1, 3, 2, 8)
    >>> apply_rotary_(q, k, torch.arange(3), ropelab.Rope(8).spectrum())[0] is q
    True
    """
    how = (tensor_format, layout, output_layout, rotary_offset, inverse)
    if overwritten_again(q, k, position_ids, spectrum, angles, how):
        return q, k
    if are_plain(*_tensors(q, k, position_ids, spectrum)):
        rotate = on_cuda.rotary_qk_ if q.is_cuda else on_cpu.rotary_qk_
        rotate(
            *(q, k, position_ids, spectrum),
            layout=layout,
            tensor_format=tensor_format,
            angles=angles,
            inverse=inverse,
            output_layout=output_layout,
            rotary_offset=rotary_offset,
        )
        return q, k
    check_tensors(q=q, k=k)
    if torch._C._are_functorch_transforms_active():
        msg = (
            "apply_rotary_: a transform of torch.func expects functions that overwrite nothing; "
            "use apply_rotary"
        )
        raise NotImplementedError(msg)
    how = of_schema(how, angles)
    _check_settled(q=q, k=k)
    ids = listed(position_ids, q, tensor_format)
    ops.rotary_qk_(q, k, ids, *described(spectrum), angles, *how)
    return q, k


def apply_rotary_cached(
    q: torch.Tensor,
    k: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    *,
    repeated: bool = False,
    layout: str = "half",
    tensor_format: str = "bshd",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys by given cosines and sines; gradients flow to all four.

    Parameters
    ----------
    q, k : torch.Tensor of float
        As in `apply_rotary`; here their dtypes may differ, for two launches in place of one.
    cos, sin : torch.Tensor of float, broadcastable to (batch, sequence, d/2) or (tokens, d/2)
        One value a pair, as in `ropelab.apply_rotary_cached`; both of one dtype, which need not be
        that of `q`.
    repeated : bool, default False
        Whether the tables have width d, as Transformers' do: each value stands in both columns of
        its pair. The first is read, and has the gradient; see `ropelab.apply_rotary_cached`.
    layout : {"half", "interleaved"}, default "half"
        As in `apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary`.
    inverse : bool, default False
        As in `apply_rotary`.
    output_layout : {"half", "interleaved"}, optional
        As in `apply_rotary`.
    rotary_offset : int, default 0
        As in `apply_rotary`.

    Returns
    -------
    q, k : torch.Tensor
        New tensors, as in `apply_rotary`.

    Raises
    ------
    TypeError
        As in `apply_rotary`.
    ValueError
        As in `apply_rotary`.
    NotImplementedError
        In forward-mode AD.

    Examples
    --------
    >>> q, k = torch.ones(1, 3, 4, 8), torch.ones(1, 3, 2, 8)
    >>> cos, sin = torch.zeros(3, 4), torch.ones(3, 4, requires_grad=True)
    >>> apply_rotary_cached(q, k, cos, sin)[1][0, 0, 0].tolist()
    [-1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0]
    """
    how = (tensor_format, layout, output_layout, rotary_offset, inverse)
    if are_plain(q, k, cos, sin):
        check_same_tokens(tuple(q.shape), tuple(k.shape), tensor_format)
        rotate = on_cuda.rotary_cached_qk if q.is_cuda else on_cpu.rotary_cached_qk
        return rotate(q, k, cos, sin, repeated=repeated, **Placement(*how)._asdict())
    check_tensors(q=q, k=k, cos=cos, sin=sin)
    how = of_schema(how)
    check_same_tokens(tuple(q.shape), tuple(k.shape), tensor_format)
    if flag(repeated, "repeated"):
        cos, sin = (
            read_once(table, q.shape[-1], how, name) for table, name in ((cos, "cos"), (sin, "sin"))
        )
    return ops.rotary_cached(q, cos, sin, *how), ops.rotary_cached(k, cos, sin, *how)


def _check_settled(**tensors: torch.Tensor) -> None:
    """Raise ValueError if the memory that is to be overwritten holds other numbers."""
    for name, x in tensors.items():
        if not torch.compiler.is_dynamo_compiling() and x.is_neg():
            msg = (
                f"{name}: expected a tensor whose memory holds its values; got one with a pending "
                f"negation; call .resolve_neg() first"
            )
            raise ValueError(msg)


def _tensors(
    q: torch.Tensor,
    k: torch.Tensor,
    position_ids: PositionIds,
    spectrum: Spectrum | SpectrumText,
) -> tuple[torch.Tensor, ...]:
    """Return all tensors of a call."""
    given = (q, k) if isinstance(position_ids, (Consecutive, Packed)) else (q, k, position_ids)
    if type(spectrum) is SpectrumText and spectrum.numbers is not None:
        return (*given, spectrum.numbers)
    return given

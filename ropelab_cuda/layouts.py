"""Channels moved from one layout to the other: `ropelab.layouts`, for tensors in device memory.

For activations, at each step; the rows of a projection's weight are moved once, by
`ropelab.permute_qk_weight`. Bits are moved, of any dtype, and never computed with. The work goes to
the caller's current stream; nothing synchronises, so it can be captured in a CUDA graph.
"""

from __future__ import annotations

from typing import Any

from ropelab.checks import check_channels

from .calls import AS_IT_CAME, launch_and_remember, outputs_of
from .exchange import Gate
from .launch_permute import plan_permute
from .recordings import Key
from .replay import replay

__all__ = ["to_half", "to_half_", "to_interleaved", "to_interleaved_"]


def to_interleaved(x: Any, rotary_dim: int | None = None, *, out: Any = None) -> Any:
    """Reorder channels from the half to the interleaved layout.

    Parameters
    ----------
    x : CUDA tensor of any dtype
        Queries or keys, whose last axis holds the channels of one head: a torch.Tensor, a
        cupy.ndarray, or anything with ``__dlpack__``. Of another axis pass a view in which it is
        the last, as ``x.movedim(axis, -1)`` is.
    rotary_dim : int, optional
        Only the first `rotary_dim` channels are reordered; by default all.
    out : CUDA tensor, optional
        Where the result goes: `x` itself, or a tensor of its shape, dtype, device and framework
        that shares no memory with it.

    Returns
    -------
    CUDA tensor, shape and dtype of `x`
        `out`, or a new tensor of the framework of `x` (CuPy for any framework but torch).

    Raises
    ------
    TypeError
        If `x` is no tensor that can be taken, or `rotary_dim` no integer.
    ValueError
        If `rotary_dim` is odd or larger than the last axis, or a device, a shape or a stride does
        not fit.
    ImportError
        If CuPy is missing.

    Examples
    --------
    >>> x = torch.arange(6, device="cuda")  # doctest: +SKIP
    >>> to_interleaved(x, rotary_dim=4).tolist()  # doctest: +SKIP
    [0, 2, 1, 3, 4, 5]
    """
    return _permuted(x, rotary_dim, out, ("half", "interleaved"))


def to_half(x: Any, rotary_dim: int | None = None, *, out: Any = None) -> Any:
    """Reorder channels from the interleaved to the half layout.

    Parameters
    ----------
    x : CUDA tensor of any dtype
        As in `to_interleaved`.
    rotary_dim : int, optional
        Only the first `rotary_dim` channels are reordered; by default all.
    out : CUDA tensor, optional
        As in `to_interleaved`.

    Returns
    -------
    CUDA tensor, shape and dtype of `x`
        As in `to_interleaved`.

    Raises
    ------
    TypeError
        As in `to_interleaved`.
    ValueError
        As in `to_interleaved`.
    ImportError
        If CuPy is missing.
    """
    return _permuted(x, rotary_dim, out, ("interleaved", "half"))


def to_interleaved_(x: Any, rotary_dim: int | None = None) -> Any:
    """Reorder channels from the half to the interleaved layout in place.

    Parameters
    ----------
    x : CUDA tensor of any dtype
        As in `to_interleaved`; its elements must not share memory.
    rotary_dim : int, optional
        Only the first `rotary_dim` channels are reordered; by default all.

    Returns
    -------
    CUDA tensor
        `x`.

    Raises
    ------
    TypeError
        As in `to_interleaved`.
    ValueError
        As in `to_interleaved`; or if a block of threads cannot hold a row: of more than 1,024
        channels, or 16 KB of them if all rows are aligned to 16 bytes.
    ImportError
        If CuPy is missing.
    """
    return _permuted(x, rotary_dim, x, ("half", "interleaved"))


def to_half_(x: Any, rotary_dim: int | None = None) -> Any:
    """Reorder channels from the interleaved to the half layout in place.

    Parameters
    ----------
    x : CUDA tensor of any dtype
        As in `to_interleaved_`.
    rotary_dim : int, optional
        Only the first `rotary_dim` channels are reordered; by default all.

    Returns
    -------
    CUDA tensor
        `x`.

    Raises
    ------
    TypeError
        As in `to_interleaved`.
    ValueError
        As in `to_interleaved_`.
    ImportError
        If CuPy is missing.
    """
    return _permuted(x, rotary_dim, x, ("interleaved", "half"))


def _permuted(x: Any, rotary_dim: int | None, out: Any, layouts: tuple[str, str]) -> Any:
    in_place = out is x
    call = ("permute", layouts, rotary_dim, type(rotary_dim), in_place, out is None)
    made = replay((x,) if in_place or out is None else (x, out), call)
    if made is None:
        tensors = {"x": x}
        outs = None if out is None else tensors if in_place else {"out": out}
        made = _permuted_the_whole_way(tensors, outs, rotary_dim, layouts, call)
    return made[0] if out is None else out


def _permuted_the_whole_way(
    tensors: dict[str, Any],
    outs: dict[str, Any] | None,
    rotary_dim: int | None,
    layouts: tuple[str, str],
    call: Key,
) -> tuple[Any, ...]:
    """Take, check, allocate, plan, launch, remember the plan; see `calls`."""
    ((name, x),) = tensors.items()
    gate = Gate(x, name)
    views = {name: gate.elements(x, name)}
    _, d = check_channels(views[name].shape, rotary_dim, -1)
    results, operands = outputs_of(gate, tensors, views, outs, [], AS_IT_CAME)
    plan = plan_permute(*operands[0], d // 2, layouts)
    launch_and_remember(gate, plan, call, tensors, outs, results, operands, [])
    return results

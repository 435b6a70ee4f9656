"""Calls that need nothing of torch's dispatcher, which would take longer than a launch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import forward_ad

__all__ = [
    "are_plain",
    "check_no_grad",
    "check_no_tangent",
    "check_not_of_inference",
    "check_tensors",
]

Guard = Callable[..., bool]

_guards: dict[int, Guard] = {}  # the last one that was made for so many tensors


def _keys(*names: str) -> torch._C.DispatchKeySet:
    keys = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, names[0]))
    for name in names[1:]:
        keys = keys | torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, name))
    return keys


# What the dispatcher does about tensors of a device before it comes to their kernel: nothing.
_ALLOWED = [
    _keys(device, f"Autograd{device}", "ADInplaceOrView", "BackendSelect")
    for device in ("CPU", "CUDA")
]


def are_plain(*tensors: torch.Tensor) -> bool:
    """Return whether an operator's kernel may be called with these tensors at once.

    So it is if none requires grad, all are plain tensors on CPU or all on CUDA, and nobody
    watches: no mode, transform, tracing or autocast.

    Parameters
    ----------
    *tensors : torch.Tensor
        The inputs.

    Returns
    -------
    bool
        False, too, if anything is no tensor.
    """
    if (
        torch.compiler.is_dynamo_compiling()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
        or forward_ad._current_level >= 0
    ):
        return False
    for x in tensors:  # torch ends the process if a guard looks at a nested tensor
        if getattr(x, "is_nested", True):
            return False
    # torch's own guard says in a quarter of a microsecond whether tensors are like the last ones
    # in type, dtype, device, need of a gradient, and all that the dispatcher would ask for.
    guard = _guards.get(len(tensors))
    if guard is not None and guard(*tensors):
        return True
    if not all(type(x) is torch.Tensor and not x.requires_grad for x in tensors):
        return False
    if not _reach_kernel(tensors):
        return False
    _guards[len(tensors)] = _guard(tensors)
    return True


def _reach_kernel(tensors: tuple[torch.Tensor, ...]) -> bool:
    keys = torch._C._dispatch_tls_local_include_set()
    for x in tensors:
        keys = keys | torch._C._dispatch_keys(x)
    keys = keys - torch._C._dispatch_tls_local_exclude_set()
    return any(keys - allowed == allowed - allowed for allowed in _ALLOWED)


def _guard(tensors: tuple[torch.Tensor, ...]) -> Guard:
    """Return a guard that knows tensors like these, of whatever lengths and strides."""
    any_lengths: Any = [[None] * x.ndim for x in tensors]
    guard: Guard = torch._C._dynamo.guards.TensorGuards(
        *tensors, dynamic_dims_sizes=any_lengths, dynamic_dims_strides=any_lengths
    ).check
    return guard


def check_tensors(**tensors: object) -> None:
    """Raise TypeError unless all are tensors of torch that have a number at each place.

    Parameters
    ----------
    **tensors : object
        What a caller gave, by the names of the arguments.

    Raises
    ------
    TypeError
        If one is something else, or nested or sparse.
    """
    for name, x in tensors.items():
        if not isinstance(x, torch.Tensor):
            msg = (
                f"{name}: expected a torch.Tensor; got {type(x).__name__}; "
                f"torch.as_tensor({name}) makes one"
            )
            raise TypeError(msg)
        if x.is_nested:
            msg = (
                f"{name}: expected a dense tensor; got a nested one; pad it by "
                f".to_padded_tensor(0), or pass its tokens packed, by tensor_format='thd'"
            )
            raise TypeError(msg)
        if x.layout is not torch.strided:
            msg = f"{name}: expected a dense tensor; got one of {x.layout}; call .to_dense()"
            raise TypeError(msg)


def check_no_grad(**tensors: torch.Tensor) -> None:
    """Raise ValueError if overwriting a tensor would lose its gradient.

    Parameters
    ----------
    **tensors : torch.Tensor
        What is to be overwritten, by the names of the arguments.

    Raises
    ------
    ValueError
        If one requires grad, and gradients are recorded.
    """
    for name, x in tensors.items():
        if x.requires_grad and torch.is_grad_enabled():
            kind = "a leaf that requires grad" if x.is_leaf else "one that requires grad"
            msg = (
                f"{name}: expected a tensor that may be overwritten; got {kind}; use apply_rotary, "
                f"which records gradients, or call under torch.no_grad()"
            )
            raise ValueError(msg)


def check_not_of_inference(**tensors: torch.Tensor) -> None:
    """Raise ValueError if torch forbids to overwrite a tensor, which it says after it has written.

    Parameters
    ----------
    **tensors : torch.Tensor
        What is to be overwritten, by the names of the arguments.

    Raises
    ------
    ValueError
        If one was made in inference mode, and this is outside of it.
    """
    for name, x in tensors.items():
        if x.is_inference() and not torch.is_inference_mode_enabled():
            msg = (
                f"{name}: expected a tensor that may be overwritten; got one of inference mode, "
                f"which only that may overwrite; call .clone() first"
            )
            raise ValueError(msg)


def check_no_tangent(*tensors: torch.Tensor) -> None:
    """Raise NotImplementedError if forward-mode AD asks for a derivative, lest it take none for 0.

    Parameters
    ----------
    *tensors : torch.Tensor
        The inputs.

    Raises
    ------
    NotImplementedError
        If one carries a tangent.
    """
    if forward_ad._current_level >= 0 and any(
        forward_ad.unpack_dual(x).tangent is not None  # type: ignore[no-untyped-call]
        for x in tensors
    ):
        msg = (
            "forward-mode AD is not implemented for rotations; expected tensors without a "
            "tangent; use reverse mode, torch.func.vjp or jacrev"
        )
        raise NotImplementedError(msg)

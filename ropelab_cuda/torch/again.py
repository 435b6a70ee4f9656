"""Calls that are like the last one of their kind: launched at once, past all that was checked then.

Torch's own guard says so, and that nobody records gradients, transforms or autocasts. The plans are
those of `ropelab_cuda.apply_rotary_qk` and of its twin in place, under whose keys they are found.
"""

from __future__ import annotations

from typing import Any

import torch

from ..replay import replay_like_last

__all__ = ["overwritten_again", "rotated_again"]

How = tuple[str, str, str | None, int, bool]
"""Tensor format, layouts in and out, offset, inverse."""


def rotated_again(
    q: torch.Tensor, k: torch.Tensor, position_ids: Any, spectrum: Any, angles: str, how: How
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Rotate queries and keys as the last call did; return None if this is another one."""
    if _is_watched():
        return None
    kinds = type(how[3]), type(how[4])  # for 1 == True
    call = ("apply_rotary_qk", id(spectrum), angles, True, how, *kinds, None, None)
    made: tuple[torch.Tensor, torch.Tensor] | None
    made = replay_like_last((q, k, position_ids), call)
    return made


def overwritten_again(
    q: torch.Tensor, k: torch.Tensor, position_ids: Any, spectrum: Any, angles: str, how: How
) -> bool:
    """Overwrite queries and keys as the last call did; return False if this is another one."""
    if _is_watched():
        return False
    call = ("apply_rotary_qk_", id(spectrum), angles, how, type(how[3]), type(how[4]))
    try:
        if q.is_inference() or k.is_inference():  # which a guard does not always tell
            return False
    except AttributeError:  # no tensors
        return False
    return replay_like_last((q, k, position_ids), call) is not None


def _is_watched() -> bool:
    """Say whether a call is traced, or a mode of torch wants to see it."""
    return bool(
        torch.compiler.is_dynamo_compiling()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
    )

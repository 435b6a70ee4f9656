"""Calls that were checked and planned before, launched again at little cost.

A plan depends on shapes, strides, dtypes and options, not on where tensors lie. So the first call
of a kind goes the whole way (calls.py); later ones read what DLPack says of their tensors, find the
plan by it, write the new addresses into its parameters, and launch. What depends on addresses or on
the moment is asked each time: gradients, pending negations, shared memory, the device, the stream.

Most calls are like the last one with their options. So that one's plan is tried first: torch's own
guard says in half a microsecond whether the tensors are alike, for which DLPack takes ten times as
long.

Only plain torch tensors with DLPack's C exchange API are replayed; everything else goes the whole
way at each call, with the same result.
"""

from __future__ import annotations

from typing import Any

from .recordings import MOST_PLANS, Key, Plans, Recording, signature, thread

__all__ = ["replay", "replay_like_last"]


def replay(
    tensors: tuple[Any, ...], call: Key, numbers: tuple[int, ...] = ()
) -> tuple[Any, ...] | None:
    """Launch a plan that is known.

    Parameters
    ----------
    tensors : tuple
        Inputs and given outputs; those of integers come last.
    call : tuple
        Which function, and all options that a plan depends on. An object is there as its id; the
        recording keeps it alive. Beside numbers and flags stand their types, for ``1 == True``.
    numbers : tuple of int, default ()
        Integers of 64 bits that the plan does not depend on.

    Returns
    -------
    tuple of torch.Tensor or None
        New outputs, if the call makes any; None if it has to go the whole way.
    """
    mine = thread.mine
    # Some tensors of a transform of torch.func crash when they are exported, and tangents that are
    # carried forward would be lost.
    if mine is None or mine.torch.in_transform() or mine.torch.carries_tangents():
        return None
    try:
        recording = mine.latest.get(call)
    except TypeError:  # not hashable
        return None
    if recording is not None and _is_like(mine, recording, tensors):
        pointers = tuple([x.data_ptr() for x in tensors])
        if not _any_odd(pointers):
            return _launch(mine, recording, tensors, pointers, numbers)
    return _replay_by_signature(mine, tensors, call, numbers)


def replay_like_last(tensors: tuple[Any, ...], call: Key) -> tuple[Any, ...] | None:
    """Launch the plan of the last such call, if torch itself sees no difference to it.

    Unlike `replay` it takes no plan for tensors that torch would dispatch otherwise: of which it
    records gradients, or under autocast.

    Parameters
    ----------
    tensors : tuple
        As in `replay`.
    call : tuple
        As in `replay`.

    Returns
    -------
    tuple of torch.Tensor or None
        As `replay` does; None, too, if another plan would fit.
    """
    mine = thread.mine
    if mine is None or mine.torch.in_transform() or mine.torch.carries_tangents():
        return None
    try:
        recording = mine.latest.get(call)
    except TypeError:
        return None
    if recording is None or not _is_like(mine, recording, tensors):
        return None
    pointers = tuple([x.data_ptr() for x in tensors])
    return None if _any_odd(pointers) else _launch(mine, recording, tensors, pointers, ())


def _any_odd(pointers: tuple[int, ...]) -> bool:
    """Say whether an address is none, or less aligned than a guard takes for granted."""
    bits = 0
    for pointer in pointers:  # a generator would take as long as the rest
        if not pointer:
            return True
        bits |= pointer
    return bits & 15 != 0


def _is_like(mine: Plans, recording: Recording, tensors: tuple[Any, ...]) -> bool:
    """Say whether a plan's guard knows the tensors."""
    if recording.guard is None or (recording.needs_no_grad and mine.torch.grad_enabled()):
        return False
    for x in tensors:  # torch ends the process if a guard looks at a nested tensor
        if getattr(x, "is_nested", True):
            return False
    return recording.guard(*tensors)


def _replay_by_signature(
    mine: Plans, tensors: tuple[Any, ...], call: Key, numbers: tuple[int, ...]
) -> tuple[Any, ...] | None:
    """Find the plan among all that are known."""
    if mine.torch.has_modes():  # what is allocated under one may be no tensor
        return None
    try:
        key, pointers = signature(mine, tensors, call)
        recording = mine.plans.get(key)
    except (RuntimeError, TypeError):  # not exported, or not hashable: for the gate to say
        return None
    if recording is None:
        return None
    grad = mine.torch.grad_enabled()
    for x in tensors[: recording.floats]:
        if x.is_neg() or (grad and x.requires_grad):
            return None
    made = _launch(mine, recording, tensors, pointers, numbers)
    if made is not None and not any(pointer & 15 for pointer in pointers):  # as the guard has it
        _try_first(mine, recording, tensors, call)
    return made


def _try_first(mine: Plans, recording: Recording, tensors: tuple[Any, ...], call: Key) -> None:
    """Let the next call with these options try this plan first."""
    was_tried = mine.latest.get(call) is recording
    if (was_tried or recording.guard is None) and recording.guards_left:
        recording.guards_left -= 1
        recording.guard = mine.torch.guard(tensors)
        recording.needs_no_grad = any(x.requires_grad for x in tensors)
    if len(mine.latest) >= MOST_PLANS:
        mine.latest.clear()
    mine.latest[call] = recording


def _launch(
    mine: Plans,
    recording: Recording,
    tensors: tuple[Any, ...],
    pointers: tuple[int, ...],
    numbers: tuple[int, ...],
) -> tuple[Any, ...] | None:
    """Launch a plan for tensors that it fits, unless one would overwrite another."""
    torch = mine.torch
    if torch.has_several_devices and torch.current_device() != recording.device:
        return None
    made: tuple[Any, ...] = ()
    if recording.made:
        made = tuple([torch.allocate(*one) for one in recording.made])
        pointers = (*pointers, *[one.data_ptr() for one in made])
    if pointers != recording.held and not recording.move(pointers):
        return None
    if numbers:
        recording.tell(numbers)
    recording.launch(torch.raw_stream(recording.device))
    if recording.written:
        torch.bump(tensors[recording.written])
    return made

"""Calls that were checked and planned before, launched again at little cost.

A plan depends on shapes, strides, dtypes and options, not on where tensors lie. So the first call
of a kind goes the whole way (calls.py); later ones read what DLPack says of their tensors, find the
plan by it, write the new addresses into its parameters, and launch. What depends on addresses or on
the moment is asked each time: gradients, pending negations, shared memory, the device, the stream.

Only plain torch tensors with DLPack's C exchange API are replayed; everything else goes the whole
way at each call, with the same result.
"""

from __future__ import annotations

import ctypes
import struct
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ropelab.dlpack import DLTensor

from .launch import OUTPUT_FORMATS, Plan
from .launcher import Launch
from .overlaps import reach
from .torch_tensors import QuickTorch, torch_framework
from .views import View

__all__ = ["Key", "Recording", "remember", "replay"]

MOST_PLANS = 4096  # of a thread; a few kilobytes each
MOST_TENSORS = 8  # of a call

# A DLTensor: address, device, rank and dtype, address of the shape, of the strides, byte offset.
_DLTENSOR = "QqqQQQ"
_BYTES = ctypes.sizeof(DLTensor)
_one, _three = (struct.Struct("=" + n * _DLTENSOR).unpack_from for n in (1, 3))

# torch keeps shape and strides side by side, for up to five axes this many bytes apart.
_APART, _BOTH = 40, 80

# All memory, of which a slice is a copy of the bytes at an address.
_memory = (ctypes.c_char * (1 << 47)).from_address(0)

Key = tuple[Any, ...]


class Recording(NamedTuple):
    """One plan with its kernel loaded.

    Parameters
    ----------
    launch : callable or None
        Launches it on a stream; None if there is nothing to do.
    words : memoryview
        The plan's parameters, as 64-bit words.
    addresses : tuple of (int, int, int)
        A word, the tensor whose address it holds, and what is added to that.
    meetings : tuple of (int, int, int, int, set of int)
        Two tensors, of which one is written; the differences of their addresses between which
        their ranges meet; and those differences at which they share no element all the same.
    made : tuple of (shape, strides, dtype)
        Outputs to allocate.
    floats : int
        How many of the caller's tensors, the first ones, hold floating-point numbers.
    written : slice
        Tensors of the caller that are written.
    device : int
        Where it was loaded.
    owners : tuple
        Whatever must stay alive: the structure, the spectrum.
    """

    launch: Launch | None
    words: Any
    addresses: tuple[tuple[int, int, int], ...]
    meetings: tuple[tuple[int, int, int, int, set[int]], ...]
    made: tuple[tuple[Any, Any, Any], ...]
    floats: int
    written: slice
    device: int
    owners: tuple[object, ...]


class _Thread(threading.local):
    """A thread's plans; their parameters are rewritten, so no other thread may use them."""

    def __init__(self) -> None:
        self.plans: dict[Key, Recording] = {}
        self.room = (ctypes.c_uint8 * (MOST_TENSORS * _BYTES))()
        start = ctypes.addressof(self.room)
        self.places = tuple(start + i * _BYTES for i in range(MOST_TENSORS))


_thread = _Thread()


def replay(tensors: tuple[Any, ...], call: Key) -> tuple[Any, ...] | None:
    """Launch a plan that is known.

    Parameters
    ----------
    tensors : tuple
        Inputs and given outputs; those of integers come last.
    call : tuple
        Which function, and all options that a plan depends on. An object is there as its id; the
        recording keeps it alive. Beside numbers and flags stand their types, for ``1 == True``.

    Returns
    -------
    tuple of torch.Tensor or None
        New outputs, if the call makes any; None if it has to go the whole way.
    """
    here = _thread
    if not here.plans:
        return None
    torch = torch_framework()
    if torch.in_transform():  # of torch.func, some of whose tensors crash when they are exported
        return None
    try:
        found = _signature(here, torch, tensors)
        recording = found and here.plans.get((found[0], call))
    except (RuntimeError, TypeError):  # not exported, or not hashable: for the gate to say
        return None
    if not found or not recording or torch.hides_values(tensors[: recording.floats]):
        return None
    pointers = found[1]
    for i, j, low, high, apart in recording.meetings:
        difference = pointers[j] - pointers[i]
        if low < difference < high and difference not in apart:
            return None
    device = recording.device
    if torch.has_several_devices and torch.current_device() != device:
        return None
    made = tuple([torch.allocate(*one, device) for one in recording.made])
    if made:
        pointers = (*pointers, *[one.data_ptr() for one in made])
    words = recording.words
    for word, i, delta in recording.addresses:
        words[word] = pointers[i] + delta
    if recording.launch is not None:
        recording.launch(torch.stream(device))
    torch.written_all(tensors[recording.written])
    return made


def remember(
    call: Key,
    plan: Plan,
    launch: Launch | None,
    passed: Sequence[tuple[Any, View]],
    made: Sequence[tuple[Any, View]],
    written: slice,
    starts: Mapping[str, int],
    owner: object,
) -> None:
    """Keep a plan that has just been launched, if such calls can be replayed.

    Parameters
    ----------
    call : tuple
        As `replay` is given it.
    plan : Plan
        The plan.
    launch : callable or None
        Launches it again; None if there was nothing to do.
    passed, made : sequence of (tensor, View)
        The tensors that `replay` is given, and the outputs that it has to make.
    written : slice
        Which of `passed` were written.
    starts : mapping of str to int
        Where, among all of these, the kinds begin that `plan.pointers` names.
    owner : object
        What `call` names by its id.
    """
    here, tensors = _thread, tuple(x for x, _ in passed)
    views = [view for _, view in (*passed, *made)]
    if launch is None or not plan.pointers or "torch" not in sys.modules:
        return
    found = _signature(here, torch_framework(), tensors)
    if found is None or found[1] != tuple(view.pointer for view in views[: len(passed)]):
        return
    kinds, pointers = found
    meetings = tuple(_meetings(views[: len(passed)], written))
    differences = [pointers[j] - pointers[i] for i, j, *_ in meetings]
    if 0 in differences:  # an output that is an input by another name has a plan of its own
        return
    known = here.plans.get((kinds, call))
    if known is None:
        words = memoryview(plan.parameters).cast("B").cast("Q")
        places = [(at // 8, starts[kind] + i) for at, kind, i in plan.pointers]
        known = Recording(
            launch,
            words,
            tuple((at, i, words[at] - views[i].pointer) for at, i in places),
            meetings,
            tuple((tuple(x.shape), tuple(x.stride()), x.dtype) for x, _ in made),
            sum(view.dtype in OUTPUT_FORMATS for _, view in passed),
            written,
            views[0].device,
            (plan.parameters, owner),
        )
        if len(here.plans) >= MOST_PLANS:
            here.plans.clear()
        here.plans[kinds, call] = known
    for (*_, apart), difference in zip(known.meetings, differences, strict=True):
        apart.add(difference)


def _meetings(
    views: Sequence[View], written: slice
) -> Iterator[tuple[int, int, int, int, set[int]]]:
    """Yield, for each written tensor and each other one, where their ranges would meet."""
    targets = range(len(views))[written]
    for i in targets:
        for j in range(len(views)):
            if j != i and (j not in targets or j > i):
                (first, end), (other_first, other_end) = reach(views[i]), reach(views[j])
                yield i, j, first - other_end, end - other_first, set()


def _signature(
    here: _Thread, torch: QuickTorch, tensors: tuple[Any, ...]
) -> tuple[Key, tuple[int, ...]] | None:
    """Return what a plan depends on, and the addresses; None if a tensor is not plain."""
    fill, plain, places = torch.fill, torch.plain_types, here.places
    if len(tensors) == 3:  # the usual call, unrolled: it costs a third less
        x, y, z = tensors
        if not (type(x) in plain and type(y) in plain and type(z) in plain):
            return None
        fill(x, places[0])
        fill(y, places[1])
        fill(z, places[2])
        a, a1, a2, a3, a4, _, b, b1, b2, b3, b4, _, c, c1, c2, c3, c4, _ = _three(here.room)
        if not (a4 - a3 == b4 - b3 == c4 - c3 == _APART and a and b and c):
            return None
        both = _BOTH
        return (
            *(a1, a2, _memory[a3 : a3 + both], b1, b2, _memory[b3 : b3 + both]),
            *(c1, c2, _memory[c3 : c3 + both], (a | b | c) & 15),
        ), (a, b, c)
    parts: list[Any] = []
    pointers: list[int] = []
    low = 0
    for i, x in enumerate(tensors):
        if type(x) not in plain:
            return None
        fill(x, places[i])
        a, a1, a2, a3, a4, _ = _one(here.room, i * _BYTES)
        if a4 - a3 != _APART or not a:
            return None
        parts += (a1, a2, _memory[a3 : a3 + _BOTH])
        pointers.append(a)
        low |= a
    return (*parts, low & 15), tuple(pointers)

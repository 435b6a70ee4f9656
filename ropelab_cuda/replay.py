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

import ctypes
import struct
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ropelab.dlpack import DLTensor

from .launch import OUTPUT_FORMATS, Plan
from .launcher import Launch
from .overlaps import reach
from .torch_tensors import Guard, QuickTorch, torch_framework
from .views import View

__all__ = ["Key", "Recording", "remember", "replay", "replay_like_last"]

MOST_PLANS = 4096  # of a thread; a few kilobytes each
MOST_TENSORS = 13  # of a call
MOST_GUARDS = 4  # of a plan, one after the other: in inference mode another one fits
COMPLEX = ("complex64", "complex128")
_WORD = 2**64 - 1

# A DLTensor: address, device, rank and dtype, address of the shape, of the strides, byte offset.
_DLTENSOR = "QqqQQQ"
_BYTES = ctypes.sizeof(DLTensor)
_one, _three = (struct.Struct("=" + n * _DLTENSOR).unpack_from for n in (1, 3))

# torch keeps shape and strides side by side, for up to five axes this many bytes apart.
_APART, _BOTH = 40, 80

# All memory, of which a slice is a copy of the bytes at an address.
_memory = (ctypes.c_char * (1 << 47)).from_address(0)

Key = tuple[Any, ...]


class Recording:
    """One plan with its kernel loaded.

    Parameters
    ----------
    launch : callable
        Launches it on a stream.
    words : memoryview
        The plan's parameters, as 64-bit words.
    addresses : tuple of (int, int, int)
        A word, the tensor whose address it holds, and what is added to that.
    numbers : tuple of int
        The words that hold numbers of the call.
    meetings : tuple of (int, int, int, int, set of int)
        Two tensors, of which one is written; the differences of their addresses between which
        their ranges meet; and those differences at which they share no element all the same.
    made : tuple of (shape, strides, dtype)
        Outputs to allocate.
    floats : int
        How many of the caller's tensors reach to the last one of floating-point numbers.
    written : slice or None
        Tensors of the caller that are written.
    device : int
        Where it was loaded.
    owners : tuple
        Whatever must stay alive: the structure, the spectrum.
    """

    __slots__ = (
        *("launch", "words", "addresses", "numbers", "meetings", "made", "floats", "written"),
        *("device", "owners", "held", "guard", "guards_left", "needs_no_grad"),
    )

    def __init__(
        self,
        launch: Launch,
        words: Any,
        addresses: tuple[tuple[int, int, int], ...],
        numbers: tuple[int, ...],
        meetings: tuple[tuple[int, int, int, int, set[int]], ...],
        made: tuple[tuple[Any, ...], ...],
        floats: int,
        written: slice | None,
        device: int,
        owners: tuple[object, ...],
    ) -> None:
        self.launch, self.words, self.addresses, self.meetings = launch, words, addresses, meetings
        self.made, self.floats, self.written, self.device = made, floats, written, device
        self.numbers, self.owners = numbers, owners
        self.held: tuple[int, ...] = ()  # the addresses that the parameters hold now
        self.guard: Guard | None = None  # fits the tensors of a call that was replayed
        self.guards_left, self.needs_no_grad = MOST_GUARDS, False

    def move(self, pointers: tuple[int, ...]) -> bool:
        """Write addresses into the parameters, unless a tensor would overwrite another."""
        for i, j, low, high, apart in self.meetings:
            difference = pointers[j] - pointers[i]
            if low < difference < high and difference not in apart:
                return False
        words = self.words
        for word, i, delta in self.addresses:
            words[word] = pointers[i] + delta
        self.held = pointers
        return True

    def tell(self, numbers: tuple[int, ...]) -> None:
        """Write numbers into the parameters."""
        for word, number in zip(self.numbers, numbers, strict=True):
            self.words[word] = number & _WORD


class _Plans:
    """A thread's plans, and room for what DLPack says of the tensors of one call."""

    __slots__ = ("fill", "latest", "places", "plain", "plans", "room", "torch")

    def __init__(self, torch: QuickTorch) -> None:
        self.torch, self.fill, self.plain = torch, torch.fill, torch.plain_types
        self.plans: dict[Key, Recording] = {}
        self.latest: dict[Key, Recording] = {}  # by options alone
        self.room = (ctypes.c_uint8 * (MOST_TENSORS * _BYTES))()
        start = ctypes.addressof(self.room)
        self.places = tuple(start + i * _BYTES for i in range(MOST_TENSORS))


class _Thread(threading.local):
    """Parameters are rewritten, so no other thread may use them."""

    mine: _Plans | None = None


_thread = _Thread()


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
    mine = _thread.mine
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
    mine = _thread.mine
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


def _is_like(mine: _Plans, recording: Recording, tensors: tuple[Any, ...]) -> bool:
    """Say whether a plan's guard knows the tensors."""
    if recording.guard is None or (recording.needs_no_grad and mine.torch.grad_enabled()):
        return False
    for x in tensors:  # torch ends the process if a guard looks at a nested tensor
        if getattr(x, "is_nested", True):
            return False
    return recording.guard(*tensors)


def _replay_by_signature(
    mine: _Plans, tensors: tuple[Any, ...], call: Key, numbers: tuple[int, ...]
) -> tuple[Any, ...] | None:
    """Find the plan among all that are known."""
    if mine.torch.has_modes():  # what is allocated under one may be no tensor
        return None
    try:
        key, pointers = _signature(mine, tensors, call)
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


def _try_first(mine: _Plans, recording: Recording, tensors: tuple[Any, ...], call: Key) -> None:
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
    mine: _Plans,
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


def _signature(mine: _Plans, tensors: tuple[Any, ...], call: Key) -> tuple[Key, tuple[int, ...]]:
    """Return what a plan depends on, and the addresses; raise TypeError for what is not plain."""
    plain, fill, places = mine.plain, mine.fill, mine.places
    if len(tensors) == 3:  # the usual call, unrolled: it costs a third less
        x, y, z = tensors
        if type(x) in plain and type(y) in plain and type(z) in plain:
            fill(x, places[0])
            fill(y, places[1])
            fill(z, places[2])
            a, a1, a2, a3, a4, _, b, b1, b2, b3, b4, _, c, c1, c2, c3, c4, _ = _three(mine.room)
            if a and b and c and a4 - a3 == b4 - b3 == c4 - c3 == _APART:
                # All aligned, as they are nearly always, or each in its own way.
                odd = (a | b | c) & 15 and (a & 15, b & 15, c & 15)
                return (
                    *(call, odd, a1, a2, _memory[a3 : a3 + _BOTH]),
                    *(b1, b2, _memory[b3 : b3 + _BOTH], c1, c2, _memory[c3 : c3 + _BOTH]),
                ), (a, b, c)
        raise TypeError
    parts: list[Any] = []
    pointers: list[int] = []
    for i, x in enumerate(tensors):
        if type(x) not in plain:
            raise TypeError
        fill(x, places[i])
        a, a1, a2, a3, a4, _ = _one(mine.room, i * _BYTES)
        if not a or a4 - a3 != _APART:
            raise TypeError
        parts += (a1, a2, _memory[a3 : a3 + _BOTH])
        pointers.append(a)
    return (call, *parts, *[a & 15 for a in pointers]), tuple(pointers)


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
    if launch is None or not plan.pointers or "torch" not in sys.modules or _may_change(call):
        return
    if _thread.mine is None:
        _thread.mine = _Plans(torch_framework())
    mine, tensors = _thread.mine, tuple(x for x, _ in passed)
    views = [view for _, view in (*passed, *made)]
    if any(view.dtype in COMPLEX for view in views):  # the gate alone asks for a conjugation
        return
    try:
        key, pointers = _signature(mine, tensors, call)
        known = mine.plans.get(key)
    except TypeError:  # not plain, or an option that cannot be a key
        return
    if pointers != tuple(view.pointer for view in views[: len(passed)]):
        return
    meetings = tuple(_meetings(views[: len(passed)], written))
    differences = [pointers[j] - pointers[i] for i, j, *_ in meetings]
    if 0 in differences:  # an output that is an input by another name has a plan of its own
        return
    if known is None:
        words = memoryview(plan.parameters).cast("B").cast("Q")
        places = [(at // 8, starts[kind] + i) for at, kind, i in plan.pointers]
        known = Recording(
            launch,
            words,
            tuple((at, i, words[at] - views[i].pointer) for at, i in places),
            tuple(at // 8 for at in plan.numbers),
            meetings,
            tuple((tuple(x.shape), tuple(x.stride()), x.dtype) for x, _ in made),
            max((i + 1 for i, (_, x) in enumerate(passed) if x.dtype in OUTPUT_FORMATS), default=0),
            written if tensors[written] else None,
            views[0].device,
            (plan.parameters, owner),
        )
        if len(mine.plans) >= MOST_PLANS:
            mine.plans.clear()
        mine.plans[key] = known
    for (*_, apart), difference in zip(known.meetings, differences, strict=True):
        apart.add(difference)


def _may_change(option: object) -> bool:
    """Return whether an option holds a tensor: it stays the same key when its value does not."""
    if isinstance(option, tuple):
        return any(map(_may_change, option))
    return hasattr(option, "__dlpack__") and not isinstance(option, type)


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

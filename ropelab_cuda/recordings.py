"""Plans that a thread has launched, and the key by which each is found again."""

from __future__ import annotations

import ctypes
import struct
import threading
from typing import Any

from ropelab.dlpack import DLTensor

from .launcher import Launch
from .torch_tensors import Guard, QuickTorch

__all__ = ["MOST_PLANS", "Key", "Plans", "Recording", "signature", "thread"]

MOST_PLANS = 4096  # of a thread; a few kilobytes each
MOST_TENSORS = 13  # of a call
MOST_GUARDS = 4  # of a plan, one after the other: in inference mode another one fits
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


class Plans:
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

    mine: Plans | None = None


thread = _Thread()


def signature(mine: Plans, tensors: tuple[Any, ...], call: Key) -> tuple[Key, tuple[int, ...]]:
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

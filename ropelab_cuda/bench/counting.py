"""The instructions that a launch issues, by walking through one of its blocks.

A warp issues an instruction once for all of its threads, and as often as the one that comes there
most often: so where threads of a warp go different ways, each way counts, and loops count to the
last thread's end. All blocks are alike, but for those at the ends, which do less: one in the middle
stands for all of them, or one for each part where several share the work of a token.

What is counted is checked by what is stored: the addresses that the walk comes to must be as many
bytes as the launch has to write, and no byte twice.
"""

from __future__ import annotations

import ctypes
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from ..views import View
from .floor_cases import Case
from .sass.lane import STACK, Memory, Thread, walk
from .sass.listing import Program

__all__ = ["Count", "count"]

WARP = 32
PARAMETERS_AT = 0x210  # in bank 0 of constants, on sm_90
STACK_AT = 0x28


@dataclass(frozen=True)
class Count:
    """What a launch issues.

    Parameters
    ----------
    blocks, warps : int
        Of the launch.
    opcodes : mapping of str to int
        Instructions of all warps, by opcode with its modifiers.
    guesses : float
        Branches of a thread that depend on what the walk does not know; all took the shorter way.
    """

    blocks: int
    warps: int
    opcodes: Counter[str]
    guesses: float

    @property
    def instructions(self) -> int:
        """Of all warps."""
        return self.opcodes.total()


def count(case: Case, program: Program) -> Count:
    """Count the instructions of a launch.

    Parameters
    ----------
    case : Case
        What is launched.
    program : Program
        Its machine code.

    Returns
    -------
    Count
        Of the whole launch.

    Raises
    ------
    ValueError
        If the walk does not write what the launch has to.
    """
    (across, *others), block = case.plan.grid, case.plan.block
    constants, memory = _constants(case), _memory(case)
    executed: Counter[int] = Counter()
    stored: list[tuple[int, int]] = []
    loaded: set[int] = set()
    guesses = 0
    for y, z in product(*map(range, others)):
        place = {"SR_CTAID.X": across // 2, "SR_CTAID.Y": y, "SR_CTAID.Z": z}
        for warp in _warps(block):
            issued: Counter[int] = Counter()
            for thread in warp:
                done = walk(program, Thread(place | thread, constants, memory))
                issued |= done.counts
                stored += done.stores
                loaded.update(byte for at, size in done.loads for byte in range(at, at + size))
                guesses += done.guesses
            executed += issued
    _check(case, across, stored, len(loaded))
    opcodes: Counter[str] = Counter()
    for number, times in executed.items():
        one = program.instructions[number]
        opcodes[".".join((one.name, *one.modifiers))] += times * across
    blocks = across * others[0] * others[1]
    threads = block[0] * block[1] * block[2]
    of_thread = guesses / (threads * others[0] * others[1])
    return Count(blocks, blocks * -(-threads // WARP), opcodes, of_thread)


def _warps(block: tuple[int, int, int]) -> Iterator[list[dict[str, int]]]:
    """Yield the threads of each warp of a block, x fastest."""
    x, y, z = block
    numbers = [
        {"SR_TID.X": i, "SR_TID.Y": j, "SR_TID.Z": k}
        for k, j, i in product(range(z), range(y), range(x))
    ]
    for start in range(0, len(numbers), WARP):
        yield [one | {"SR_LANEID": lane} for lane, one in enumerate(numbers[start : start + WARP])]


def _constants(case: Case) -> bytes:
    plan = case.plan
    head = bytearray(PARAMETERS_AT)
    struct.pack_into("<6I", head, 0, *plan.block, *plan.grid)
    struct.pack_into("<I", head, STACK_AT, STACK)
    return bytes(head) + bytes(plan.parameters) + bytes(ctypes.sizeof(ctypes.c_uint64))


def _memory(case: Case) -> Memory:
    texts = {start: array.tobytes() for start, array in case.integers.items()}

    def read(address: int, size: int) -> int | None:
        for start, text in texts.items():
            if start <= address < start + len(text):
                return int.from_bytes(text[address - start :][:size], "little")
        return None

    return read


def _check(case: Case, blocks: int, stored: list[tuple[int, int]], loaded: int) -> None:
    total = sum(size for _, size in stored) * blocks
    written = {byte for at, size in stored for byte in range(at, at + size)}
    strays = sum(not any(_holds(view, byte) for view in case.outputs) for byte in written)
    if strays or not total == len(written) * blocks == case.written or loaded * blocks < case.read:
        msg = (
            f"{case.name}: expected a walk that writes the {case.written} bytes of its outputs, "
            f"each once, and reads {case.read}; got {total} bytes, {len(written) * blocks} of them "
            f"once, {strays * blocks} elsewhere, and {loaded * blocks} read; mend sass/alu.py"
        )
        raise ValueError(msg)


def _holds(view: View, byte: int) -> bool:
    """Whether a byte lies between the ends of a tensor."""
    last = sum((n - 1) * step for n, step in zip(view.shape, view.strides, strict=True))
    return view.pointer <= byte < view.pointer + (last + 1) * view.item_bytes

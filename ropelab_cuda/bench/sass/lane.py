"""One thread's walk through machine code: what it executes, and where it reads and writes.

Integers, predicates and addresses are computed as the card does, so that loops run as often as
there. Floating-point numbers are not: they are unknown, and so is all that depends on them, on
shared memory or on other threads. Where such a value decides a branch, the walk takes the way that
is shorter to the end, and counts that it had to guess.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest

from .alu import OPERATIONS, Flag, Given, Results, Value, all_of
from .listing import INSTRUCTION_BYTES, JUMPS, NO_EFFECT, Instruction, Program, is_flag
from .registers import Registers, words_of

__all__ = ["STACK", "Memory", "Thread", "Walk", "distances", "walk"]

Memory = Callable[[int, int], Value]  # address, bytes: the integer there, None if unknown

STACK = 1 << 12  # where a thread's local memory ends
MOST_STEPS = 1_000_000
BYTES = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16}
UNKNOWN = ("D", "F", "H", "I2F", "MUFU", "SHFL", "B2R")  # by which names begin


@dataclass(frozen=True)
class Thread:
    """Which thread walks, with which parameters.

    Parameters
    ----------
    special : mapping of str to int
        Values of special registers, "SR_TID.X" for instance; 0 if missing.
    constants : bytes
        Bank 0: dimensions of the launch and the kernel's parameters.
    memory : callable
        The integers that lie in global memory.
    """

    special: Mapping[str, int]
    constants: bytes
    memory: Memory


@dataclass
class Walk:
    """What a thread has done.

    Parameters
    ----------
    counts : Counter of int
        How often each instruction was executed.
    loads, stores : list of (int, int)
        Addresses and bytes, in global memory.
    guesses : int
        Branches that unknown values decided.
    """

    counts: Counter[int] = field(default_factory=Counter)
    loads: list[tuple[int, int]] = field(default_factory=list)
    stores: list[tuple[int, int]] = field(default_factory=list)
    guesses: int = 0


def walk(program: Program, thread: Thread) -> Walk:
    """Execute a kernel by one thread.

    Parameters
    ----------
    program : Program
        The kernel.
    thread : Thread
        Which thread.

    Returns
    -------
    Walk
        What it has done.

    Raises
    ------
    NotImplementedError
        If an instruction is not known here.
    RuntimeError
        If an address is unknown, or no end comes.
    """
    lane = _Lane(program, thread)
    at = program.entry
    for _ in range(MOST_STEPS):
        after = lane.step(at)
        if after is None:
            return lane.done
        at = after
    msg = f"walk: expected an end within {MOST_STEPS} instructions; got to number {at}; mend alu.py"
    raise RuntimeError(msg)


@lru_cache(maxsize=64)
def distances(program: Program) -> tuple[float, ...]:
    """Return how many instructions lie at least between each one and the end of its function.

    Parameters
    ----------
    program : Program
        The kernel.

    Returns
    -------
    tuple of float
        Infinite where no end is reached.
    """
    ones = program.instructions
    found = [0.0 if one.name in ("EXIT", "RET") else float("inf") for one in ones]
    before: list[float] = []
    while found != before:
        before = found.copy()
        for number in reversed(range(len(ones) - 1)):
            one, after = ones[number], found[number + 1]
            if one.name == "CALL":
                after += found[program.labels[one.label]]
            elif one.name == "BRA":
                there = found[program.labels[one.label]]
                always = one.guard == "PT" and not _conditions(one)
                after = there if always else min(after, there)
            found[number] = min(found[number], 1 + after)
    return tuple(found)


def _conditions(one: Instruction) -> list[str]:
    """Return the predicates beside the guard on which a jump depends."""
    return [source for source in one.sources if is_flag(source)] if one.name in JUMPS else []


class _Lane:
    """A thread's state, and what it has done so far."""

    def __init__(self, program: Program, thread: Thread) -> None:
        self.program, self.thread, self.done = program, thread, Walk()
        self.registers = Registers(thread.constants)
        self.local: dict[int, Value] = {}  # memory of its own, byte by byte

    def step(self, at: int) -> int | None:
        """Execute an instruction; return the next one's number, or None at the end."""
        one = self.program.instructions[at]
        self.done.counts[at] += 1
        holds = self.registers.flag(one.guard)
        if one.name in JUMPS:
            for condition in _conditions(one):
                holds = all_of(holds, self.registers.flag(condition))
            return self._jump(one, at, holds)
        if holds is not False and one.name not in NO_EFFECT:
            for target, value in self._written(one).items():
                self.registers.held[target] = value if holds else None
        return at + 1

    def _jump(self, one: Instruction, at: int, holds: Flag) -> int | None:
        if "DIV" in one.modifiers:  # taken by warps whose threads have parted
            return at + 1
        if holds is None:
            self.done.guesses += 1
            ways = distances(self.program)
            holds = one.name == "BRA" and ways[self.program.labels[one.label]] < ways[at + 1]
        if not holds:
            return at + 1
        if one.name == "EXIT":
            return None
        if one.name == "RET":
            back = self.registers.operand(one.sources[0]).value
            assert back is not None
            return back // INSTRUCTION_BYTES
        return self.program.labels[one.label]

    def _written(self, one: Instruction) -> dict[str, Value]:
        """Return what an instruction writes, register by register."""
        name = one.name.removeprefix("U")  # which is the same for all threads of a warp
        if name == "STS":
            return {}
        if name in ("LDG", "ST", "STG", "LDL", "STL", "LDC", "LDS"):
            return self._accessed(one, name)
        if name in ("S2R", "S2UR", "CS2R"):
            words = 2 if name == "CS2R" and "32" not in one.modifiers else 1
            return words_of(one.targets[0], self.thread.special.get(one.sources[0], 0), words)
        if name == "P2R":
            return words_of(one.targets[0], self._predicates(*one.sources))
        if name in OPERATIONS:
            flags = [self.registers.flag(source) for source in one.sources if is_flag(source)]
            numbers = [self.registers.operand(s) for s in one.sources if not is_flag(s)]
            return _spread(one, OPERATIONS[name](Given(one.modifiers, numbers, flags)))
        if name.startswith(UNKNOWN):
            return _spread(one, (None,))
        msg = f"{one}: expected an instruction that is known here; add it to alu.py"
        raise NotImplementedError(msg)

    def _predicates(self, _all: str, rest: str, chosen: str) -> Value:
        """Return the chosen predicates as bits, among those of a register."""
        bits, mask = self.registers.operand(rest).value, self.registers.operand(chosen).value
        assert mask is not None
        flags = {i: self.registers.flag(f"P{i}") for i in range(7) if mask >> i & 1}
        if bits is None or None in flags.values():
            return None
        return bits & ~mask | sum(bool(flag) << i for i, flag in flags.items())

    def _accessed(self, one: Instruction, name: str) -> dict[str, Value]:
        """Read or write memory; return what is read."""
        size = next((BYTES[m] for m in one.modifiers if m in BYTES), 4)
        value: Value = None
        if name == "LDC":
            value = self.registers.constant(one.sources[0], size)
        elif name in ("LDG", "ST", "STG"):
            address = self.registers.address(one.sources[0], wide=True)
            if address is None:
                msg = f"{one}: expected an address that is known; add to alu.py what it comes from"
                raise RuntimeError(msg)
            (self.done.loads if name == "LDG" else self.done.stores).append((address, size))
            value = self.thread.memory(address, size) if name == "LDG" else None
        elif name in ("LDL", "STL"):
            value = self._local(one, size)
        return words_of(one.targets[0], value, max(1, size // 4)) if one.targets else {}

    def _local(self, one: Instruction, size: int) -> Value:
        address = self.registers.address(one.sources[0], wide=False)
        if address is None:
            if one.name == "STL":
                self.local.clear()
            return None
        places = range(address, address + size)
        if one.name == "STL":
            stored = self.registers.operand(one.sources[1])
            value = stored.pair if size > 4 else stored.value
            value = None if self.registers.flag(one.guard) is None or size > 8 else value
            for i, place in enumerate(places):
                self.local[place] = None if value is None else value >> 8 * i & 0xFF
            return None
        parts = [self.local.get(place) for place in places]
        known = [part << 8 * i for i, part in enumerate(parts) if part is not None]
        return sum(known) if len(known) == size else None


def _spread(one: Instruction, results: Results) -> dict[str, Value]:
    """Return the results of an instruction by register and predicate."""
    value, *others = results
    flags = [target for target in one.targets if is_flag(target)]
    written = dict(zip_longest(flags, others[: len(flags)]))
    for register in one.targets:
        if not is_flag(register):
            written |= words_of(register, value, 2 if _is_wide(one) else 1)
    return written


def _is_wide(one: Instruction) -> bool:
    """Whether an instruction's result takes two registers."""
    if one.name in ("DADD", "DMUL", "DFMA", "DMNMX"):
        return True
    if one.name == "F2I":
        return "U64" in one.modifiers or "S64" in one.modifiers
    if one.name in ("F2F", "I2F", "FRND"):
        return one.modifiers[:1] == ("F64",)
    return "WIDE" in one.modifiers

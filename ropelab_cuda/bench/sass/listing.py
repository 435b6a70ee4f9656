"""Machine code as text, from NVIDIA's disassembler, and its instructions.

``nvdisasm`` is no part of the project. ``pip install nvidia-cuda-nvdisasm`` brings it, into any
environment, and so does a CUDA toolkit. It needs no GPU.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = [
    *("INSTRUCTION_BYTES", "JUMPS", "NO_EFFECT", "STORES"),
    *("Instruction", "Program", "disassembled", "is_flag", "parse"),
]

INSTRUCTION_BYTES = 16

JUMPS = frozenset({"BRA", "CALL", "EXIT", "RET"})
STORES = frozenset({"ST", "STG", "STL", "STS"})
NO_EFFECT = frozenset(  # on registers and memory
    {"ACQBULK", "BAR", "BREAK", "BSSY", "BSYNC", "CCTL", "ENDCOLLECTIVE", "NOP", "PREEXIT"}
    | {"WARPSYNC", "YIELD"}
)

_LABEL = re.compile(r"^(\S+):$")
_LINE = re.compile(r"^\s+/\*([0-9a-f]{4,})\*/\s+(?:@(!?U?P\w+)\s+)?([A-Z][\w.]*)\s*(.*?)\s*;")
_TARGET = re.compile(r"`\(([^)]+)\)")
_PREDICATE = re.compile(r"!?U?P[0-6T]")
_REGISTER = re.compile(r"U?R(?:\d+|Z)")


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Parameters
    ----------
    name : str
        The opcode, "IMAD" for instance.
    modifiers : tuple of str
        What follows it, ("WIDE", "U32") for instance.
    guard : str
        The predicate under which it has an effect; "PT" if always.
    targets : tuple of str
        Registers and predicates that it writes.
    sources : tuple of str
        Its other operands.
    label : str
        To where it jumps, if it does.
    """

    name: str
    modifiers: tuple[str, ...]
    guard: str
    targets: tuple[str, ...]
    sources: tuple[str, ...]
    label: str = ""

    def __str__(self) -> str:
        """Write it, for messages."""
        return " ".join((".".join((self.name, *self.modifiers)), *self.targets, *self.sources))


@dataclass(frozen=True, eq=False)
class Program:
    """The code of one kernel and of what it calls.

    Parameters
    ----------
    instructions : sequence of Instruction
        In the order of their addresses.
    labels : mapping of str to int
        The number of the instruction behind each label.
    entry : int
        The number of the first that is executed.
    """

    instructions: Sequence[Instruction]
    labels: Mapping[str, int]
    entry: int


def disassembled(cubin: bytes, nvdisasm: str = "nvdisasm") -> str:
    """Return the listing of a cubin.

    Parameters
    ----------
    cubin : bytes
        Machine code.
    nvdisasm : str, default "nvdisasm"
        The program, by its name or path.

    Returns
    -------
    str
        As the program prints it.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder, "kernel.cubin")
        path.write_bytes(cubin)
        command = [nvdisasm, "-c", str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def parse(listing: str, kernel: str) -> Program:
    """Read a listing.

    Parameters
    ----------
    listing : str
        Of one cubin, which holds one kernel.
    kernel : str
        Its name.

    Returns
    -------
    Program
        Its instructions.
    """
    instructions: list[Instruction] = []
    labels: dict[str, int] = {}
    for line in listing.splitlines():
        if label := _LABEL.match(line):
            labels[label[1]] = len(instructions)
        elif found := _LINE.match(line):
            if int(found[1], 16) != INSTRUCTION_BYTES * len(instructions):
                msg = f"{kernel}: expected one section of code; got a second one at {line.strip()}"
                raise ValueError(msg)
            instructions.append(_instruction(found[2] or "PT", found[3], found[4]))
    return Program(instructions, labels, labels[kernel])


def _instruction(guard: str, opcode: str, text: str) -> Instruction:
    name, *modifiers = opcode.split(".")
    label = _TARGET.search(text)
    operands = [part.strip().removesuffix(".reuse") for part in _TARGET.sub("", text).split(",")]
    operands = [operand for operand in operands if operand]
    written = _written(name, operands)
    return Instruction(
        name,
        tuple(modifiers),
        guard,
        tuple(operands[:written]),
        tuple(operands[written:]),
        label[1] if label else "",
    )


def _written(name: str, operands: Sequence[str]) -> int:
    """Return how many of the first operands are written."""
    if name in JUMPS | STORES | NO_EFFECT:
        return 0
    if name.endswith(("SETP", "PLOP3")):
        return 2
    if name == "FCHK":
        return 1
    count, registers = 0, 0
    for operand in operands:  # predicates, one register, predicates
        if _REGISTER.fullmatch(operand) and not registers:
            registers = 1
        elif not is_flag(operand):
            break
        count += 1
    return count


def is_flag(operand: str) -> bool:
    """Return whether an operand is a predicate."""
    return _PREDICATE.fullmatch(operand) is not None

"""What a thread's registers, predicates and constants hold; None where that is unknown."""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from .alu import MASK, Flag, Operand, Value

__all__ = ["Registers", "words_of"]

WIDE = MASK << 32 | MASK

_REGISTER = re.compile(r"(U?R)(\d+|Z)(?:\.[\w.]+)?")
_ADDRESS = re.compile(r"\[(?:(U?R(?:\d+|Z))(?:\.64)?)?\+?(-?0x[0-9a-f]+)?\]$")
_CONSTANT = re.compile(r"c\[0x([0-9a-f]+)\]\[(?:(U?R(?:\d+|Z)))?\+?(-?0x[0-9a-f]+)?\]$")


class Registers:
    """The registers of a thread, and bank 0 of its constants.

    Parameters
    ----------
    constants : bytes
        Bank 0. Others are unknown.
    """

    def __init__(self, constants: bytes) -> None:
        self.constants = constants
        self.held: dict[str, Value] = {}

    def flag(self, text: str) -> Flag:
        """Return what a predicate says."""
        name = text.lstrip("!")
        value = True if name in ("PT", "UPT") else self.held.get(name)
        return None if value is None else bool(value) != text.startswith("!")

    def operand(self, text: str) -> Operand:
        """Return a number: of a register, a constant, or in the instruction itself."""
        kind, index, number = _parsed(text)
        sign = text[0] if text[0] in "-~" and kind != "number" else ""
        if kind == "constant":
            return Operand(self.constant(text, 4), self.constant(text, 8), sign)
        if kind == "number" or index < 0:
            return Operand(None if number is None else number & MASK, number, sign)
        low, high = (self.held.get(f"{kind}{index + i}") for i in range(2))
        pair = None if low is None or high is None else low | high << 32
        return Operand(low, pair, sign)

    def constant(self, text: str, size: int) -> Value:
        """Return the integer of so many bytes at a place in a bank of constants."""
        found = _CONSTANT.search(text)
        assert found is not None, text
        base = self.operand(found[2]).value if found[2] else 0
        if base is None or found[1] != "0":
            return None
        at = base + _offset(found[3]) & MASK
        return int.from_bytes(self.constants[at : at + size], "little")

    def address(self, text: str, *, wide: bool) -> Value:
        """Return the address that an access names, of 64 or 32 bits."""
        found = _ADDRESS.search(text)
        assert found is not None, text
        register = self.operand(found[1] or "RZ")
        base = register.pair if wide else register.value
        return None if base is None else base + _offset(found[2]) & (WIDE if wide else MASK)


def words_of(register: str, value: Value, words: int = 1) -> dict[str, Value]:
    """Divide a value among neighbouring registers.

    Parameters
    ----------
    register : str
        The first; nothing is written to the one of zeros.
    value : int or None
        What it is to hold.
    words : int, default 1
        Of 32 bits.

    Returns
    -------
    dict of str to int or None
        By register.

    Examples
    --------
    >>> words_of("UR4", 7 << 32 | 5, 2)
    {'UR4': 5, 'UR5': 7}
    """
    kind, index, _ = _parsed(register)
    if index < 0:
        return {}
    parts = (None if value is None else value >> 32 * i & MASK for i in range(words))
    return {f"{kind}{index + i}": part for i, part in enumerate(parts)}


def _offset(text: str | None) -> int:
    return int(text, 16) if text else 0


@cache
def _parsed(text: str) -> tuple[str, int, Value]:
    """Return the kind of an operand, a register's index (-1 for the one of zeros), and a number."""
    bare = text.lstrip("-~|").rstrip("|")
    if register := _REGISTER.fullmatch(bare):
        return register[1], -1 if register[2] == "Z" else int(register[2]), 0
    if bare.startswith("c["):
        return "constant", 0, None
    if bare.startswith("0x"):
        return "number", 0, int(text, 16) & WIDE
    try:  # of decimal numbers only halves are ever asked for
        return "number", 0, int(np.float16(text).view(np.uint16))
    except ValueError:
        return "number", 0, None

"""Integer instructions of sm_90, as functions of integers of which some may be unknown (None).

Each returns what an instruction writes: first the register's value, then the predicates. NVIDIA
documents the names (CUDA Binary Utilities), but hardly what they do. That was read off the code of
kernels whose source is known, and is checked by the addresses that come out of them (`counting`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

__all__ = ["MASK", "OPERATIONS", "Flag", "Given", "Operand", "Results", "Value", "all_of"]

MASK = (1 << 32) - 1
WIDE = (1 << 64) - 1

Value = int | None
Flag = bool | None


@dataclass(frozen=True)
class Operand:
    """One source of an instruction.

    Parameters
    ----------
    value : int or None
        Its 32 bits, before its sign.
    pair : int or None
        Its 64 bits: those of a register and of the next one.
    sign : {"", "-", "~"}
        What is done to it first.
    """

    value: Value
    pair: Value
    sign: str = ""

    @property
    def term(self) -> Value:
        """What it adds to a sum of which the carry is looked at: -x is ~x + 1."""
        return _term(self.value, self.sign, MASK)

    @property
    def bits(self) -> Value:
        """Its 32 bits."""
        return None if self.term is None else self.term & MASK

    @property
    def wide_term(self) -> Value:
        """What its 64 bits add to a sum."""
        return _term(self.pair, self.sign, WIDE)


class Given(NamedTuple):
    """What an instruction is given.

    Parameters
    ----------
    modifiers : sequence of str
        Of its opcode.
    x : sequence of Operand
        Its numbers.
    p : sequence of bool or None
        Its predicates.
    """

    modifiers: Sequence[str]
    x: Sequence[Operand]
    p: Sequence[Flag]


Results = tuple[Value, ...]
Operation = Callable[[Given], Results]


def _term(value: Value, sign: str, mask: int) -> Value:
    if value is None or not sign:
        return value
    return (~value & mask) + (sign == "-")


def _signed(value: int) -> int:
    return value - (value >> 31 << 32)


def _sum(bits: int, *terms: Value | Flag) -> Results:
    """Add up to so many bits; the carries go to two predicates."""
    known = [term for term in terms if term is not None]
    if len(known) < len(terms):
        return None, None, None
    total = sum(known)
    return total & ((1 << bits) - 1), total >> bits >= 1, total >> bits >= 2


def _product(a: Operand, b: Operand, *, is_signed: bool) -> Value:
    if 0 in (a.value, b.value):
        return 0
    if a.bits is None or b.bits is None:
        return None
    return _signed(a.bits) * _signed(b.bits) if is_signed else a.bits * b.bits


def _iadd3(it: Given) -> Results:
    return _sum(32, *(one.term for one in it.x[:3]), *(it.p if "X" in it.modifiers else ()))


def _imad(it: Given) -> Results:
    product = _product(it.x[0], it.x[1], is_signed="U32" not in it.modifiers)
    carry = it.p if "X" in it.modifiers else ()
    if "WIDE" in it.modifiers:
        return _sum(64, product if product is None else product & WIDE, it.x[2].wide_term, *carry)
    if "HI" in it.modifiers:
        value, *flags = _sum(64, product if product is None else product & WIDE, it.x[2].wide_term)
        return None if value is None else value >> 32, *flags
    return _sum(32, product if product is None else product & MASK, it.x[2].term, *carry)


def _lea(it: Given) -> Results:
    carry = it.p if "X" in it.modifiers else ()
    shift = it.x[-1].value
    low = it.x[0].bits
    if low is None or shift is None:
        return None, None
    if "HI" not in it.modifiers:
        return _sum(32, low << shift & MASK, it.x[1].term)
    if "SX32" in it.modifiers:
        wide: Value = _signed(low) & WIDE
    else:
        high = it.x[2].bits
        wide = None if high is None else high << 32 | low
    shifted = None if wide is None else wide << shift >> 32 & MASK
    return _sum(32, shifted, it.x[1].term, *carry)


def _shf(it: Given) -> Results:
    low, shift, high = (one.bits for one in it.x)
    kind = it.modifiers[1] if len(it.modifiers) > 1 else "U32"
    if shift is None or None in ((low, high) if "64" in kind else ()):
        return (None,)
    shift = min(shift, 64 if "64" in kind else 32)
    upper = "HI" in it.modifiers
    if it.modifiers[0] == "L":
        if low is None or (upper and high is None):
            return (None,)
        both = (high or 0) << 32 | low if upper else low
        return (both << shift >> (32 if upper else 0) & MASK,)
    if "64" not in kind and upper:
        if high is None:
            return (None,)
        return ((_signed(high) if kind == "S32" else high) >> shift & MASK,)
    if low is None or high is None:
        return (None,)
    return ((high << 32 | low) >> shift & MASK,)


def _lop3(it: Given) -> Results:
    a, b, c, table = (one.bits for one in it.x)
    assert table is not None
    if table == 0xC0 and 0 in (a, b):  # a and b
        return 0, False
    if a is None or b is None or c is None:
        return None, None
    value = 0
    for row in range(8):
        if table >> row & 1:
            value |= (a if row & 4 else ~a) & (b if row & 2 else ~b) & (c if row & 1 else ~c)
    return value & MASK, value & MASK != 0


def _plop3(it: Given) -> Results:
    found = []
    for table in (one.value for one in it.x):
        assert table is not None
        rows = {
            bool(table >> row & 1)
            for row in range(8)
            if all(
                flag in (None, bool(row & bit)) for flag, bit in zip(it.p, (4, 2, 1), strict=True)
            )
        }
        found.append(rows.pop() if len(rows) == 1 else None)
    return (None, *found)


_COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {
    "EQ": int.__eq__,
    "NE": int.__ne__,
    "LT": int.__lt__,
    "LE": int.__le__,
    "GT": int.__gt__,
    "GE": int.__ge__,
}


def _isetp(it: Given) -> Results:
    a, b = (one.bits for one in it.x)
    name = it.modifiers[0]
    holds: Flag = None
    if a is not None and b is not None:
        if "U32" not in it.modifiers:
            a, b = _signed(a), _signed(b)
        holds = _COMPARISONS[name](a, b)
        if "EX" in it.modifiers:  # the upper halves; it.p[1] has compared the lower ones
            equal = a == b
            if name == "NE":
                holds = True if holds else it.p[1]
            elif equal:
                holds = it.p[1]
            elif name in ("GE", "LE"):
                holds = _COMPARISONS[name](a, b)
    joined = _any_of if "OR" in it.modifiers else all_of
    opposite = None if holds is None else not holds
    return None, joined(holds, it.p[0]), joined(opposite, it.p[0])


def all_of(a: Flag, b: Flag) -> Flag:
    """Return a and b, as far as they are known."""
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def _any_of(a: Flag, b: Flag) -> Flag:
    if a is True or b is True:
        return True
    return None if a is None or b is None else False


def _sel(it: Given) -> Results:
    if it.p[0] is None:
        return (it.x[0].bits if it.x[0].bits == it.x[1].bits else None,)
    return (it.x[0].bits if it.p[0] else it.x[1].bits,)


def _minmax(it: Given) -> Results:
    a, b = it.x[0].bits, it.x[1].bits
    if a is None or b is None or it.p[0] is None:
        return (None,)
    if "U32" not in it.modifiers:
        a, b = _signed(a), _signed(b)
    return ((min if it.p[0] else max)(a, b) & MASK,)


def _mov(it: Given) -> Results:
    return (it.x[0].bits,)


def _iabs(it: Given) -> Results:
    return (None if it.x[0].bits is None else abs(_signed(it.x[0].bits)) & MASK,)


def _prmt(it: Given) -> Results:
    a, selector, b = (one.bits for one in it.x)
    if a is None or b is None or selector is None:
        return (None,)
    octets = [(b << 32 | a) >> 8 * i & 0xFF for i in range(8)]
    value = 0
    for i in range(4):
        nibble = selector >> 4 * i & 0xF
        octet = octets[nibble & 7]
        value |= (0xFF * (octet >> 7) if nibble & 8 else octet) << 8 * i
    return (value,)


def _hfma2(it: Given) -> Results:
    """Return two halves that are added to nothing: a way to write a constant."""
    if len(it.x) < 4 or (it.x[0].value, it.x[1].value) != (0, 0):
        return (None,)
    upper, lower = it.x[2].value, it.x[3].value
    return (None if upper is None or lower is None else upper << 16 | lower,)


# The quotient of two integers begins with a floating-point reciprocal, and is corrected after.


def _i2f(it: Given) -> Results:
    value = {"U32": it.x[0].value, "U64": it.x[0].pair}.get(it.modifiers[0])
    if value is None or "RP" not in it.modifiers:
        return (None,)
    rounded = np.float32(value)
    if int(rounded) < value:
        rounded = np.nextafter(rounded, np.float32(np.inf))
    return (int(rounded.view(np.uint32)),)


def _mufu(it: Given) -> Results:
    if it.x[0].value is None or "RCP" not in it.modifiers or it.x[0].sign:
        return (None,)
    number = np.uint32(it.x[0].value).view(np.float32)
    if not np.isfinite(number) or number == 0:
        return (None,)
    return (int((np.float32(1.0) / number).view(np.uint32)),)


def _f2i(it: Given) -> Results:
    if it.x[0].value is None or "TRUNC" not in it.modifiers or "F64" in it.modifiers:
        return (None,)
    number = np.uint32(it.x[0].value).view(np.float32)
    most = WIDE if "U64" in it.modifiers else MASK
    return (min(int(number), most) if np.isfinite(number) and number >= 0 else None,)


OPERATIONS: Mapping[str, Operation] = {
    "IADD3": _iadd3,
    "VIADD": lambda it: _sum(32, it.x[0].term, it.x[1].term),
    "IMAD": _imad,
    "LEA": _lea,
    "SHF": _shf,
    "LOP3": _lop3,
    "PLOP3": _plop3,
    "ISETP": _isetp,
    "SEL": _sel,
    "VIMNMX": _minmax,
    "IMNMX": _minmax,
    "MOV": _mov,
    "R2UR": _mov,
    "IABS": _iabs,
    "PRMT": _prmt,
    "HFMA2": _hfma2,
    "I2F": _i2f,
    "MUFU": _mufu,
    "F2I": _f2i,
}

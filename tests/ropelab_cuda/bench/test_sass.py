"""Machine code walked by hand-written kernels and by integers that Python computes otherwise."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from ropelab_cuda.bench.counting import count
from ropelab_cuda.bench.floor_cases import Case
from ropelab_cuda.bench.sass.lane import Thread, Walk, walk
from ropelab_cuda.bench.sass.listing import Program, parse
from ropelab_cuda.compile import Specialisation
from ropelab_cuda.launch import Plan
from ropelab_cuda.views import View

NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**33 + 5,
    2**63 - 1,
    2**63,
    2**64 - 1,
)


def program(*lines: str) -> Program:
    """Return a kernel `k`; a line that ends in a colon is a label."""
    text, at = ["k:", ".text.k:"], 0
    for line in lines:
        if line.endswith(":"):
            text.append(line)
            continue
        guard, _, rest = line.partition(" ") if line.startswith("@") else ("", "", line)
        text.append(f"        /*{at:04x}*/  {guard:>8} {rest} ;")
        at += 16
    return parse("\n".join(text), "k")


def walked(code: Program, *numbers: int, **special: int) -> Walk:
    """Walk with 64-bit numbers as parameters, from 0x210 on."""
    constants = bytes(0x210) + struct.pack(f"<{len(numbers)}Q", *(n % 2**64 for n in numbers))
    registers = {f"SR_{name}": value for name, value in special.items()}
    return walk(code, Thread(registers, constants + bytes(8), lambda *_: None))


def stored_address(*lines: str, numbers: tuple[int, ...] = ()) -> int:
    """Return R0, R1 as 64 bits at the end: where a store goes."""
    done = walked(program(*lines, "STG.E desc[UR4][R0.64], RZ", "EXIT"), *numbers)
    assert done.guesses == 0
    ((address, _),) = done.stores
    return address


A = ("LDC.64 R2, c[0x0][0x210]", "LDC.64 R4, c[0x0][0x218]")


class TestWideIntegers:
    def test_a_sum_carries(self) -> None:
        for a, b in product(NUMBERS, repeat=2):
            code = (*A, "IADD3 R0, P0, R2, R4, RZ", "IADD3.X R1, R3, R5, RZ, P0, !PT")
            assert stored_address(*code, numbers=(a, b)) == (a + b) % 2**64

    def test_a_difference_borrows(self) -> None:
        for a, b in product(NUMBERS, repeat=2):
            code = (*A, "IADD3 R0, P0, R2, -R4, RZ", "IADD3.X R1, R3, ~R5, RZ, P0, !PT")
            assert stored_address(*code, numbers=(a, b)) == (a - b) % 2**64
            code = (*A, "IADD3 R0, P0, R2, -R4, RZ", "IMAD.X R1, R3, 0x1, ~R5, P0")
            assert stored_address(*code, numbers=(a, b)) == (a - b) % 2**64

    def test_a_product(self) -> None:
        for a, b in product(NUMBERS, repeat=2):
            low = "IMAD.WIDE.U32 R0, R2, R4, RZ"
            upper = ("IMAD R6, R2, R5, R1", "IMAD R1, R3, R4, R6")
            assert stored_address(*A, low, *upper, numbers=(a, b)) == a * b % 2**64
            half = ("IMAD.HI.U32 R0, R2, R4, RZ", "MOV R1, RZ")
            assert stored_address(*A, *half, numbers=(a, b)) == (a % 2**32) * (b % 2**32) >> 32

    def test_a_signed_product(self) -> None:
        for a, b in product(NUMBERS, repeat=2):
            signed = [int(np.array(n % 2**32, np.uint32).view(np.int32)) for n in (a, b)]
            code = (*A, "IMAD.WIDE R0, R2, R4, R4")
            assert stored_address(*code, numbers=(a, b)) == (signed[0] * signed[1] + b) % 2**64

    def test_an_address_in_a_table(self) -> None:
        for a, b in product(NUMBERS, repeat=2):
            code = (*A, "LEA R0, P3, R2, R4, 0x3", "LEA.HI.X R1, R2, R5, R3, 0x3, P3")
            assert stored_address(*code, numbers=(a, b)) == (8 * a + b) % 2**64

    def test_shifts(self) -> None:
        for a, b in product(NUMBERS, repeat=2):
            code = (*A, "SHF.L.U64.HI R1, R2, 0x5, R3", "SHF.L.U32 R0, R2, 0x5, RZ")
            assert stored_address(*code, numbers=(a, b)) == (a << 5) % 2**64
            code = (*A, "SHF.R.U64 R0, R4, 0x7, R5", "SHF.R.U32.HI R1, RZ, 0x7, R5")
            assert stored_address(*code, numbers=(a, b)) == b >> 7
            signed = int(np.array(b, np.uint64).view(np.int64)) >> 9
            code = (*A, "SHF.R.U64 R0, R4, 0x9, R5", "SHF.R.S32.HI R1, RZ, 0x9, R5")
            assert stored_address(*code, numbers=(a, b)) == signed % 2**64

    @pytest.mark.parametrize("sign", ["", ".U32"])
    @pytest.mark.parametrize("name", ["LT", "LE", "GT", "GE", "NE"])
    def test_comparisons(self, name: str, sign: str) -> None:
        for a, b in product(NUMBERS, repeat=2):
            code = (
                *A,
                f"ISETP.{name}.U32.AND P1, PT, R2, R4, PT",
                f"ISETP.{name}{sign}.AND.EX P1, PT, R3, R5, PT, P1",
                "SEL R0, RZ, 0x4, !P1",
                "MOV R1, RZ",
            )
            x, y = (
                np.array(n, np.uint64).view(np.uint64 if sign else np.int64)[()] for n in (a, b)
            )
            ways = {"LT": x < y, "LE": x <= y, "GT": x > y, "GE": x >= y, "NE": x != y}
            assert stored_address(*code, numbers=(a, b)) == 4 * bool(ways[name])

    def test_bits(self) -> None:
        for a, b in product(NUMBERS, repeat=2):
            code = (*A, "LOP3.LUT R0, R2, R4, R5, 0xca, !PT", "LOP3.LUT R1, R3, R4, R5, 0x96, !PT")
            low, high = (b % 2**32, b >> 32)
            chosen = (
                a & low | ~a & high
            )  # 0xca: of the second where the first is set, else the third
            expected = (chosen % 2**32) | ((a >> 32) ^ low ^ high) << 32
            assert stored_address(*code, numbers=(a, b)) == expected


DIVISION = (
    "LDC R6, c[0x0][0x218]",
    "LDC R5, c[0x0][0x210]",
    "I2F.U32.RP R0, R6",
    "ISETP.NE.U32.AND P2, PT, R6, RZ, PT",
    "MUFU.RCP R0, R0",
    "IADD3 R2, R0, 0xffffffe, RZ",
    "F2I.FTZ.U32.TRUNC.NTZ R3, R2",
    "HFMA2.MMA R2, -RZ, RZ, 0, 0",
    "IMAD.MOV R7, RZ, RZ, -R3",
    "IMAD R7, R7, R6, RZ",
    "IMAD.HI.U32 R4, R3, R7, R2",
    "IMAD.HI.U32 R12, R4, R5, RZ",
    "IMAD.MOV R3, RZ, RZ, -R12",
    "IMAD R3, R6, R3, R5",
    "ISETP.GE.U32.AND P0, PT, R3, R6, PT",
    "@P0 IADD3 R3, R3, -R6, RZ",
    "@P0 VIADD R12, R12, 0x1",
    "ISETP.GE.U32.AND P1, PT, R3, R6, PT",
    "@P1 IADD3 R12, R12, 0x1, RZ",
    "@!P2 LOP3.LUT R12, RZ, R6, RZ, 0x33, !PT",
    "MOV R0, R12",
    "HFMA2.MMA R1, -RZ, RZ, 0, 5.9604644775390625e-08",
)


@pytest.mark.parametrize("divisor", [1, 3, 10, 4096, 65_537, 2**24 + 1, 2**31 + 1, 2**32 - 1])
@pytest.mark.parametrize("number", [0, 1, 32_767, 10**9, 2**31, 2**32 - 1])
def test_the_compilers_quotient(number: int, divisor: int) -> None:
    """It ends with the constant 1, which is written as the half 2^-24."""
    found = stored_address(*DIVISION, numbers=(number, divisor))
    assert found == number // divisor | 1 << 32


LOOP = program(
    "S2R R0, SR_TID.X",
    "S2UR UR4, SR_CTAID.X",
    "ULDC.64 UR6, c[0x0][0x210]",
    "MOV R3, UR4",
    "IMAD R2, R3, 0x22, R0",
    "IMAD.U32 R8, RZ, RZ, UR6",
    "MOV R9, UR7",
    "IMAD.WIDE R6, R2, 0x8, R8",
    "LOP3.LUT R4, R0, 0x3, RZ, 0xc0, !PT",
    ".L_x_0:",
    "ISETP.GE.AND P0, PT, R4, 0x1, PT",
    "VIADD R4, R4, 0xffffffff",
    "@P0 BRA `(.L_x_0)",
    "STG.E.64 desc[UR4][R6.64], R2",
    "EXIT",
)


class Pointer(ctypes.Structure):
    _fields_ = (("out", ctypes.c_uint64),)


def case(blocks: int, elements: int) -> Case:
    """Return a launch of `LOOP`: blocks of 34 threads, a warp and two threads of another."""
    plan = Plan(Specialisation("k", ()), (blocks, 1, 1), (34, 1, 1), Pointer(1 << 40))
    return Case("loop", plan, (), (View(1 << 40, (elements,), (1,), "int64"),))


def test_a_warp_issues_as_often_as_its_busiest_thread() -> None:
    found = count(case(5, 170), LOOP)
    # Threads 0 to 31 go round up to four times, 32 and 33 up to twice.
    assert found.instructions == 5 * ((9 + 4 * 3 + 2) + (9 + 2 * 3 + 2))
    assert found.opcodes["BRA"] == 5 * (4 + 2)
    assert (found.blocks, found.warps, found.guesses) == (5, 10, 0)


def test_the_block_in_the_middle_stands_for_all() -> None:
    alone = ("S2UR UR4, SR_CTAID.X", "MOV R3, UR4", "ISETP.NE.AND P1, PT, R3, 0x2, PT", "@P1 EXIT")
    base = ("ULDC.64 UR6, c[0x0][0x210]", "S2R R0, SR_TID.X", "IMAD R2, R3, 0x22, R0")
    address = ("MOV R8, UR6", "MOV R9, UR7", "IMAD.WIDE R6, R2, 0x8, R8")
    code = program(*alone, *base, *address, "STG.E.64 desc[UR4][R6.64], R2", "EXIT")
    assert count(case(5, 170), code).instructions == 5 * 2 * 12


@pytest.mark.parametrize("elements", [169, 171])
def test_what_is_stored_must_be_the_output(elements: int) -> None:
    with pytest.raises(ValueError, match=r"loop: expected .* mend sass/alu\.py"):
        count(case(5, elements), LOOP)


def test_stores_elsewhere_are_seen() -> None:
    stray = case(5, 170)
    stray.plan.parameters.out += 8 * 170
    with pytest.raises(ValueError, match="elsewhere"):
        count(stray, LOOP)


def both_ways(condition: str) -> Iterator[str]:
    """Yield a kernel that calls a function for six instructions in all, or goes on for four."""
    yield "MUFU.RSQ R2, R3"
    yield "FSETP.GEU.AND P1, PT, R2, RZ, PT"
    yield f"@{condition} BRA `(.L_x_1)"
    yield "MOV R4, 0x50"
    yield "CALL.REL.NOINC `($slow)"
    yield "BRA `(.L_x_2)"
    yield ".L_x_1:"
    yield from ["FADD R2, R2, R2"] * 4
    yield ".L_x_2:"
    yield "EXIT"
    yield "$slow:"
    yield from ["FADD R2, R2, R2"] * 2
    yield "RET.REL.NODEC R4 `(k)"


def test_what_is_unknown_takes_the_shorter_way() -> None:
    done = walked(program(*both_ways("P1")))
    assert done.guesses == 1
    assert sorted(done.counts) == [0, 1, 2, 6, 7, 8, 9, 10]


def test_a_call_returns() -> None:
    done = walked(program(*both_ways("!PT")))
    assert done.guesses == 0
    assert sorted(done.counts) == [0, 1, 2, 3, 4, 5, 10, 11, 12, 13]


@pytest.mark.parametrize(
    "code",
    [
        ("LDS R0, [R2]", "IADD3 R0, R0, 0x1, RZ"),
        ("DSETP.GT.AND P0, PT, R2, R4, PT", "@P0 MOV R0, RZ"),
        ("BAR.RED.OR.DEFER_BLOCKING 0x0, P1", "B2R.RESULT RZ, P0", "@P0 MOV R0, RZ"),
        ("DADD R0, R2, R4",),
    ],
)
def test_what_depends_on_the_unknown_is_unknown(code: tuple[str, ...]) -> None:
    known = ("MOV R0, RZ", "MOV R1, RZ")
    with pytest.raises(RuntimeError, match=r"STG\.E .* expected an address that is known"):
        walked(program(*known, *code, "STG.E desc[UR4][R0.64], R2", "EXIT"))


def test_an_instruction_nobody_knows() -> None:
    with pytest.raises(NotImplementedError, match=r"BMSK R0 R1 R2: expected"):
        walked(program("BMSK R0, R1, R2", "EXIT"))


def test_local_memory() -> None:
    code = ("LDC.64 R2, c[0x0][0x210]", "MOV R1, 0x40", "STL.64 [R1+-0x8], R2")
    assert stored_address(*code, "LDL R1, [R1+-0x4]", "MOV R0, R2", numbers=(2**45 + 7,)) == (
        2**45 + 7
    )

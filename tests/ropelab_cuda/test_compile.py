"""Sources and specialisations; with `-m nvrtc`, every kernel through NVRTC, without a GPU."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ropelab_cuda
from ropelab_cuda.catalogue import specialisations
from ropelab_cuda.catalogue_many import benchmarked
from ropelab_cuda.compile import Specialisation, compiled, cubin_name, source

KERNELS = Path(ropelab_cuda.__file__).with_name("kernels")
ARCHITECTURES = ("80", "90", "120")
CASES = specialisations()


def by_name(case: Specialisation) -> str:
    return str(case).replace("unsigned long long", "u64")


def test_every_kernel_file_is_compiled() -> None:
    assert {case.kernel for case in CASES} == {path.stem for path in KERNELS.glob("*.cu")}
    assert len(CASES) >= 150


def test_every_header_is_inlined_exactly_once() -> None:
    texts = {case.kernel: source(case) for case in CASES}
    for text in texts.values():
        assert "#include" not in text
        assert "#pragma once" not in text
    for header in KERNELS.glob("*.cuh"):
        opening = header.read_text("utf-8").splitlines()[0]
        assert {text.count(opening) for text in texts.values()} <= {0, 1}
        assert any(opening in text for text in texts.values()), f"{header.name} is never used"


def test_a_header_cannot_change_without_the_source() -> None:
    """CuPy keys its disk cache by the source: so the source must hold every header's text."""
    for case in CASES:
        for header in re.findall(r'#include "(.+)"', (KERNELS / f"{case.kernel}.cu").read_text()):
            body = (KERNELS / header).read_text("utf-8").splitlines()[-3:]
            assert "\n".join(body) in source(case)


def registers_and_spills(case: Specialisation, architecture: str) -> tuple[int, int]:
    """Compile to machine code; return the registers of a thread and the bytes it spills."""
    cubin, log = compiled(case, architecture, "--ptxas-options=-v")
    assert len(cubin) > 1000
    registers, spilled = (
        re.search(pattern, log)
        for pattern in (r"Used (\d+) registers", r"(\d+) bytes spill stores")
    )
    assert registers
    assert spilled
    return int(registers[1]), int(spilled[1])


# Registers of a thread on sm_90 beside those that `registers_held` counts: for addresses, and for
# the way to the angles. Where keys have a format of their own, NVRTC turns several heads at once.
BESIDE = {
    "rotary": 48,
    "rotary, tails": 64,
    "rotary_cached": 80,
    "rotary_cached, tails": 80,
    "rotary_kv_cache": 40,
    "rotary_kv_cache, tails": 64,
    "rotary_kv_cache, tails, keys apart": 144,
    "rotary_xpos": 40,
    "rotary_xpos, tails": 56,
    "norm_rotary": 76,
    "norm_rotary, tails": 64,
}
OTHERS = 64  # of what rotates nothing
WORDS = {"Bfloat16": 0.5, "Float16": 0.5, "Float32": 1, "Float64": 2}  # registers of an element


def budget_of(case: Specialisation) -> str:
    """Name the kind of kernel that has a number of registers for itself."""
    defines = dict(case.defines)
    tails = ", tails" if defines["TAIL"] else ""
    return case.kernel + tails + (", keys apart" if tails and defines["KEYS_APART"] else "")


def registers_held(case: Specialisation) -> float:
    """Return what holds the heads in flight, the pairs of one of them, and their angles."""
    defines: dict[str, Any] = dict(case.defines)
    pairs, word = int(defines["PAIRS_HELD"]), WORDS[defines["FORMAT"]]
    in_double = "Float64" in {defines.get(f"{of}FORMAT") for of in ("", "OUTPUT_", "KEY_")}
    number = 2 if in_double else 1
    if case.kernel == "norm_rotary":
        units = int(defines["PAIRS"]) // pairs - -int(defines["TAIL"]) // (2 * pairs)
        rounds = -(-units // int(defines["ACROSS"]))
        heads = int(defines["Q_UNROLL"]) + int(defines["K_UNROLL"])
        # Weights are of each head in flight, or of both tensors; four numbers a pair turn it.
        weights = (heads if defines["ACROSS_HEADS"] else 2) * WORDS[defines["WEIGHT_FORMAT"]]
        return rounds * (2 * pairs * (heads * word + weights) + 4 * pairs * number)
    in_flight = 2 * pairs * int(defines["UNROLL"])
    in_flight += int(defines.get("VALUES_HELD", 0)) * int(defines.get("VALUE_VECTOR", 0))
    return in_flight * word + 4 * pairs * number


def keeps_1024_threads(case: Specialisation) -> bool:
    """Say whether a multiprocessor is to have so many: the usual rotation, of six heads at most."""
    defines = dict(case.defines)
    usual = case.kernel == "rotary" and not (defines["TAIL"] or defines["FEW_TOKENS"])
    held = WORDS.get(str(defines.get("FORMAT"))), defines.get("PAIRS_HELD")
    return usual and held == (0.5, 4) and int(defines["UNROLL"]) <= 6


def test_every_budget_has_cases_of_few_tokens_and_of_many() -> None:
    rotating = [case for case in CASES if "UNROLL" in dict(case.defines)]
    assert {budget_of(case) for case in rotating} == set(BESIDE)
    sizes = {(case.kernel, dict(case.defines)["FEW_TOKENS"]) for case in rotating}
    assert len(sizes) == 2 * len({case.kernel for case in rotating}) == 10
    assert len([case for case in rotating if keeps_1024_threads(case)]) >= 16


def test_whatever_is_benchmarked_is_compiled() -> None:
    found = set(benchmarked())
    assert len(found) >= 36
    assert found <= set(CASES)
    ways = ("PAIRS_HELD", "UNROLL", "TOKENS", "LOADS_FIRST")
    assert len({tuple(map(dict(case.defines).get, ways)) for case in found}) >= 10


def to_compile() -> Iterator[Any]:
    """Yield every kernel for the H100 and H200, and one of each kind for the others."""
    seen = set()
    for case in CASES:
        defines = dict(case.defines)
        kind = (case.kernel, *map(defines.get, ("FORMAT", "OUTPUT_FORMAT", "LAYOUT", "FEW_TOKENS")))
        for architecture in ARCHITECTURES:
            if architecture == "90" or kind not in seen:
                yield pytest.param(case, architecture, id=f"{by_name(case)}-{architecture}")
        seen.add(kind)


@pytest.mark.nvrtc
@pytest.mark.parametrize(("case", "architecture"), [*to_compile()])
def test_it_compiles(case: Specialisation, architecture: str) -> None:
    registers, spilled = registers_and_spills(case, architecture)
    # A few bytes may be spilled once a token to keep more threads resident; none on the H200.
    assert spilled <= (0 if architecture == "90" else 64)
    if architecture != "90":
        return
    if "UNROLL" in dict(case.defines):
        assert registers <= BESIDE[budget_of(case)] + registers_held(case)
    else:
        assert registers <= OTHERS
    if keeps_1024_threads(case):
        assert registers <= 64


@pytest.mark.nvrtc
def test_a_structure_of_another_size_does_not_compile() -> None:
    case = CASES[0]
    defines = (*case.defines[:-1], ("PARAMETER_BYTES", int(case.defines[-1][1]) + 8))
    with pytest.raises(RuntimeError, match="packs another structure"):
        compiled(Specialisation(case.kernel, defines), "90")


# ------------------------------------------------------------------------------------------------


def test_a_cubins_name_changes_with_source_macros_and_card(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {cubin_name(case, card) for case in CASES for card in ARCHITECTURES}
    assert len(names) == len(CASES) * len(ARCHITECTURES)
    assert all(re.fullmatch(r"\w+-sm_\d+-[0-9a-f]{40}\.cubin", name) for name in names)
    before = cubin_name(CASES[0], "90")
    monkeypatch.setattr("ropelab_cuda.compile.OPTIONS", ("--std=c++20",))
    assert cubin_name(CASES[0], "90") != before
    monkeypatch.undo()
    assert cubin_name(CASES[0], "90") == before
    monkeypatch.setattr("ropelab_cuda.compile.source", lambda case: source(case) + " ")
    assert cubin_name(CASES[0], "90") != before


@pytest.mark.nvrtc
def test_a_cubin_is_whole() -> None:
    """The file ends where its own tables do: CuPy drops the last byte of what NVRTC returns."""
    cubin, _ = compiled(CASES[0], "90")
    assert cubin[:4] == b"\x7fELF"
    ends = []
    for offset_at, size_at in ((0x20, 0x36), (0x28, 0x3A)):  # of segments and of sections
        (offset,) = struct.unpack_from("<Q", cubin, offset_at)
        size, count = struct.unpack_from("<HH", cubin, size_at)
        ends.append(offset + size * count)
    assert max(ends) == len(cubin)


@pytest.mark.nvrtc
def test_an_unknown_card_is_named() -> None:
    with pytest.raises(RuntimeError, match="does not compile"):
        compiled(CASES[0], "12")

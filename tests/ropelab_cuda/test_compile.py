"""Sources and specialisations; with `-m nvrtc`, every kernel through NVRTC, without a GPU."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ropelab_cuda
from ropelab_cuda.catalogue import specialisations
from ropelab_cuda.compile import Specialisation, compiled, cubin_name, kernel, source
from ropelab_cuda.cubins import add_folder, store_cubin

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


@pytest.mark.nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_it_compiles(case: Specialisation, architecture: str) -> None:
    registers, spilled = registers_and_spills(case, architecture)
    # A few bytes may be spilled once a token to keep more threads resident; none on the H200.
    assert spilled <= (0 if architecture == "90" else 64)
    defines = dict(case.defines)
    if architecture == "90":
        formats = {defines.get("FORMAT"), defines.get("OUTPUT_FORMAT")}
        in_double = "Float64" in formats or case.kernel == "rotary_xpos"
        assert registers <= (128 if in_double else 96)  # of 512 threads
    kind = (case.kernel, defines.get("FORMAT"), defines.get("TAIL_VECTOR"))
    fills_the_device = not defines.get("FEW_TOKENS")
    if architecture == "90" and kind == ("rotary", "Bfloat16", 0) and fills_the_device:
        assert registers <= 64  # 1024 threads stay resident on a multiprocessor


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


class Stub:
    """CuPy, as far as a kernel is made by it: what is loaded, and from where."""

    def __init__(self) -> None:
        self.cuda = SimpleNamespace(driver=SimpleNamespace(CUDADriverError=LookupError))
        self.compiled: list[str] = []

    def RawKernel(self, code: str, name: str, options: tuple[str, ...]) -> tuple[str, ...]:  # noqa: N802
        return ("source", name, *options)

    def RawModule(self, *, path: str) -> SimpleNamespace:  # noqa: N802
        content = Path(path).read_bytes()

        def get_function(name: str) -> tuple[str, str, bytes]:
            if content == b"broken":
                raise LookupError
            return path, name, content

        return SimpleNamespace(get_function=get_function)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stub:
    stub = Stub()

    def compile_by_stub(case: Specialisation, card: str) -> tuple[bytes, str]:
        stub.compiled.append(card)
        return f"{case.kernel} for {card}".encode(), ""

    monkeypatch.setattr("ropelab_cuda.compile.require_cupy", lambda: stub)
    monkeypatch.setattr("ropelab_cuda.compile.compiled", compile_by_stub)
    monkeypatch.setattr("ropelab_cuda.compile._is_known_to_nvrtc", lambda card: card != "999")
    monkeypatch.setattr("ropelab_cuda.cubins._added", [])
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("ROPELAB_CUBINS", "CUPY_CACHE_IN_MEMORY"):
        monkeypatch.delenv(name, raising=False)
    return stub


def load(case: Specialisation, card: str) -> Any:
    return kernel.__wrapped__(case, card)


def test_a_kernel_is_compiled_once_and_then_found_on_disk(cupy: Stub, tmp_path: Path) -> None:
    first, second = load(CASES[0], "90"), load(CASES[0], "90")
    assert first == second
    assert first[1:] == ("rotary", b"rotary for 90")
    assert Path(first[0]) == tmp_path / "cache" / "ropelab" / cubin_name(CASES[0], "90")
    assert load(CASES[0], "80")[2] == b"rotary for 80"
    assert load(CASES[1], "90")[0] != first[0]
    assert cupy.compiled == ["90", "80", "90"]


def test_a_shipped_cubin_comes_before_the_cache(
    cupy: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("one", "two"):
        store_cubin(tmp_path / folder, cubin_name(CASES[0], "90"), folder.encode())
    monkeypatch.setenv("ROPELAB_CUBINS", os.pathsep.join(str(tmp_path / f) for f in ("one", "two")))
    assert load(CASES[0], "90")[2] == b"one"
    add_folder(tmp_path / "two")
    assert load(CASES[0], "90")[2] == b"two"
    assert cupy.compiled == []
    assert load(CASES[0], "80")[2] == b"rotary for 80"  # none was shipped for this card


def test_a_broken_cubin_is_compiled_again_in_the_cache_and_refused_elsewhere(
    cupy: Stub, tmp_path: Path
) -> None:
    name = cubin_name(CASES[0], "90")
    store_cubin(tmp_path / "cache" / "ropelab", name, b"broken")
    assert load(CASES[0], "90")[2] == b"rotary for 90"
    store_cubin(tmp_path / "shipped", name, b"broken")
    add_folder(tmp_path / "shipped")
    with pytest.raises(RuntimeError, match=r"shipped.*write it again"):
        load(CASES[0], "90")
    assert cupy.compiled == ["90"]


def test_cupy_compiles_where_no_cubin_can_be_left(
    cupy: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(CASES[0], "999") == ("source", "rotary", "--std=c++17")
    (tmp_path / "cache").write_text("no folder")
    assert load(CASES[0], "90")[0] == "source"
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "1")
    assert load(CASES[0], "90")[0] == "source"
    assert cupy.compiled == ["90"]  # in vain
    assert list(tmp_path.rglob("*.cubin*")) == []


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

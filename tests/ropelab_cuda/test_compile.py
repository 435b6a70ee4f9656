"""Sources and specialisations; with `-m nvrtc`, every kernel through NVRTC, without a GPU."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import ropelab_cuda
from ropelab_cuda.catalogue import specialisations
from ropelab_cuda.compile import OPTIONS, Specialisation, source

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


def compiled(case: Specialisation, architecture: str) -> tuple[int, int]:
    """Compile to machine code; return the registers of a thread and the bytes it spills."""
    from cupy_backends.cuda.libs import nvrtc

    program = nvrtc.createProgram(source(case), f"{case.kernel}.cu", (), ())
    # What CuPy adds to the options of every kernel, and the assembler's report.
    options = (*OPTIONS, "-ftz=true", f"-arch=sm_{architecture}", "--ptxas-options=-v")
    try:
        nvrtc.compileProgram(program, options)
    except nvrtc.NVRTCError:
        pytest.fail(nvrtc.getProgramLog(program))
    log: Any = nvrtc.getProgramLog(program)
    assert len(nvrtc.getCUBIN(program)) > 1000
    nvrtc.destroyProgram(program)
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
    registers, spilled = compiled(case, architecture)
    # A few bytes may be spilled once a token to keep more threads resident; none on the H200.
    assert spilled <= (0 if architecture == "90" else 64)
    defines = dict(case.defines)
    if architecture == "90":
        formats = {defines.get("FORMAT"), defines.get("OUTPUT_FORMAT")}
        in_double = "Float64" in formats or case.kernel == "rotary_xpos"
        assert registers <= (128 if in_double else 96)  # of 512 threads
    kind = (case.kernel, defines.get("FORMAT"), defines.get("TAIL_VECTOR"))
    if architecture == "90" and kind == ("rotary", "Bfloat16", 0):
        assert registers <= 64  # 1024 threads stay resident on a multiprocessor


@pytest.mark.nvrtc
def test_a_structure_of_another_size_does_not_compile() -> None:
    case = CASES[0]
    defines = (*case.defines[:-1], ("PARAMETER_BYTES", int(case.defines[-1][1]) + 8))
    with pytest.raises(pytest.fail.Exception, match="packs another structure"):
        compiled(Specialisation(case.kernel, defines), "90")

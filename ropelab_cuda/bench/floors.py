"""``python -m ropelab_cuda.bench.floors``: how fast each kernel could be at best, without a GPU.

Two floors of the device's time, for one call of each kernel on an H200:

- bytes: each element in and out once, and positions, tables and weights once, over the bandwidth;
- instructions: those that the warps issue on the usual path, counted in the machine code that NVRTC
  makes, over what the multiprocessors can issue; and those of the busiest pipe over its rate.

A kernel takes at least the longer of them, and at best little more, since both go on at once. It
needs NVRTC (as ``nox -s compile`` has it) and NVIDIA's disassembler (see `sass.listing`).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ..compile import compiled
from .counting import count
from .floor_cases import Case, cases
from .limits import BANDWIDTH, COPY, PIPES, Floor
from .report import Table, aligned, markdown
from .sass.listing import disassembled, parse

__all__ = ["as_markdown", "floor_of"]

ARCHITECTURE = "90"


def floor_of(case: Case, nvdisasm: str) -> Floor:
    """Compile a case's kernel and count.

    Parameters
    ----------
    case : Case
        What is launched.
    nvdisasm : str
        The disassembler.

    Returns
    -------
    Floor
        Its bytes and instructions.
    """
    specialisation = case.plan.specialisation
    cubin, _ = compiled(specialisation, ARCHITECTURE)
    program = parse(disassembled(cubin, nvdisasm), specialisation.kernel)
    return Floor(case, count(case, program))


FLOOR_HEADINGS = (
    *("kernel", "MB", "bytes, μs", "at a copy's rate, μs", "instructions, millions", "of a warp"),
    *("issue, μs", "busiest pipe, μs", "limit"),
)


def _floor_rows(floors: Sequence[Floor]) -> Table:
    rows: Table = [FLOOR_HEADINGS]
    for floor in floors:
        pipe, seconds = floor.busiest
        rows.append(
            (
                floor.case.name,
                f"{floor.case.moved_bytes / 1e6:.4g}",
                _microseconds(floor.seconds_of_bytes),
                _microseconds(floor.seconds_of_copy),
                f"{floor.count.instructions / 1e6:.3g}",
                f"{floor.count.instructions / floor.count.warps:.0f}",
                _microseconds(floor.seconds_of_issue),
                f"{_microseconds(seconds)}, {pipe}",
                floor.limit,
            )
        )
    return rows


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.1f}" if seconds > 1e-5 else f"{seconds * 1e6:.2f}"


def _mix_rows(floors: Sequence[Floor]) -> Table:
    rows: Table = [("kernel", *PIPES, "other", "guessed branches of a thread")]
    for floor in floors:
        total = floor.count.instructions
        shares = (f"{100 * times / total:.0f}" for times in floor.by_pipe.values())
        rows.append((floor.case.name, *shares, f"{floor.count.guesses:g}"))
    return rows


def as_markdown(floors: Sequence[Floor], compiler: str) -> str:
    """Return the page.

    Parameters
    ----------
    floors : sequence of Floor
        One a kernel.
    compiler : str
        What has made the machine code.

    Returns
    -------
    str
        Markdown.
    """
    tables = (markdown(_floor_rows(floors), 1), markdown(_mix_rows(floors), 1))
    return PAGE.format(*tables, compiler=compiler, copy=COPY / 1e12, share=COPY / BANDWIDTH)


PAGE = """# Two floors under each kernel

Written by `python -m ropelab_cuda.bench.floors --markdown docs/floors.md`, which needs no GPU:
nothing here is a time of a kernel. One call on an H200, bfloat16 and out of place unless a row
says otherwise; 8×4096 tokens, 32/8 heads of 128; tables and lengths of 131,072 positions. A
kernel takes at least the longest of its floors.

{0}

- **bytes**: each element in and out once, positions, tables and weights once, at 4.8 TB/s, the
  data sheet's; then at the {copy:.2f} TB/s, {share:.3f} of that, which a device copy of the first
  row's bytes has [reached](performance.md).
- **instructions**: warp instructions on the usual path. **issue** is what 132 multiprocessors of
  four schedulers take for them at 1.98 GHz, one a clock each; if there are fewer blocks, so many
  multiprocessors.
- **busiest pipe**: instructions of one kind over its rate. Of a multiprocessor, 64 lanes do
  integers, 64 IMAD, 64 double precision, 16 roots and conversions from and to 64 bits, and 32
  memory.
- **limit**: the longest floor, and what comes within a fifth of it; bytes at the copy's rate.
  "The launch" where all stay below the half microsecond that an empty kernel takes.

## What is issued

Shares of all instructions, in per cent. "Other" are moves, branches, conversions of 32 bits,
selections between floating-point numbers and loads of constants: issued, but counted in no pipe.

{1}

## How it is counted

The machine code is the one that {compiler} makes for sm_90, as it is launched, and NVIDIA's
`nvdisasm` lists. A program walks through it for every thread of one block in the middle of the
grid. It computes integers, predicates and addresses from the launch's parameters, positions and
slots, and leaves floating-point numbers unknown. A warp issues an instruction as often as the
thread that comes there most often. So loops run as often as in the launch, and slow paths (an
outdated guess, an absent tail, a quotient of 64 bits) count only where they are taken.

Every walk is checked: what it stores is as many bytes as the results have, and no byte twice.

Its errors:

- Where an unknown number decides a branch, the shorter way is taken; the last column says how
  often. These are the slow paths of roots and quotients, which no normal number takes; and in
  length_spectrum the words of 1/2π, of which a few instructions are missed.
- Threads of a warp that have parted may issue instructions apart which they could share. Memory
  instructions may be replayed. Neither is counted.
- No kernel issues at every clock, nor is the clock always the highest. So where issue is near the
  bytes, it costs time already.
- Another compiler makes other code; NVRTC of another release may differ by some instructions.
"""


def main() -> int:
    """Count, print and write.

    Returns
    -------
    int
        0.
    """
    parser = argparse.ArgumentParser(
        prog="python -m ropelab_cuda.bench.floors",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--nvdisasm", default="nvdisasm", help="the disassembler")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write the page there")
    arguments = parser.parse_args()
    if shutil.which(arguments.nvdisasm) is None:
        parser.error(
            f"--nvdisasm: expected a program; got {arguments.nvdisasm!r}, which is not found; "
            "pip install nvidia-cuda-nvdisasm, and name its bin/nvdisasm"
        )
    from cupy_backends.cuda.libs import nvrtc

    floors = []
    for case in cases():
        print(f"{case.name} …", file=sys.stderr, flush=True)
        floors.append(floor_of(case, arguments.nvdisasm))
    print(aligned(_floor_rows(floors), 1), "", aligned(_mix_rows(floors), 1), sep="\n")
    if arguments.markdown is not None:
        version = ".".join(map(str, nvrtc.getVersion()))
        arguments.markdown.write_text(as_markdown(floors, f"NVRTC {version}"), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What an H200 can move and issue, and so what a launch takes at least."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..work import MULTIPROCESSORS
from .counting import Count
from .floor_cases import Case

__all__ = ["BANDWIDTH", "COPY", "PIPES", "Floor", "pipe_of"]

CLOCK = 1.98e9  # hertz: the highest of an H200, which it reaches
BANDWIDTH = 4.8e12  # bytes a second, by the data sheet
COPY = 671.1e6 / 158.0e-6  # of a device copy, in docs/performance.md: 0.885 of it
LAUNCH = 0.5e-6  # seconds of an empty kernel among others in a graph, there, of an H100
ISSUED = 4  # warp instructions a clock and multiprocessor, one of each scheduler
NEAR = 0.8  # share of the longer floor, from which on the other one matters too

# Warp instructions a clock and multiprocessor: lanes over 32, by the table of arithmetic throughput
# in the CUDA C++ Programming Guide, compute capability 9.0. What is in no pipe is only issued.
PIPES: Mapping[str, tuple[float, str]] = {
    "integers": (2.0, r"U?(IADD3|VIADD|LOP3|ISETP|LEA|SHF|SEL|PRMT|VIMNMX|IMNMX|IABS|PLOP3)\b"),
    "IMAD": (2.0, r"IMAD\b"),
    "fp32": (4.0, r"(FFMA|FMUL|FADD|HFMA2)\b"),
    "fp64": (2.0, r"(DFMA|DMUL|DADD|DSETP)\b"),
    "roots, 64-bit conversions": (0.5, r"MUFU\b|(F2F|F2I|I2F|FRND)\b.*64"),
    "memory": (1.0, r"(LDG|STG|LDS|STS|LDL|STL|CCTL|SHFL)\b"),
}


@dataclass(frozen=True)
class Floor:
    """What one launch takes at least.

    Parameters
    ----------
    case : Case
        The launch.
    count : Count
        Its instructions.
    """

    case: Case
    count: Count

    @property
    def seconds_of_bytes(self) -> float:
        """At the data sheet's bandwidth."""
        return self.case.moved_bytes / BANDWIDTH

    @property
    def seconds_of_copy(self) -> float:
        """At the bandwidth of a copy."""
        return self.case.moved_bytes / COPY

    @property
    def multiprocessors(self) -> int:
        """Those that have a block."""
        return min(MULTIPROCESSORS, self.count.blocks)

    @property
    def seconds_of_issue(self) -> float:
        """Of all instructions."""
        return self.count.instructions / (ISSUED * self.multiprocessors * CLOCK)

    @property
    def by_pipe(self) -> dict[str, int]:
        """Instructions of each pipe."""
        found = dict.fromkeys((*PIPES, ""), 0)
        for opcode, times in self.count.opcodes.items():
            found[pipe_of(opcode)] += times
        return found

    @property
    def busiest(self) -> tuple[str, float]:
        """The pipe that takes longest, and its seconds."""
        seconds = {
            pipe: times / (PIPES[pipe][0] * self.multiprocessors * CLOCK)
            for pipe, times in self.by_pipe.items()
            if pipe
        }
        pipe = max(seconds, key=lambda name: seconds[name])
        return pipe, seconds[pipe]

    @property
    def limit(self) -> str:
        """What the kernel cannot be faster than."""
        pipe, of_pipe = self.busiest
        floors = {"bytes": self.seconds_of_copy, "issue": self.seconds_of_issue, pipe: of_pipe}
        longest, *others = sorted(floors, key=lambda name: -floors[name])
        if floors[longest] < LAUNCH:
            return "the launch"
        near = [name for name in others if floors[name] >= NEAR * floors[longest]]
        idle = ", on few multiprocessors" if self.multiprocessors < MULTIPROCESSORS else ""
        return ", nearly ".join((longest, *near)) + idle * (longest != "bytes")


def pipe_of(opcode: str) -> str:
    """Return the pipe of an instruction.

    Parameters
    ----------
    opcode : str
        With its modifiers.

    Returns
    -------
    str
        A key of `PIPES`, or nothing.

    Examples
    --------
    >>> pipe_of("IMAD.WIDE.U32"), pipe_of("F2F.F32.F64"), pipe_of("BRA")
    ('IMAD', 'roots, 64-bit conversions', '')
    """
    return next((pipe for pipe, (_, names) in PIPES.items() if re.match(names, opcode)), "")

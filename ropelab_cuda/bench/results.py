"""What was measured for one workload, and how rows compare with each other."""

from __future__ import annotations

from dataclasses import dataclass

from .timing import Timing
from .workloads import Cycle, Workload

__all__ = ["COMPILED", "COPIES", "IN_PLACE", "OURS", "Measurement", "Result"]

# Names of rows that others are compared with. The driver's copy falls behind above 1 GB, on an
# H200 to two thirds of what the memory can do (NVIDIA/cccl#1672), so a kernel copies as well.
COPIES = ("device copy, by the driver", "device copy, by a kernel")
COMPILED = "torch.compile"
OURS, IN_PLACE = "ropelab", "ropelab, in place"


@dataclass(frozen=True)
class Result:
    """One row of a table.

    Parameters
    ----------
    name, layout : str
        Who rotates what; no layout for a copy.
    backward : bool
        Whether it is the backward pass.
    error : float
        Worst pair error against the specification, in eps.
    device : Timing or None
        Microseconds of the device; None if it failed or was wrong, and therefore not timed.
    note : str, default ""
        Why it failed.
    """

    name: str
    layout: str
    backward: bool
    error: float
    device: Timing | None
    note: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether it is this package's."""
        return self.name.startswith(OURS)

    @property
    def is_in_place(self) -> bool:
        """Whether the results go where the inputs were."""
        return self.name.endswith(", in place")

    @property
    def is_peer(self) -> bool:
        """Whether it is somebody else's rotation."""
        return not self.is_ours and self.name not in COPIES


@dataclass(frozen=True)
class Measurement:
    """All that was measured for one workload.

    Parameters
    ----------
    workload : Workload
        Shapes and dtype.
    cycle : Cycle
        How the calls walked over memory.
    results : tuple of Result
        The rows.
    """

    workload: Workload
    cycle: Cycle
    results: tuple[Result, ...]

    @property
    def copy(self) -> Timing | None:
        """Time of the faster copy of the same bytes."""
        copies = [r.device for r in self.results if r.name in COPIES and r.device]
        return min(copies, key=lambda timing: timing.median, default=None)

    def best_peer(self, result: Result) -> Result | None:
        """Return the fastest other rotation of the same layout, direction and number of bytes."""
        # In place or not; but channels that are not rotated stay where they are in place.
        peers = [
            (peer.device.median, peer)
            for peer in self.results
            if peer.is_peer
            and peer.device
            and (peer.layout, peer.backward) == (result.layout, result.backward)
            and (peer.is_in_place == result.is_in_place or not self.workload.rotary_dim)
        ]
        return min(peers, key=lambda pair: pair[0])[1] if peers else None

    def bandwidth(self, result: Result) -> float | None:
        """Return terabytes a second."""
        return self.workload.moved_bytes / result.device.median / 1e6 if result.device else None

    def of_copy(self, result: Result) -> float | None:
        """Return the share of the copy's speed that a row reaches."""
        return _ratio(self.copy, result.device)

    def of_best_peer(self, result: Result) -> float | None:
        """Return how many times faster a row is than the best peer."""
        peer = self.best_peer(result)
        return _ratio(peer.device, result.device) if peer else None


def _ratio(reference: Timing | None, timing: Timing | None) -> float | None:
    return reference.median / timing.median if reference and timing else None

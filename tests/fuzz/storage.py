"""Calls whose results may be stored in another format, and over a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .cases import OUTPUTS, Case, Kind, kind_of

__all__ = ["SCALES", "STORAGE", "StoredCase", "StoredKind", "stored_kind_of"]

STORAGE: dict[str, tuple[Any, ...]] = {
    "output": (*OUTPUTS, *[None] * 6),
    "scaled": (True, False, False, False),
}
# Of both results, or of queries and of keys.
SCALES: tuple[float | tuple[float, float], ...] = (0.25, (1.0, 0.375), (0.6, 2.5))


@dataclass(frozen=True)
class StoredKind(Kind):
    """What a kernel is compiled for that stores as it is told.

    Parameters
    ----------
    output : str or None
        Another dtype of the results than that of the inputs, unless they are in place.
    scaled : bool
        Whether results are divided by a scale, likewise.
    """

    output: str | None
    scaled: bool


def stored_kind_of(hand: dict[str, Any]) -> dict[str, Any]:
    """Return the options of such a kind as they go together."""
    output = None if hand["output"] == hand["dtype"] else hand["output"]
    return kind_of({**hand, "output": output})


@dataclass(frozen=True, kw_only=True)
class StoredCase(Case):
    """One call, whose results are divided by a scale, or a pair, if the kind wants one."""

    kind: StoredKind
    scale: float | tuple[float, float]

    @property
    def output(self) -> str:
        """Dtype of the results."""
        in_place = self.way == "in place"
        return self.kind.output if self.kind.output and not in_place else self.kind.dtype

    @property
    def storage(self) -> dict[str, Any]:
        """The options that say how results are stored; none if as the inputs are."""
        if self.way == "in place":
            return {}
        given: dict[str, Any] = {"dtype": self.output} if self.kind.output else {}
        return given | self.quotient

    @property
    def quotient(self) -> dict[str, Any]:
        """The option among them by which the specification's numbers are divided, too."""
        return {"scale": self.scale} if self.kind.scaled and self.way != "in place" else {}

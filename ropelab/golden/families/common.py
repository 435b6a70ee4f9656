"""What several families of cases share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from .. import tolerances
from ..cards import LENGTHS, SMALL
from ..case import Array, Case
from ..operations import attest

__all__ = ["ANGLES", "EVERYWHERE", "LAYOUTS", "inv_freq_of", "spectrum_case"]

LAYOUTS = ("half", "interleaved")
ANGLES = ("exact", "float32")
EVERYWHERE = ("HalfPrecisionTables", "LargeAngle", "TableEnd", "ShortPromptOnly")


@cache
def inv_freq_of(rope: str) -> Array:
    """Return a small rope's frequencies, attested: the spectrum as an input of rotations."""
    return attest(spectrum_case(rope, SMALL[rope], None))["inv_freq"]


def spectrum_case(name: str, card: Mapping[str, Any], seq_len: int | None) -> Case:
    """Return the case that asks a card's frequencies and amplitudes."""
    length = "" if seq_len is None else f"/L{seq_len}"
    bound = tolerances.frequencies(card["rope_type"])
    flags = ["FrequencyRule"]
    flags += ["PartialWidth"] if card["rotary_dim"] < card["head_dim"] else []
    flags += ["LengthSwitch"] if name in LENGTHS else []
    options = {"rope": dict(card), "seq_len": seq_len}
    return Case(f"spectrum/{name}{length}", "spectrum", {}, options, bound, tuple(flags))

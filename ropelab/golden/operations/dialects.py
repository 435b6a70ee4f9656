"""Configs of other dialects: the rope that a reader gives, and the keys that it found amiss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ..case import Array, Case
from ..implementation import Implementation
from .base import Answers, Operation
from .spectra import attested_spectrum, numbers_of_spectrum

__all__ = ["OPERATIONS"]

_ARGUMENTS = frozenset({"transformer_engine"})  # dialects whose config is a list of arguments


def _ask(case: Case, _: Mapping[str, Array], asked: Implementation) -> Answers:
    """Return spectrum, geometry and keys of findings; a rope that is None has no geometry."""
    config, settings = case.options["config"], case.options["settings"]
    read = asked.readers[case.options["dialect"]]
    spread = case.options["dialect"] in _ARGUMENTS
    reading = read(**config) if spread else read(config, **settings)
    keys = _letters(finding.key for finding in reading.findings)
    if reading.rope is None:
        return {"findings": keys, "geometry": np.zeros(4, np.int64)}
    rope = reading.rope
    spectrum = asked.spectrum(rope, case.options["seq_len"])
    layouts = [layout == "interleaved" for layout in (rope.layout, rope.output_layout)]
    shape = np.array([rope.head_dim, rope.rotary_dim, *layouts], np.int64)
    return {**numbers_of_spectrum(spectrum), "findings": keys, "geometry": shape}


def _attest(case: Case) -> Answers:
    card, keys = case.options["rope"], _letters(case.options["findings"])
    if card is None:
        return {"findings": keys, "geometry": np.zeros(4, np.int64)}
    layouts = [card["layout"], card.get("output_layout") or card["layout"]]
    shape = [card["head_dim"], card["rotary_dim"], *(name == "interleaved" for name in layouts)]
    spectrum = attested_spectrum(card, case.options["seq_len"])
    return {**spectrum, "findings": keys, "geometry": np.array(shape, np.int64)}


def _letters(keys: Iterable[str]) -> Array:
    """Return the keys, sorted and once each, as bytes with a line end after each."""
    text = "".join(f"{key}\n" for key in sorted(set(keys)))
    return np.frombuffer(text.encode(), np.uint8)


OPERATIONS = {"read": Operation(_ask, _attest)}

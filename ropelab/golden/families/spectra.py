"""Frequencies and amplitudes: of every card, of every published config, and as turns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import tolerances
from ..cards import CARDS, CONFIGS, LENGTHS, SMALL
from ..case import Case
from .common import inv_freq_of, spectrum_case

__all__ = ["cases"]


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        Rules, turns, then configs.
    """
    yield from _spectra()
    yield from _configs()


def _spectra() -> Iterator[Case]:
    for name, card in CARDS.items():
        for seq_len in LENGTHS.get(name, (None,)):
            yield spectrum_case(name, card, seq_len)
    for name in SMALL:
        arrays = {"inv_freq": inv_freq_of(name)}
        yield Case(f"turns/{name}", "turns", arrays, {}, tolerances.equal(), ("LargeAngle",))
    odd = np.array([0.0, 5e-324, 1e-300, 2.0**-64, 6.283185307179586, 1e6, 1e300, -1.0])
    yield Case("turns/extremes", "turns", {"inv_freq": odd}, {}, tolerances.equal(), ())


def _configs() -> Iterator[Case]:
    for name, (card_name, config) in CONFIGS.items():
        options = {"config": config, "rope": dict(CARDS[card_name]), "seq_len": None}
        bound = tolerances.frequencies(CARDS[card_name]["rope_type"])
        flags = ("ConfigKeys", "FrequencyRule")
        yield Case(f"config/{name}", "from_transformers", {}, options, bound, flags)

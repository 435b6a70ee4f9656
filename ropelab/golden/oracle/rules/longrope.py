"""LongRoPE, from the paper and from the codes that run Phi-3."""

from __future__ import annotations

from collections.abc import Sequence

from ..numbers import Real, exactly, mp
from .common import Card, pairs, period

__all__ = ["AMPLITUDES", "FORMULAS"]


def _divided(card: Card, factors: Sequence[float]) -> list[Real]:
    # arXiv 2402.13753: pair i is slowed by its rescale factor
    return [1 / (exactly(factors[i]) * period(card, i)) for i in pairs(card)]


def _is_long(card: Card, seq_len: int | None) -> bool:
    original: int = card["original_max_position_embeddings"]
    return (seq_len or 0) > original


def _longrope(card: Card, seq_len: int | None) -> list[Real]:
    return _divided(card, card["long_factor" if _is_long(card, seq_len) else "short_factor"])


def _su(stretch: Real, original: int) -> Real:
    # sqrt(1 + ln s / ln L0): the logarithm of the whole context in the base of the original one
    return mp.sqrt(mp.log(stretch * original, original)) if stretch > 1 else mp.mpf(1)


def _longrope_amplitudes(card: Card, seq_len: int | None) -> tuple[Real, Real]:
    own = card.get("long_mscale" if _is_long(card, seq_len) else "short_mscale")
    given = own if own is not None else card.get("attention_factor")
    if given is not None:
        return exactly(given), mp.mpf(1)
    original = card["original_max_position_embeddings"]
    if card.get("factor") is not None:
        stretch = exactly(card["factor"])
    else:
        stretch = mp.mpf(card["max_position_embeddings"]) / original
    if card.get("mscale_policy") == "yarn":
        return (1 + mp.log10(stretch) * mp.ln10 / 10 if stretch > 1 else mp.mpf(1)), mp.mpf(1)
    return _su(stretch, original), mp.mpf(1)


def _exllamav2(card: Card, _: int | None) -> list[Real]:
    # as if every text had the length that the model is loaded for
    return _longrope(card, card["max_position_embeddings"])


def _exllamav2_amplitudes(card: Card, _: int | None) -> tuple[Real, Real]:
    original, loaded = card["original_max_position_embeddings"], card["max_position_embeddings"]
    return _su(mp.mpf(loaded) / original, original), mp.mpf(1)


FORMULAS = {"longrope": _longrope, "exllamav2_su": _exllamav2}
AMPLITUDES = {"longrope": _longrope_amplitudes, "exllamav2_su": _exllamav2_amplitudes}

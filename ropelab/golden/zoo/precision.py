"""Tables in too narrow a format, and trigonometry without range reduction (M1, M2, M16)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ropelab import Spectrum

from ..case import Array
from .harness import (
    angles_of,
    in_bfloat16,
    tables_of,
    with_positions,
    with_spectrum,
    with_tables,
)
from .mutant import Entries

__all__ = ["ENTRIES"]


def _bfloat16_positions(ids: Array) -> Array:
    return in_bfloat16(ids).astype(np.int64)


def _float32_positions(ids: Array) -> Array:
    return ids.astype(np.float32).astype(np.int64)


def _float16_angles(ids: Array, spectrum: Spectrum) -> tuple[Array, Array]:
    with np.errstate(over="ignore"):
        angle = angles_of(ids, spectrum).astype(np.float16).astype(np.float64)
    return tables_of(np.nan_to_num(angle, posinf=65504.0, neginf=-65504.0), spectrum)


def _float16_frequencies(spectrum: Spectrum) -> Spectrum:
    return replace(spectrum, inv_freq=spectrum.inv_freq.astype(np.float16).astype(np.float64))


def _bfloat16_tables(ids: Array, spectrum: Spectrum) -> tuple[Array, Array]:
    cos, sin = tables_of(angles_of(ids, spectrum), spectrum)
    return in_bfloat16(cos), in_bfloat16(sin)


def _short_reduction(ids: Array, spectrum: Spectrum) -> tuple[Array, Array]:
    """Reduce the angle by a single float32 word of 2 pi, as fast-math code does."""
    angle = angles_of(ids, spectrum).astype(np.float32)
    period = np.float32(2.0 * np.pi)
    reduced = angle - period * np.rint(angle / period)
    return tables_of(reduced.astype(np.float64), spectrum)


def _two_word_reduction(ids: Array, spectrum: Spectrum) -> tuple[Array, Array]:
    """Reduce by two float32 words of 2 pi (Cody and Waite), the angle itself being float32."""
    angle = angles_of(ids, spectrum).astype(np.float32)
    high = np.float32(6.28125)
    low = np.float32(2.0 * np.pi - 6.28125)
    turns = np.rint(angle / np.float32(2.0 * np.pi))
    return tables_of(((angle - turns * high) - turns * low).astype(np.float64), spectrum)


def _right_at_first(ids: Array, spectrum: Spectrum) -> tuple[Array, Array]:
    angle = angles_of(ids, spectrum)
    coarse = np.where(np.abs(ids[..., np.newaxis]) <= 40, angle, in_bfloat16(angle))
    return tables_of(coarse, spectrum)


ENTRIES: Entries = {
    "bfloat16-positions": (
        "M1",
        "positions rounded to bfloat16",
        with_positions(_bfloat16_positions),
        "UNI-D2!6",
    ),
    "float32-positions": (
        "M1",
        "positions kept in float32: 16,777,217 is 16,777,216",
        with_positions(_float32_positions),
    ),
    "float16-angles": (
        "M1",
        "angles kept in float16",
        with_tables(_float16_angles),
        "gpt-neox#1003",
    ),
    "float16-frequencies": (
        "M1",
        "frequencies kept in float16",
        with_spectrum(_float16_frequencies),
        "Megatron-LM#744",
    ),
    "bfloat16-frequencies": (
        "M1",
        "frequencies cast to bfloat16 before the product",
        with_spectrum(lambda spectrum: spectrum.astype("bfloat16")),
        "modalities!462",
    ),
    "bfloat16-tables": (
        "M1",
        "cosines and sines stored in bfloat16",
        with_tables(_bfloat16_tables),
        "flash-attention#823",
    ),
    "one-word-reduction": (
        "M2",
        "angle reduced by one float32 word of 2 pi",
        with_tables(_short_reduction),
        "imp#1316",
    ),
    "two-word-reduction": (
        "M2",
        "a float32 angle reduced by two words of 2 pi",
        with_tables(_two_word_reduction),
        "tt-metal#51845",
    ),
    "right-at-first": (
        "M16",
        "right up to position 40, where the tests stop",
        with_tables(_right_at_first),
        "imp!1325",
    ),
}

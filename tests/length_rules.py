"""Rules that depend on the length: goldens that ask for them, and ropes of every kind of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import ropelab
import ropelab_cuda
from ropelab import Rope
from ropelab.golden import SPECIFICATION, Golden, Implementation, load
from ropelab.golden.case import Array
from ropelab.golden.implementation import rope_of_card
from ropelab.scaling import (
    DynamicLinear,
    DynamicNTK,
    DynamicYaRN,
    LongRoPE,
    Resonance,
    RoundedFrequencies,
    Stretched,
    TransformerEngineInterpolation,
)

LONGROPE = LongRoPE(
    [1.0, 1.1, 1.5, 2.0], [1.0, 3.0, 30.0, 64.5], 4096, short_mscale=1.25, long_mscale=1.5
)


def _rope(rule: Any, head_dim: int = 64, limit: int = 4096, **options: Any) -> Rope:
    return Rope(head_dim, scaling=rule, max_position_embeddings=limit, **options)


ROPES: dict[str, Rope] = {
    "ntk": _rope(DynamicNTK(2.0), 128),
    "ntk, odd": _rope(DynamicNTK(1.7), 96, 3001, base=123.456, rotary_dim=36),
    "ntk, two pairs": _rope(DynamicNTK(2.0), 4),
    "ntk, base below 1": _rope(DynamicNTK(8.0), 6, base=0.3),
    "ntk, large base": _rope(DynamicNTK(32.0), 256, 8192, base=1.5e9),
    "linear": _rope(DynamicLinear(), limit=3000, base=5e5),
    "interpolation": _rope(TransformerEngineInterpolation(2.5, 3001)),
    "interpolation, squeezed": _rope(TransformerEngineInterpolation(0.25, 1), 8),
    "yarn": _rope(DynamicYaRN(4095)),
    "yarn, finetuned": _rope(DynamicYaRN(1000, 31.0, 1.5, finetuned=True), limit=16385),
    "longrope": _rope(LONGROPE, 8, 131_072),
    "stretched ntk": _rope(Stretched(DynamicNTK(2.0), 3.0)),
    "float16 of linear": _rope(RoundedFrequencies("float16", DynamicLinear())),
    "bfloat16 of ntk": _rope(RoundedFrequencies("bfloat16", DynamicNTK(4.0)), base=1e12),
    "float32 of yarn": _rope(RoundedFrequencies("float32", DynamicYaRN(4096))),
    "float64 of linear": _rope(RoundedFrequencies("float64", DynamicLinear())),
    "resonant ntk": _rope(Resonance(DynamicNTK(2.0))),
    "resonant longrope": _rope(Resonance(LONGROPE), 8, 131_072),
    "float16 of resonant yarn": _rope(RoundedFrequencies("float16", Resonance(DynamicYaRN(4096)))),
    "twice resonant, stretched": _rope(Resonance(Resonance(Stretched(DynamicNTK(2.0), 1.5)))),
    "several axes": _rope(DynamicNTK(2.0), 8, axes=[0, 2, 1, 1]),
}


def same_numbers(rope: Rope, length: int | None, spectrum: ropelab_cuda.DeviceSpectrum) -> None:
    """Assert that a spectrum on the device has the specification's numbers, all of them exactly."""
    wanted, numbers = rope.spectrum(length), spectrum.numbers_on_host()
    assert numbers.length == (length or 0)
    assert numbers.attention_factor == wanted.attention_factor
    assert spectrum.softmax_factor == wanted.softmax_factor
    assert numbers.inv_freq[:] == wanted.inv_freq.tolist()
    assert numbers.turns[:] == wanted.turns.tolist()
    assert numbers.inv_freq_float[:] == wanted.inv_freq.astype(np.float32).tolist()
    periods = np.zeros(wanted.inv_freq.size, int) if wanted.periods is None else wanted.periods
    assert numbers.period[:] == periods.tolist()
    assert spectrum.position_axes == wanted.position_axes
    assert spectrum.to_host() == wanted


def goldens_by_length() -> list[Golden]:
    """Return every golden that asks for the spectrum of a rule that depends on the length."""
    operations = {"spectrum", "registry_model", "from_transformers", "read"}
    goldens = [g for g in load() if g.case.op in operations and not g.case.arguments]
    cards = [golden.case.options.get("rope") for golden in goldens]
    return [
        golden
        for golden, card in zip(goldens, cards, strict=True)
        if card is not None and rope_of_card(card).scaling.depends_on_length
    ]


def spectra_on_device(put: Callable[[Array], Any]) -> Implementation:
    """Return the specification, with spectra computed on the device, of positions put there."""

    def spectrum(rope: Rope, seq_len: int | None) -> ropelab.Spectrum:
        ids = [] if seq_len is None else [[0, -7, seq_len // 2], [seq_len - 1, seq_len // 3, 0]]
        on_device = ropelab_cuda.spectrum_on_device(rope, put(np.array(ids, np.int64)))
        same_numbers(rope, seq_len, on_device)
        return on_device.to_host()

    return replace(SPECIFICATION, spectrum=spectrum)

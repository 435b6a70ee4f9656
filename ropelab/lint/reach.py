"""Kinds about numbers within the advertised length: the base bound, turns, and rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..bands import angle_errors, distinct_positions, first_alias, fitted_base
from ..bands.breach_search import search_breach
from ..formats.latent import channels_beside
from ..rope import Rope
from ..scaling import Default, RoundedFrequencies
from .kind import Defect, kind
from .subject import MAXIMUM, Subject
from .words import written

_DTYPES = ("dtype", "torch_dtype")
_FORMATS = {"bfloat16": "bfloat16", "float16": "float16", "half": "float16"}
_RUN = 512  # consecutive positions, as in the published counts of distinct ones
_EXACT = 2**53  # positions that angles are looked at in, as far as float64 counts
_ANGLES = 1 << 20  # looked at of a run of positions, at most
_WORK = 1 << 26  # cosines that a config's bounds are looked for in, some seconds
_COARSE = 1e-2  # radians, from which on float32 angles are worth a word


def _on_one_axis(subject: Subject) -> Iterator[tuple[str, Rope, int]]:
    """Yield each rotary embedding as text is turned by it, and the distances it must tell apart."""
    for layer, rope, reach in subject.spans():
        yield subject.of_layer(layer), replace(rope, axes=None), reach


def _length(rope: Rope, reach: int) -> int | None:
    return reach if rope.scaling.depends_on_length else None


def _base(value: float) -> float:
    """Return a base of two digits, rounded up."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / unit) * unit


@kind(
    "note",
    reason="The sum of cos(m omega_i) over a head, 1 for each pair that does not turn, must not be "
    "negative at any distance m within the context, or unlike tokens score above like ones there; "
    "models below the bound read long texts only superficially. Deployed models break it, too, and "
    "it is not monotone in the base.",
    source="Base of RoPE Bounds Context Length, arXiv:2405.14591",
)
def base_bound(subject: Subject) -> Iterator[Defect]:
    """Find a base too small for the length."""
    spans, beside = list(_on_one_axis(subject)), channels_beside(subject.given, "transformers") or 0
    for words, rope, reach in spans:
        length, width, work = _length(rope, reach), rope.head_dim + beside, _WORK // len(spans)
        breach, tried = search_breach(rope, reach, work, head_dim=width, seq_len=length)
        if tried < reach:
            yield Defect(
                f"{words}the sum of cosines is not negative at distances up to {tried - 1}, which "
                f"alone were tried of {reach} tokens",
                f"{written({MAXIMUM: tried})} for a promise that the base is known to keep; or "
                "look further by ropelab.bands.first_breach",
                ("rope_theta", MAXIMUM),
            )
        if breach is None:
            continue
        fix = written({MAXIMUM: breach.distance}) + " for a promise that the base keeps"
        if isinstance(rope.scaling, Default):
            base = _base(max(fitted_base(reach), 2.0 * rope.base))
            fix += f", or train with a base of the order of {base:.2g}"
        yield Defect(
            f"{words}the sum of cosines is {breach.value:.3g} at distance {breach.distance}, "
            f"within {reach} tokens",
            fix,
            ("rope_theta", MAXIMUM),
        )


@kind(
    "note",
    reason="Every pair turns all the way round within the advertised length, so that none tells by "
    "itself which of two far tokens comes first.",
    source="the wavelengths; LongRoPE2, arXiv:2502.20082, gives 51862 tokens for Phi-3-mini",
)
def all_pairs_wrap(subject: Subject) -> Iterator[Defect]:
    """Find no pair slower than the context."""
    for words, rope, reach in _on_one_axis(subject):
        longest = float(rope.spectrum(_length(rope, reach)).wavelengths.max())
        if longest < reach:
            fix = written({MAXIMUM: int(longest)})
            if isinstance(rope.scaling, Default) and rope.rotary_dim > 2:
                d = rope.rotary_dim
                base = _base((reach / (2.0 * math.pi)) ** (d / (d - 2)))
                fix += f", or train with a base of {base:.2g} or more"
            yield Defect(
                f"{words}the longest wavelength is {longest:.0f} tokens, within {reach}",
                fix,
                ("rope_theta", MAXIMUM),
            )


def _dtype(subject: Subject) -> tuple[str, str] | None:
    """Return the key and the name of a 16-bit format that the model is kept in."""
    for values in (subject.values, subject.given):
        for key in _DTYPES:
            value = values.get(key)
            name = _FORMATS.get(str(value).removeprefix("torch."))
            if name is not None:
                return key, name
    return None


@kind(
    "note",
    reason="Where positions are cast with the model, neighbours become one: bfloat16 has every "
    "whole number to 256 alone, float16 to 2048.",
    source="diffusers#13920, UNI-D2!6, keras-hub!1544",
)
def positions_alias(subject: Subject) -> Iterator[Defect]:
    """Find positions that alias in the model's format."""
    found, limit = _dtype(subject), subject.limit
    if found is None or limit is None:
        return
    (key, name), limit = found, min(limit, _EXACT)
    alias = first_alias(name)
    if limit > alias and limit > _RUN:
        last = distinct_positions(limit - _RUN, _RUN, name)
        yield Defect(
            f"{key} is {name}: position {alias} is {alias - 1} there, and the last {_RUN} of "
            f"{limit} positions are {'one number' if last == 1 else f'{last} different numbers'}",
            f"keep {key} for the weights, but positions and angles in int64 and float32; or "
            f"{written({key: 'float32'})} where a runtime casts them with the model",
            (key, MAXIMUM),
        )


@kind(
    "note",
    reason="Where the buffer inv_freq is cast with the model, every frequency is off by up to one "
    "part in 256 (bfloat16) or 2048 (float16, more where it is subnormal).",
    source="transformers#25681, Megatron-LM#744, modalities!462; ExLlamaV2's rope_freq_half",
)
def frequencies_rounded(subject: Subject) -> Iterator[Defect]:
    """Find frequencies in the model's format."""
    found = _dtype(subject)
    if found is None:
        return
    key, name = found
    for words, rope, reach in _on_one_axis(subject):
        length = _length(rope, reach)
        exact = rope.spectrum(length).inv_freq
        rounded = replace(rope, scaling=RoundedFrequencies(name, rope.scaling))
        cast = rounded.spectrum(length).inv_freq
        still = int(((cast == 0.0) & (exact != 0.0)).sum())
        error = float(np.abs(cast - exact).max()) * (reach - 1)
        stop = f", and {still} pairs stand still" if still else ""
        yield Defect(
            f"{words}{key} is {name}: frequencies kept in it are off by {error:.3g} radians at "
            f"position {reach - 1}{stop}",
            f'keep "inv_freq" in float32 when casting the model; or {written({key: "float32"})} '
            f"where a runtime casts it",
            (key, "rope_theta"),
        )


@kind(
    "note",
    reason="Position times frequency, rounded to float32, is off by more the longer the text is: "
    "3e-2 radians at a million tokens. Kernels with exact phases differ from tables by that much.",
    source="rounding on the way, docs/differences.md; candle!3520",
)
def angles_coarse(subject: Subject) -> Iterator[Defect]:
    """Find angles that float32 is coarse for."""
    for words, rope, reach in _on_one_axis(subject):
        reach = min(reach, _EXACT)
        run = min(_RUN, reach, max(1, 2 * _ANGLES // rope.rotary_dim))
        last = np.arange(reach - run, reach)
        errors = angle_errors(rope, last, seq_len=_length(rope, reach))
        worst = float(np.nan_to_num(errors, nan=np.pi).max())  # what overflows may be anything
        if worst > _COARSE:
            yield Defect(
                f"{words}angles in float32 are off by up to {worst:.2g} radians before position "
                f"{reach}",
                f'compare implementations by exact phases, or within "{MAXIMUM}": 131072, where '
                f"the error stays below {_COARSE:g}",
                (MAXIMUM,),
            )

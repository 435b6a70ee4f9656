"""The spectrum by which a rope turns the tokens of one call."""

from __future__ import annotations

from functools import lru_cache

import torch

from ropelab import Rope, Spectrum
from ropelab.checks import check_rope, positive_int

from .ops import length_numbers
from .spectra import SpectrumText, as_text, constant_by_identity, rope_as_text

__all__ = ["spectrum_for"]


def spectrum_for(
    rope: Rope, position_ids: torch.Tensor, seq_len: int | None = None
) -> Spectrum | SpectrumText:
    """Return the spectrum by which a rope turns these tokens.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    position_ids : torch.Tensor of int, any shape
        Looked through where they lie if the rule depends on a length that is not given.
    seq_len : int, optional
        Current length; by default ``max(position_ids) + 1``.

    Returns
    -------
    Spectrum or SpectrumText
        To be passed to `apply_rotary`. The latter, if the host does not know the length.
    """
    check_rope(rope)
    if rope.scaling.depends_on_length and seq_len is None:
        return SpectrumText(_rope_text(rope), length_numbers(position_ids, _rope_text(rope)))
    length = seq_len if rope.scaling.depends_on_length else None
    if torch.compiler.is_dynamo_compiling():
        return SpectrumText(_text(rope, length))
    return _spectrum(rope, None if length is None else positive_int(length, "seq_len"))


@lru_cache(maxsize=64)
def _spectrum(rope: Rope, seq_len: int | None) -> Spectrum:
    return rope.spectrum(seq_len)


_rope_text = constant_by_identity(rope_as_text)
_text = constant_by_identity(lambda rope, seq_len: as_text(_spectrum(rope, seq_len)))

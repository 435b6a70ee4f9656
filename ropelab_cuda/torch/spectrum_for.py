"""The spectrum by which a rope turns the tokens of one call."""

from __future__ import annotations

from functools import lru_cache

import torch

from ropelab import Rope, Spectrum
from ropelab.checks import check_rope, positive_int
from ropelab.positions.token_positions import check_listed, current_length

from . import ops
from .constants import constant_by_identity
from .plain import are_plain, check_tensors
from .ropes import rope_as_text
from .spectra import SpectrumText, as_text

__all__ = ["fixed_spectrum", "spectrum_for"]

MOST_ROPES = 1024
_fixed: dict[int, tuple[Rope, Spectrum | None]] = {}  # by address: a rope takes long to hash


def spectrum_for(
    rope: Rope, position_ids: torch.Tensor, seq_len: int | None = None
) -> Spectrum | SpectrumText:
    """Return the spectrum by which a rope turns these tokens.

    Parameters
    ----------
    rope : ropelab.Rope
        The rotary embedding.
    position_ids : torch.Tensor of int, any shape
        Looked through where they lie, if the rule depends on a length that is not given: on a GPU
        without a wait for it. The length is then that of the whole call, as in `ropelab.rotate`.
    seq_len : int, optional
        Current length; by default ``max(position_ids) + 1``.

    Returns
    -------
    ropelab.Spectrum or SpectrumText
        To be passed to `apply_rotary`; the latter where the host does not know the numbers, or
        under torch.compile.

    Raises
    ------
    TypeError
        If `rope` is no Rope, `position_ids` no tensor where one is needed, or the rule is one of
        your own that depends on a length which the host does not know.
    ValueError
        If the length is not positive, or the rule refuses the rope.

    Examples
    --------
    >>> spectrum_for(Rope(4), torch.arange(3)).inv_freq.tolist()
    [1.0, 0.01]
    """
    if not torch.compiler.is_dynamo_compiling():
        fixed = fixed_spectrum(rope)
        if fixed is not None:
            return fixed
    if not rope.scaling.depends_on_length:
        seq_len = None
    elif seq_len is None:
        return _at_length_of(rope, position_ids)
    elif torch.compiler.is_dynamo_compiling():  # a length that may differ from call to call
        _check_length(seq_len)
        last = torch.full((1,), seq_len - 1, dtype=torch.int64, device=position_ids.device)
        return _at_length_of(rope, last)
    if torch.compiler.is_dynamo_compiling():
        return SpectrumText(_text(rope))
    return _spectrum(rope, None if seq_len is None else positive_int(seq_len, "seq_len"))


def fixed_spectrum(rope: Rope) -> Spectrum | None:
    """Return the spectrum of a rope, if it has one at all lengths.

    Parameters
    ----------
    rope : ropelab.Rope
        The rotary embedding.

    Returns
    -------
    ropelab.Spectrum or None
        The same object for the same rope, in a fraction of a microsecond.

    Raises
    ------
    TypeError
        If `rope` is no Rope.

    Examples
    --------
    >>> fixed_spectrum(Rope(4)).inv_freq.tolist()
    [1.0, 0.01]
    """
    held = _fixed.get(id(rope))
    if held is None or held[0] is not rope:
        check_rope(rope)
        if len(_fixed) >= MOST_ROPES:
            _fixed.clear()
        held = _fixed[id(rope)] = rope, None if rope.scaling.depends_on_length else _spectrum(rope)
    return held[1]


def _check_length(seq_len: int) -> None:
    """Raise unless a length that torch.compile traces is one; `positive_int` cannot be traced."""
    if type(seq_len) not in (int, torch.SymInt) or seq_len < 1:
        msg = "seq_len: expected a positive integer; got another number; pass 1 or more"
        raise ValueError(msg)  # which number, cannot be said in a graph


def _at_length_of(rope: Rope, position_ids: object) -> Spectrum | SpectrumText:
    check_listed(position_ids)
    if not isinstance(position_ids, torch.Tensor):
        msg = (
            f"position_ids: expected a torch.Tensor of integers; got "
            f"{type(position_ids).__name__}; or pass seq_len"
        )
        raise TypeError(msg)
    check_tensors(position_ids=position_ids)
    if position_ids.device.type == "cpu" and are_plain(position_ids):
        return _spectrum(rope, current_length(position_ids, tuple(position_ids.shape)))
    text = _rope_text(rope)
    return SpectrumText(text, ops.length_numbers(position_ids, text))


@lru_cache(maxsize=64)
def _spectrum(rope: Rope, seq_len: int | None = None) -> Spectrum:
    return rope.spectrum(seq_len)


_rope_text = constant_by_identity(rope_as_text)
_text = constant_by_identity(lambda rope: as_text(_spectrum(rope)))

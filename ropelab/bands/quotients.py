"""Two embeddings pair by pair: how many times faster one turns than the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..checks import check_rope
from ..rope import Rope

__all__ = ["AGREEMENT", "check_same_pairs", "frequency_quotients", "frequency_ratios"]

AGREEMENT = 1e-6
"""Relative difference up to which two implementations agree; float32 rounds by 6e-8 a step."""


def frequency_ratios(a: Rope, b: Rope, *, seq_len: int | None = None) -> NDArray[np.float64]:
    r"""How many times faster each pair of `b` turns than the same pair of `a`.

    .. math:: \omega^b_i / \omega^a_i

    Parameters
    ----------
    a, b : Rope
        The rotary embeddings to compare; as many pairs in both.
    seq_len : int, optional
        Length of the sequence in tokens, for rules that depend on it.

    Returns
    -------
    ndarray of float64, shape (d/2,)
        1 where they agree, and where both stand still; infinite where `a` alone does.

    Raises
    ------
    TypeError, ValueError
        If an argument is no Rope, or they differ in the number of pairs.

    Examples
    --------
    >>> from ropelab import Rope
    >>> from ropelab.scaling import Linear
    >>> frequency_ratios(Rope(4), Rope(4, scaling=Linear(4.0))).tolist()
    [0.25, 0.25]
    """
    check_same_pairs(a, b)
    before, after = (rope.spectrum(seq_len).inv_freq for rope in (a, b))
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return np.where(before == after, 1.0, after / before)


def frequency_quotients(a: Rope, b: Rope, *, seq_len: int | None = None) -> NDArray[np.float64]:
    r"""How many times faster the faster of each two pairs turns, whichever of the two it is.

    .. math:: \max(\omega^a_i / \omega^b_i, \; \omega^b_i / \omega^a_i)

    Parameters
    ----------
    a, b : Rope
        The rotary embeddings to compare; as many pairs in both.
    seq_len : int, optional
        Length of the sequence in tokens, for rules that depend on it.

    Returns
    -------
    ndarray of float64, shape (d/2,)
        At least 1; infinite where one alone stands still, or they turn in opposite directions.

    Raises
    ------
    TypeError, ValueError
        If an argument is no Rope, or they differ in the number of pairs.

    Examples
    --------
    >>> from ropelab import Rope
    >>> from ropelab.scaling import Linear
    >>> frequency_quotients(Rope(4), Rope(4, scaling=Linear(4.0))).tolist()
    [4.0, 4.0]
    """
    ratios = frequency_ratios(a, b, seq_len=seq_len)
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(ratios < 0.0, np.inf, np.maximum(ratios, 1.0 / ratios))


def check_same_pairs(a: Rope, b: Rope) -> None:
    """Raise unless both are ropes of as many pairs."""
    check_rope(a)
    check_rope(b)
    if a.rotary_dim != b.rotary_dim:
        msg = (
            f"b: expected the rotary_dim of a, {a.rotary_dim}; got {b.rotary_dim}; "
            f"pairs of different widths do not correspond"
        )
        raise ValueError(msg)

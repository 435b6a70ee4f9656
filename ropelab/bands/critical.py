"""Critical dimension and critical base: which pairs a training length has turned once."""

from __future__ import annotations

import math

from ..checks import check_rope, finite_real, positive_int
from ..rope import Rope

__all__ = ["critical_base", "critical_dimension", "critical_pair", "knee_bases"]

_LEAST_LENGTH = 7  # the fastest pair, of frequency 1, turns once in 2 pi tokens


def critical_pair(rope: Rope, trained_length: int) -> float:
    r"""Pair, in fractions of one, that turns exactly once in the training length.

    .. math:: c = \frac{d}{2} \log_b \frac{L_0}{2\pi}

    Parameters
    ----------
    rope : Rope
        Its rotary_dim is d, its base b; the rule is not read, since training came before it.
    trained_length : int
        Length :math:`L_0` of the training context, in tokens; at least 7.

    Returns
    -------
    float
        Counted from 0; above d/2 - 1 where every pair turns once.

    Raises
    ------
    TypeError, ValueError
        If `trained_length` is too short, or the base is not above 1.

    References
    ----------
    .. [1] Shang et al., "LongRoPE2", 2025, arXiv:2502.20082, section 3: the theoretical critical
       dimension.

    Examples
    --------
    >>> from ropelab import Rope
    >>> round(critical_pair(Rope(128), 4096), 4)
    45.0269
    """
    check_rope(rope)
    length = _length(trained_length, "trained_length")
    return rope.rotary_dim / 2 * math.log(length / (2.0 * math.pi)) / _log_base(rope.base)


def critical_dimension(rope: Rope, trained_length: int) -> int:
    r"""Count the channels whose pairs have turned once, or nearly, in the training length.

    .. math:: d_{extra} = 2 \left\lceil \frac{d}{2} \log_b \frac{L_0}{2\pi} \right\rceil

    The channels after these have met part of a circle only, and are what fails beyond that length.

    Parameters
    ----------
    rope : Rope
        Its rotary_dim is d, its base b; the rule is not read.
    trained_length : int
        Length :math:`L_0` of the training context, in tokens; at least 7.

    Returns
    -------
    int
        Channels, at most d.

    Raises
    ------
    TypeError, ValueError
        If `trained_length` is too short, or the base is not above 1.

    References
    ----------
    .. [1] Liu et al., "Scaling Laws of RoPE-based Extrapolation", 2023, arXiv:2310.05209.
    .. [2] Shang et al., "LongRoPE2", 2025, arXiv:2502.20082, section 3, where the same is
       :math:`d_{tcd}`.

    Examples
    --------
    Llama-2 and Phi3-mini.

    >>> from ropelab import Rope
    >>> critical_dimension(Rope(128), 4096), critical_dimension(Rope(96), 2048)
    (92, 62)
    """
    return min(2 * math.ceil(critical_pair(rope, trained_length)), rope.rotary_dim)


def critical_base(base: float, trained_length: int, context_length: int) -> float:
    r"""Smallest base with which the critical pair turns at most once in a longer context.

    .. math:: b' = b^{\log_{L_0 / 2\pi} (L / 2\pi)}

    The pair that turned once in :math:`L_0` tokens then turns once in L: the channels that were
    never trained on a whole circle stay within the part that they know.

    Parameters
    ----------
    base : float
        Base b of the training; above 1.
    trained_length : int
        Length :math:`L_0` of the training context, in tokens; at least 7.
    context_length : int
        Length L that is wanted, in tokens; at least 7.

    Returns
    -------
    float
        The base b'.

    Raises
    ------
    TypeError, ValueError
        If a length is too short, or the base is not above 1.

    References
    ----------
    .. [1] Liu et al., "Scaling Laws of RoPE-based Extrapolation", 2023, arXiv:2310.05209.
    .. [2] Shang et al., "LongRoPE2", 2025, arXiv:2502.20082, section 3, as the smallest base of
       NTK scaling.

    Examples
    --------
    >>> round(critical_base(10_000.0, 4096, 16_384))
    71738
    """
    logarithm = _log_base(base)
    trained = math.log(_length(trained_length, "trained_length") / (2.0 * math.pi))
    wanted = math.log(_length(context_length, "context_length") / (2.0 * math.pi))
    return math.exp(logarithm * wanted / trained)


def knee_bases(trained_length: int) -> tuple[float, float, float]:
    r"""Bases below which every pair has turned a quarter, a half, and once in the training length.

    .. math:: b_1 = 2 L_0 / \pi, \qquad b_2 = L_0 / \pi, \qquad b_3 = L_0 / 2\pi

    taking the last pair's wavelength for :math:`2\pi b`. Fine-tuning with a base below these is
    said to extrapolate better and better, having met every sign and slope of the cosines.

    Parameters
    ----------
    trained_length : int
        Length :math:`L_0` of the tuning context, in tokens.

    Returns
    -------
    quarter, half, whole : float
        Falling.

    Raises
    ------
    TypeError, ValueError
        If `trained_length` is not a positive integer.

    References
    ----------
    .. [1] Liu et al., "Scaling Laws of RoPE-based Extrapolation", 2023, arXiv:2310.05209, on
       smaller bases; known from a review of it, not from its text.

    Examples
    --------
    >>> [round(base, 1) for base in knee_bases(4096)]
    [2607.6, 1303.8, 651.9]
    """
    length = positive_int(trained_length, "trained_length")
    return 2.0 * length / math.pi, length / math.pi, length / (2.0 * math.pi)


def _length(value: object, name: str) -> int:
    length = positive_int(value, name)
    if length < _LEAST_LENGTH:
        msg = (
            f"{name}: expected at least {_LEAST_LENGTH} tokens, one turn of the fastest pair; "
            f"got {length}"
        )
        raise ValueError(msg)
    return length


def _log_base(value: object) -> float:
    return math.log(finite_real(value, "base", above=1.0))

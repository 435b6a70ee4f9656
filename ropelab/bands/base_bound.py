"""How long a context a base bears: the first distance at which like no longer attracts like."""

from __future__ import annotations

from typing import NamedTuple

from ..checks import check_rope, positive_int
from ..rope import Rope
from .breach_search import Breach, search_breach

__all__ = [
    "PUBLISHED_BASES",
    "PublishedBase",
    "asymptotic_base",
    "effective_context",
    "first_breach",
    "fitted_base",
]

_K = 1024
_WORK = 1 << 36  # cosines, some ten minutes


class PublishedBase(NamedTuple):
    """The smallest base for a context length, of 64 pairs, as two authors print it."""

    context_length: int
    """Length L, in tokens."""
    paper: float
    """Men et al.'s, read in Su's reprint of their table."""
    su: float
    """Su's own, by a finer search."""


PUBLISHED_BASES = (
    PublishedBase(1 * _K, 4.3e3, 4.3e3),
    PublishedBase(2 * _K, 1.6e4, 1.2e4),
    PublishedBase(4 * _K, 2.7e4, 2.7e4),
    PublishedBase(8 * _K, 8.4e4, 8.4e4),
    PublishedBase(16 * _K, 3.1e5, 2.3e5),
    PublishedBase(32 * _K, 6.4e5, 6.3e5),
    PublishedBase(64 * _K, 2.1e6, 2.1e6),
    PublishedBase(128 * _K, 7.8e6, 4.9e6),
    PublishedBase(256 * _K, 3.6e7, 2.4e7),
    PublishedBase(512 * _K, 6.4e7, 5.8e7),
    PublishedBase(1024 * _K, 5.1e8, 6.5e7),
)
"""The table of arXiv:2405.14591 and that of https://kexue.fm/archives/10122."""


def first_breach(
    rope: Rope, limit: int, *, head_dim: int | None = None, seq_len: int | None = None
) -> Breach | None:
    r"""Find the first distance at which the sum of cosines of a whole head is negative.

    The smallest m with :math:`B(m) < 0`, where B is that of `cosine_sum`: channels that are not
    rotated weigh against a breach, and if they are at least as many as the others there is none.
    With several position axes the distance is the same on each, as between two tokens of text.

    Parameters
    ----------
    rope : Rope
        The rotary embedding, its rule included.
    limit : int
        Distances from 0 to `limit` - 1 are tried, by intervals: at most 2**36 cosines are taken.
    head_dim : int, optional
        Channels of the whole query or key, as in `cosine_sum`; by default ``rope.head_dim``.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    Breach or None
        None if there is no such distance below `limit`.

    Raises
    ------
    TypeError, ValueError
        If `limit` is not a positive integer, or too far to be searched; or `head_dim` is less than
        the rotated channels.

    References
    ----------
    .. [1] Men et al., "Base of RoPE Bounds Context Length", 2024, arXiv:2405.14591; of heads that
       are rotated as a whole.

    Examples
    --------
    Llama-2's base breaks the bound within its 4096 tokens.

    >>> from ropelab import Rope
    >>> found = first_breach(Rope(128), 4096)
    >>> found.distance, round(found.value, 5)
    (1707, -0.49893)

    DeepSeek-V3 has the same base and turns 64 channels of 192, so that it never breaks it.

    >>> first_breach(Rope(64), 4096).distance
    725
    >>> first_breach(Rope(64), 4096, head_dim=128 + 64)
    """
    check_rope(rope)
    limit = positive_int(limit, "limit")
    breach, tried = search_breach(rope, limit, _WORK, head_dim=head_dim, seq_len=seq_len)
    if tried < limit:
        msg = (
            f"limit: expected one that 2**{_WORK.bit_length() - 1} cosines lead to; got {limit}; "
            f"there is no breach below {tried}"
        )
        raise ValueError(msg)
    return breach


def effective_context(
    rope: Rope, limit: int, *, head_dim: int | None = None, seq_len: int | None = None
) -> int:
    """Longest context in which a similar key is preferred to a random one at every distance.

    What a model is sold for may be longer; the bound is on telling keys apart by their content,
    and says nothing of perplexity.

    Parameters
    ----------
    rope : Rope
        The rotary embedding, its rule included.
    limit : int
        The longest context asked about, in tokens.
    head_dim : int, optional
        Channels of the whole query or key, as in `cosine_sum`; by default ``rope.head_dim``.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    int
        Tokens: the distance of `first_breach`, or `limit` if there is none.

    Raises
    ------
    TypeError, ValueError
        As `first_breach` does.

    References
    ----------
    .. [1] Men et al., "Base of RoPE Bounds Context Length", 2024, arXiv:2405.14591.

    Examples
    --------
    >>> from ropelab import Rope
    >>> effective_context(Rope(128), 4096), effective_context(Rope(128, base=5e5), 8192)
    (1707, 8192)
    """
    breach = first_breach(rope, limit, head_dim=head_dim, seq_len=seq_len)
    return positive_int(limit, "limit") if breach is None else breach.distance


def fitted_base(context_length: int) -> float:
    r"""Return the base by the power law that the paper fits to its table.

    .. math:: b = 0.0424\,L^{1.628}

    Parameters
    ----------
    context_length : int
        Length L in tokens; positive.

    Returns
    -------
    float
        The base.

    Raises
    ------
    TypeError, ValueError
        If `context_length` is not a positive integer.

    References
    ----------
    .. [1] Men et al., "Base of RoPE Bounds Context Length", 2024, arXiv:2405.14591, figure 1.

    Examples
    --------
    >>> f"{fitted_base(8_000):.1e}"
    '9.6e+04'
    """
    return float(0.0424 * positive_int(context_length, "context_length") ** 1.628)


def asymptotic_base(context_length: int) -> float:
    r"""Smallest base in the limit of infinitely many pairs.

    The mean of the cosines is then, for m well above 1,

    .. math:: \int_0^1 \cos\left(m\,b^{-x}\right) dx = \frac{\mathrm{Ci}(m) - \mathrm{Ci}(m / b)}
              {\ln b} \approx -\frac{\mathrm{Ci}(m / b)}{\ln b}

    which is negative once m / b passes the zero of the cosine integral Ci, 0.6165. A finite number
    of pairs needs a larger base. Calls scipy.

    Parameters
    ----------
    context_length : int
        Length L in tokens; positive.

    Returns
    -------
    float
        L / 0.6165.

    Raises
    ------
    TypeError, ValueError
        If `context_length` is not a positive integer.

    References
    ----------
    .. [1] Su, https://kexue.fm/archives/10122, the estimate by Ci.

    Examples
    --------
    >>> round(asymptotic_base(8_192))
    13288
    """
    from scipy.optimize import brentq
    from scipy.special import sici

    context_length = positive_int(context_length, "context_length")
    zero = brentq(lambda x: sici(x)[1], 0.1, 1.0, xtol=1e-15)
    return float(context_length / zero)

"""The lengths that an embedding is to be looked at, by what its rule and its model state."""

from __future__ import annotations

from ..rope import Rope
from ..scaling import Llama3

__all__ = ["longest_length", "stretched_length", "telling_lengths"]

_ORIGINAL = "original_max_position_embeddings"
_LONGEST = 2.0**53  # tokens, which a config may hold however absurd its factor is


def stretched_length(length: int, factor: float) -> int:
    """Return a length times a factor, as far as a config may state it.

    Parameters
    ----------
    length : int
        In tokens.
    factor : float
        Positive.

    Returns
    -------
    int
        Their product, rounded, at most 2**53.

    Examples
    --------
    >>> stretched_length(8192, 4.0)
    32768
    """
    return round(min(length * factor, _LONGEST))


def longest_length(rope: Rope) -> int | None:
    """Return the longest length that an embedding is meant for.

    That is max_position_embeddings; or, where that is the original length, as in Qwen's recipe for
    YaRN, or is not stated, the original length times the factor.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.

    Returns
    -------
    int or None
        In tokens; None where nothing tells it.

    Examples
    --------
    >>> from ropelab.scaling import YaRN
    >>> longest_length(Rope(128, scaling=YaRN(4.0, 32768), max_position_embeddings=32768))
    131072
    """
    rule = getattr(rope.scaling, "inner", rope.scaling)
    original, factor = getattr(rule, _ORIGINAL, None), getattr(rule, "factor", None)
    stated = rope.max_position_embeddings
    if isinstance(rule, Llama3) or original is None or stated not in (original, None):
        return stated  # Llama 3's factor is no quotient of two lengths
    return stated if factor is None else stretched_length(original, max(factor, 1.0))


def telling_lengths(rope: Rope) -> tuple[int, ...]:
    """Return the lengths between which the frequencies of a rule by length part.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.

    Returns
    -------
    tuple of int
        The original length and the longest one; past the latter, where the two are one. Empty for
        a rule that does not depend on the length, and where nothing tells it.

    Examples
    --------
    >>> from ropelab.scaling import DynamicNTK, LongRoPE
    >>> rule = LongRoPE([1.0, 1.0], [1.0, 2.5], 4096)
    >>> telling_lengths(Rope(4, scaling=rule, max_position_embeddings=131072))
    (4096, 131072)
    >>> telling_lengths(Rope(4, scaling=DynamicNTK(4.0), max_position_embeddings=4096))
    (4096, 16384)
    """
    limit = longest_length(rope)
    if not rope.scaling.depends_on_length or limit is None:
        return ()
    rule = getattr(rope.scaling, "inner", rope.scaling)
    original = getattr(rule, _ORIGINAL, limit)
    factor = getattr(rule, "factor", None) or 1.0
    past = limit if original < limit else stretched_length(limit, max(factor, 2.0))
    return min(original, limit), past

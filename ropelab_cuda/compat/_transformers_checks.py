"""What `RotaryEmbeddingConfigMixin.validate_rope` warns of, as Transformers' does."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

__all__ = [
    "check_attention_factor",
    "check_bands",
    "check_betas",
    "check_even",
    "check_factor",
    "check_keys",
    "check_lists",
    "check_original",
    "check_stretch",
]

logger = logging.getLogger(__name__)

# Heads of up to so many channels are toys of tests, which may be odd.
_TOY_HEAD = 4


def check_keys(
    rope_type: str,
    received_keys: Collection[str],
    required_keys: Collection[str],
    optional_keys: Collection[str] | None = None,
    ignore_keys: Collection[str] | None = None,
) -> None:
    """Raise KeyError for a key that a rope_type lacks, and warn of those that it does not read."""
    missing = set(required_keys) - {*received_keys, "rope_type"}
    if missing:
        msg = (
            f"rope_parameters: rope_type {rope_type!r} needs {sorted(missing)}; got "
            f"{sorted(received_keys)}"
        )
        raise KeyError(msg)
    always = ("rope_type", "type", "partial_rotary_factor")
    known = {*always, *required_keys, *(optional_keys or ()), *(ignore_keys or ())}
    unread = set(received_keys) - known
    if unread:
        logger.warning("rope_parameters: rope_type %r does not read %s", rope_type, sorted(unread))


def check_factor(given: Mapping[str, Any]) -> None:
    """Warn of a factor that shortens contexts, or is no number."""
    factor = given["factor"]
    if not isinstance(factor, (float, int)) or factor < 1:
        logger.warning("factor: expected a number, at least 1; got %r", factor)


def check_attention_factor(given: Mapping[str, Any], *kinds: type[float]) -> None:
    """Warn of an attention_factor of another type, or a negative one."""
    value = given.get("attention_factor")
    if value is not None and (not isinstance(value, kinds) or value < 0):
        expected = " or ".join(kind.__name__ for kind in kinds)
        logger.warning("attention_factor: expected %s, at least 0; got %r", expected, value)


def check_betas(given: Mapping[str, Any]) -> None:
    """Warn of the ends of YaRN's ramp, if they are no numbers or the wrong way round."""
    fast, slow = (_number(given, name) for name in ("beta_fast", "beta_slow"))
    if (fast or 32) < (slow or 1):
        logger.warning("beta_fast: expected at least beta_slow = %s; got %s", slow or 1, fast or 32)


def check_stretch(config: Any, given: Mapping[str, Any]) -> None:
    """Warn of a factor that is not what the two lengths say."""
    factor, original = given["factor"], given["original_max_position_embeddings"]
    stretch = config.max_position_embeddings / original
    if stretch not in (1, factor):
        logger.warning(
            "factor: %s is used; max_position_embeddings / original_max_position_embeddings = %s "
            "disagrees",
            *(factor, stretch),
        )


def check_lists(config: Any, given: Mapping[str, Any]) -> None:
    """Warn of LongRoPE's lists, unless each has a number for each pair."""
    head_dim = getattr(config, "head_dim", None)
    if head_dim is None:
        head_dim = config.hidden_size // config.num_attention_heads
    pairs = int(head_dim * given.get("partial_rotary_factor", 1.0)) // 2
    for name in ("short_factor", "long_factor"):
        numbers = given[name]
        if not isinstance(numbers, list) or not all(isinstance(x, (int, float)) for x in numbers):
            logger.warning("%s: expected a list of numbers; got %r", name, numbers)
        elif len(numbers) != pairs:
            logger.warning("%s: expected %d numbers, one a pair; got %d", name, pairs, len(numbers))


def check_bands(given: Mapping[str, Any]) -> None:
    """Warn of the ends of Llama 3's blend, if they are no numbers or the wrong way round."""
    low, high = (_number(given, name) for name in ("low_freq_factor", "high_freq_factor"))
    if low is None or high is None:
        logger.warning("low_freq_factor, high_freq_factor: expected numbers; got None")
    elif high <= low:
        logger.warning("high_freq_factor: expected above low_freq_factor = %s; got %s", low, high)


def check_original(config: Any, given: Mapping[str, Any]) -> None:
    """Warn of an original length that is none, or not below the length of the model."""
    original, limit = given["original_max_position_embeddings"], config.max_position_embeddings
    if not isinstance(original, int) or original >= limit:
        logger.warning(
            "original_max_position_embeddings: expected an integer below max_position_embeddings "
            "= %s; got %r",
            *(limit, original),
        )


def check_even(head_dim: int | None, given: Mapping[str, Any], label: str) -> None:
    """Raise ValueError if a whole head of odd width would turn."""
    share = given.get("partial_rotary_factor", 1.0)
    if head_dim is None or head_dim <= _TOY_HEAD or head_dim % 2 == 0:
        return
    if int(head_dim * share) == head_dim:
        msg = (
            f"head_dim: expected an even number, since all channels turn in {label!r}; got "
            f"{head_dim}; or give a partial_rotary_factor"
        )
        raise ValueError(msg)


def _number(given: Mapping[str, Any], name: str) -> float | None:
    """Return a number that is given, or warn."""
    value = given.get(name)
    if value is None or isinstance(value, (float, int)):
        return value
    logger.warning("%s: expected a number; got %r", name, value)
    return None

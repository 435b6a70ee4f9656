"""What is odd about the parameters of a rule, though it can be computed.

The oddities are those that `validate_rope` of Transformers' `RotaryEmbeddingConfigMixin` warns of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...checks import positive_int
from ...scaling import Scaling
from ..findings import Findings
from .config import Config

__all__ = ["check_rule"]


def check_rule(
    scaling: Scaling,
    given: Mapping[str, Any],
    config: Config,
    rotary_dim: int,
    findings: Findings,
) -> None:
    """Add what is to be said of a rule's parameters.

    Parameters
    ----------
    scaling : Scaling
        The rule.
    given : mapping
        The dictionary of rope parameters that it was read from.
    config : Config
        The config around it.
    rotary_dim : int
        Rotated channels.
    findings : Findings
        Is added to.

    Raises
    ------
    ValueError
        If a list has another length than the model has pairs.
    """
    factor, rule = getattr(scaling, "factor", None), scaling.rope_type
    if factor is not None and factor < 1:
        findings.add(
            "factor",
            f"factor: expected at least 1; got {given['factor']}, which shortens contexts",
            "factor-below-one",
        )
    limit = config.values.get("max_position_embeddings")
    original = getattr(scaling, "original_max_position_embeddings", None)
    stretch = None
    if original is not None and limit is not None:
        stretch = positive_int(limit, "max_position_embeddings") / original
    if rule in ("yarn", "deepseek_yarn"):
        _check_stretch(factor, stretch, limit, original, findings)
    elif rule == "longrope":
        _check_lists(scaling, rotary_dim)
        if config.model_type == "phimoe":
            findings.add(
                "long_factor",
                "long_factor is used past original_max_position_embeddings, as in Transformers 4; "
                "Transformers 5 uses short_factor there too, and changes the mscale alone",
                "list-by-version",
            )
        if factor is None:
            _check_stretch(None, stretch, limit, original, findings)
    elif rule == "llama3":
        _check_llama3(given, limit, original, findings)
    elif rule == "proportional" and given.get("partial_rotary_factor") is None:
        findings.add(
            "partial_rotary_factor",
            "partial_rotary_factor is missing; all pairs turn, which makes 'proportional' the same "
            "as 'linear'",
            "proportional-share-missing",
        )


def _check_stretch(
    factor: float | None,
    stretch: float | None,
    limit: object,
    original: object,
    findings: Findings,
) -> None:
    lengths = "max_position_embeddings / original_max_position_embeddings"
    if factor is None:
        told = "which the config does not tell" if stretch is None else f"{stretch:g}"
        findings.add("factor", f"factor is missing; {lengths} is used, {told}", "factor-missing")
    elif stretch not in (None, 1, factor):
        findings.add(
            "factor",
            f"factor = {factor} is used; {lengths} = {limit} / {original} disagrees",
            "factor-disagrees",
        )


def _check_lists(scaling: Scaling, rotary_dim: int) -> None:
    for name in ("short_factor", "long_factor"):
        length = len(getattr(scaling, name))
        if length != rotary_dim // 2:
            msg = (
                f"{name}: expected {rotary_dim // 2} numbers, one for each pair of {rotary_dim} "
                f"rotated channels; got {length}"
            )
            raise ValueError(msg)


def _check_llama3(
    given: Mapping[str, Any], limit: int | None, original: int | None, findings: Findings
) -> None:
    if given["high_freq_factor"] == given["low_freq_factor"]:
        findings.add(
            "high_freq_factor",
            f"high_freq_factor and low_freq_factor are both {given['low_freq_factor']}: the rule "
            f"is a step without a blend",
            "llama3-step",
        )
    if limit is not None and original is not None and original >= limit:
        findings.add(
            "original_max_position_embeddings",
            f"original_max_position_embeddings: expected less than max_position_embeddings = "
            f"{limit}; got {original}",
            "original-not-below",
        )

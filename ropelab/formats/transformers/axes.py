"""M-RoPE in configs: which position axis turns each pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...checks import check_flag, integer
from ...positions import row_column_axes
from ..dialect import section_axes
from ..findings import Findings
from ..transformers_models import ROPE_MODELS, MRope, mrope_of
from .config import Config
from .parameters import RopeParameters

__all__ = ["axes_of"]


def axes_of(
    config: Config, parameters: RopeParameters, pairs: int, findings: Findings
) -> tuple[int, ...] | None:
    """Return the position axis of each pair, or None if there is one axis.

    Parameters
    ----------
    config : Config
        Its model_type says in which order axes are dealt out.
    parameters : RopeParameters
        Its ``mrope_section`` says how many pairs each axis has.
    pairs : int
        Of rotated channels.
    findings : Findings
        Is added to.

    Returns
    -------
    tuple of int or None
        0, 1 and 2 are time, height and width; NeoMME has rows and columns alone.

    Raises
    ------
    TypeError, ValueError
        If the sections are no counts of pairs, or not as many as there are.
    """
    values, model_type = parameters.values, config.model_type
    known = mrope_of(model_type)
    given = values.get("mrope_section")
    if known is None and (given is None or model_type in ROPE_MODELS):
        return None
    flag = check_flag(values.get("mrope_interleaved") or False, "mrope_interleaved")
    by_flag: MRope = ("interleaved" if flag else "chunked", ())
    order, default = by_flag if known is None else known
    if flag != (order == "interleaved") and "mrope_interleaved" in values:
        findings.add(
            "mrope_interleaved",
            f"mrope_interleaved = {flag} has no effect: {model_type} is {order} in any case",
            "unused-mrope-flag",
        )
    if order == "row_column":
        return row_column_axes(2 * pairs)
    sections = default if given is None else _sections(given)
    try:
        return section_axes(sections, pairs, "mrope_section", order=order)
    except ValueError:
        if given is not None:
            raise
        findings.add(
            "mrope_section",
            f"mrope_section is missing, and Transformers' default {list(default)} does not "
            f"fit {pairs} pairs; all turn by one axis",
            "mrope-unread",
        )
        return None


def _sections(given: Any) -> tuple[int, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        msg = f"mrope_section: expected a list of three numbers of pairs; got {given!r}"
        raise TypeError(msg)
    if len(given) != 3:
        msg = f"mrope_section: expected three numbers of pairs, one an axis; got {list(given)!r}"
        raise ValueError(msg)
    return tuple(integer(count, "mrope_section") for count in given)

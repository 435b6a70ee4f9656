"""M-RoPE in configs: which position axis turns each pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...checks import check_flag, positive_int
from ..findings import Findings
from ..transformers_models import MROPE, ROPE_MODELS
from .config import Config
from .parameters import RopeParameters

__all__ = ["axes_of"]

_T, _H, _W = range(3)


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
    known = next((n for n in (model_type, f"{model_type}_text") if n in MROPE), None)
    given = values.get("mrope_section")
    if known is None and (given is None or model_type in ROPE_MODELS):
        return None
    flag = check_flag(values.get("mrope_interleaved") or False, "mrope_interleaved")
    if known is None:
        order, default = "interleaved" if flag else "chunked", ()
    else:
        order, default = MROPE[known]
    if flag != (order == "interleaved") and "mrope_interleaved" in values:
        findings.add(
            "mrope_interleaved",
            f"mrope_interleaved = {flag} has no effect: {model_type} is {order} in any case",
        )
    if order == "row_column":
        return tuple(i % 2 for i in range(pairs))
    sections = default if given is None else _sections(given)
    if order != "interleaved" and sum(sections) != pairs:
        if given is None:
            findings.add(
                "mrope_section",
                f"mrope_section is missing, and Transformers' default {list(default)} does not "
                f"fit {pairs} pairs; all turn by one axis",
            )
            return None
        msg = f"mrope_section: expected {pairs} pairs in all; got {list(sections)}"
        raise ValueError(msg)
    return tuple(_ORDERS[order](sections, pairs))


def _sections(given: Any) -> tuple[int, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        msg = f"mrope_section: expected a list of three numbers of pairs; got {given!r}"
        raise TypeError(msg)
    if len(given) != 3:
        msg = f"mrope_section: expected three numbers of pairs, one an axis; got {list(given)!r}"
        raise ValueError(msg)
    return tuple(positive_int(count, "mrope_section") for count in given)


def _chunked(sections: Sequence[int], _: int) -> list[int]:
    """Qwen2-VL's: the first pairs by time, then those by height, then those by width."""
    return [axis for axis, count in enumerate(sections) for _ in range(count)]


def _interleaved(sections: Sequence[int], pairs: int) -> list[int]:
    """Qwen3-VL's: pairs by turns, until an axis has its share; the others by time."""
    return [i % 3 if i < 3 * sections[i % 3] else _T for i in range(pairs)]


def _ernie(sections: Sequence[int], _: int) -> list[int]:
    """ERNIE 4.5's: height and width by turns, and the slowest pairs by time."""
    height, width, time = sections
    if height != width:
        msg = f"mrope_section: expected as many pairs for height as for width; got {list(sections)}"
        raise ValueError(msg)
    return [_H, _W] * height + [_T] * time


_ORDERS: Mapping[str, Callable[[Sequence[int], int], list[int]]] = {
    "chunked": _chunked,
    "ernie": _ernie,
    "interleaved": _interleaved,
}

"""The width of a model's heads, and which of their channels form a pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..checks import check_flag, positive_int
from .transformers_models import HALF_OUT, INTERLEAVED, ROTATES_LAST, ROTATES_QK_ROPE

__all__ = ["channels", "head_dim_of", "layouts_of"]

_WIDEST_HEAD = 2**16  # no model's is; a slip here would ask for gigabytes


def channels(value: object, name: str, *, even: bool = False) -> int:
    """Return a width of heads as an int, or raise TypeError or ValueError naming its key."""
    width = positive_int(value, name, even=even)
    if width > _WIDEST_HEAD:
        msg = f"{name}: expected heads of at most {_WIDEST_HEAD} channels; got {width}"
        raise ValueError(msg)
    return width


def head_dim_of(values: Mapping[str, Any], model_type: str | None) -> int:
    """Return the width of a head, or raise TypeError or ValueError naming the key."""
    name = "head_dim"
    if model_type in ROTATES_QK_ROPE and values.get("qk_rope_head_dim") is not None:
        name = "qk_rope_head_dim"
    if model_type == "jetmoe" and values.get("head_dim") is None:
        name = "kv_channels"
    both = ("qk_nope_head_dim", "qk_rope_head_dim")
    if model_type in ROTATES_LAST and all(values.get(key) is not None for key in both):
        return sum(channels(values[key], key) for key in both)
    if values.get(name) is not None:
        return channels(values[name], name)
    for needed in ("hidden_size", "num_attention_heads"):
        if values.get(needed) is None:
            msg = f"{needed}: a config without head_dim needs it, to know the width of a head"
            raise ValueError(msg)
    hidden = positive_int(values["hidden_size"], "hidden_size")
    heads = positive_int(values["num_attention_heads"], "num_attention_heads")
    head_dim, rest = divmod(hidden, heads)
    if rest:
        msg = (
            f"hidden_size: expected a multiple of num_attention_heads = {heads}; got {hidden}; "
            f"or give head_dim"
        )
        raise ValueError(msg)
    return channels(head_dim, "hidden_size")


def layouts_of(values: Mapping[str, Any], model_type: str | None) -> tuple[str, str]:
    """Return where a model's code finds the channels of a pair, and where it puts them."""
    if model_type not in INTERLEAVED:
        return "half", "half"
    if model_type not in HALF_OUT:
        return "interleaved", "interleaved"
    interleaved = check_flag(values.get("rope_interleave", True), "rope_interleave")
    return ("interleaved" if interleaved else "half"), "half"

"""Latent attention, whose heads have channels beside those that a `Rope` speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .findings import Findings
from .gguf_architectures import LATENT
from .heads import channels
from .sources import text_part
from .transformers_models import ROTATES_QK_ROPE

__all__ = ["channels_beside"]


def channels_beside(values: Mapping[str, Any], dialect: str) -> int | None:
    """Return how many channels of a head of q and k stand beside the head that a reader tells of.

    Latent attention (MLA) projects what turns by itself, and readers take its width for that of
    the head. The scores sum over more channels.

    Parameters
    ----------
    values : mapping
        A config, or the metadata of a GGUF file.
    dialect : str
        One of `DIALECTS`.

    Returns
    -------
    int or None
        0 for heads that the rope is told of whole; None where nothing tells the number.

    Raises
    ------
    TypeError, ValueError
        If the number is none.

    Examples
    --------
    >>> from ropelab.models import model
    >>> channels_beside(model("DeepSeek-V3").config, "transformers")
    128
    >>> channels_beside(model("Llama-3.1-8B").config, "transformers")
    0
    """
    if dialect == "gguf":
        name = values.get("general.architecture")
        if name not in LATENT:
            return 0
        key, turned = f"{name}.attention.key_length_mla", values.get(f"{name}.rope.dimension_count")
        whole = values.get(key)
        return None if whole is None or turned is None else channels(whole, key) - turned
    text = text_part(values, Findings())
    turned = text.get("qk_rope_head_dim")
    # LongCat-Flash, which Transformers reads by head_dim, gives it that width.
    apart = text.get("model_type") in ROTATES_QK_ROPE or text.get("head_dim") == turned
    if turned is None or not apart:
        return 0
    key = "qk_nope_head_dim"
    beside = text.get(key)
    return beside if beside in (0, None) else channels(beside, key)

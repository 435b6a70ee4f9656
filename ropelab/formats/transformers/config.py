"""A config taken in: its text part, under present names, with the parameters of layers apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...checks import check_flag
from ..findings import Findings
from ..sources import optional_text, read_config, renamed, text_part
from ..transformers_models import WITHOUT_ROPE
from .layer_bases import layer_parameters

__all__ = ["Config", "config_of"]


class Config(NamedTuple):
    """The keys of a config that this dialect reads."""

    values: Mapping[str, Any]
    model_type: str | None


def config_of(config: object, findings: Findings) -> Config | None:
    """Take in a config.

    Parameters
    ----------
    config : mapping, path or object
        As in `ropelab.from_transformers`.
    findings : Findings
        Is added to.

    Returns
    -------
    Config or None
        None if the model has no rotary embedding in any layer.

    Raises
    ------
    TypeError, ValueError
        If it is no config, or has a key of another type.
    """
    values = renamed(text_part(read_config(config), findings), findings)
    given = values.get("model_type")
    bare = isinstance(given, str) and not given  # of a config object of no class of its own
    model_type = None if bare else optional_text(given, "model_type")
    kind = optional_text(values.get("position_embedding_type"), "position_embedding_type")
    if kind not in ("rope", "rotary", None) or model_type in WITHOUT_ROPE:
        return None
    if model_type == "granitemoehybrid" and kind is None:
        return None  # there, None is a kind
    if model_type == "falcon" and check_flag(values.get("alibi") or False, "alibi"):
        return None
    return Config(layer_parameters(values, model_type, findings), model_type)

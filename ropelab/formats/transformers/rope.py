"""One Rope from a config and one of its dictionaries of rope parameters."""

from __future__ import annotations

from ...checks import finite_real
from ...rope import Rope
from ..findings import Findings
from ..heads import layouts_of
from ..sources import SIGNS, first_given
from ..transformers_models import DEFAULT_THETA, ROPE_MODELS, ROTATES_LAST
from .axes import axes_of
from .config import Config
from .default_thetas import LAYER_THETAS, OWN_PARAMETERS, default_theta
from .parameters import RopeParameters
from .rules import rule_of
from .validation import check_rule
from .widths import layer_head_dim, rotary_dim_of

__all__ = ["NO_ROPE", "rope_of"]

NO_ROPE = "no-rope"
"""The kind of the finding that nothing in a config speaks of rotary embeddings."""


def rope_of(
    config: Config, parameters: RopeParameters, layer_type: str | None, findings: Findings
) -> Rope:
    """Return the rotary embedding that parameters describe.

    Parameters
    ----------
    config : Config
        The config around them.
    parameters : RopeParameters
        The dictionary, which may be empty.
    layer_type : str, optional
        The layers that it is for.
    findings : Findings
        Is added to.

    Returns
    -------
    Rope
        Its widths, base, rule, layouts and axes as Transformers' model code has them.

    Raises
    ------
    TypeError, ValueError
        If a value is missing, or of another type or range.
    """
    values, model_type = config
    if model_type in OWN_PARAMETERS and not parameters.values:
        findings.add(
            "rope_parameters",
            f"rope_parameters: Transformers' {model_type} fills in a rule of its own where a "
            f"config gives none; it is not read; give it, as config.to_dict() does",
            "rule-left-to-class",
        )
    strange = (
        values.get("position_embedding_type") is None
        and model_type not in ROPE_MODELS
        and not SIGNS & set(values)
    )
    if strange:
        findings.add(
            "rope_parameters",
            f"this config has no RoPE key, and its model_type {model_type!r} is not known to have "
            f"rotary embeddings; base {DEFAULT_THETA:g} and the whole head are assumed",
            NO_ROPE,
        )
    base = _base(config, parameters, Findings() if strange else findings)
    head_dim = layer_head_dim(config, layer_type)
    scaling = rule_of(config, parameters, findings)
    turned = rotary_dim_of(config, parameters, head_dim, scaling, findings)
    rotary_dim = head_dim if turned is None else turned
    check_rule(scaling, parameters.values, config, rotary_dim, findings)
    layout, output_layout = layouts_of(values, model_type)
    return Rope(
        head_dim,
        base=base,
        rotary_dim=turned,
        scaling=scaling,
        layout=layout,
        max_position_embeddings=values.get("max_position_embeddings"),
        axes=axes_of(config, parameters, rotary_dim // 2, findings),
        output_layout=output_layout,
        rotary_offset=head_dim - rotary_dim if model_type in ROTATES_LAST else 0,
    )


def _base(config: Config, parameters: RopeParameters, findings: Findings) -> float:
    inner = (f" in {parameters.name}", parameters.values.get("rope_theta"))
    outer = (" at the top level", config.values.get("rope_theta"))
    theta = first_given("rope_theta", [inner, outer], findings)
    if theta is None:
        each = LAYER_THETAS.get(config.model_type or "", {})
        if parameters.layer_type is not None and parameters.layer_type in each:
            return each[parameters.layer_type]
        return default_theta(config.model_type, findings)
    return finite_real(theta, "rope_theta", above=0.0)

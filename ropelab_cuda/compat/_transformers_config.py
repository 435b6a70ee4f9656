"""Transformers' mixin by which a config class brings its rope parameters into one form."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Mapping
from typing import Any, TypedDict

from . import _transformers_checks as checks

__all__ = ["RopeParameters", "RotaryEmbeddingConfigMixin", "rope_config_validation"]

logger = logging.getLogger(__name__)

# The rope_types that read the length of the pre-training context.
_READS_ORIGINAL = frozenset({"llama3", "longrope", "yarn"})


class RopeParameters(TypedDict, total=False):
    """The keys of a dictionary of rope parameters; which of them a rope_type reads, it says."""

    rope_theta: float | None
    rope_type: str | None
    partial_rotary_factor: float | None
    factor: float | None
    original_max_position_embeddings: int | None
    attention_factor: float | None
    beta_fast: float | None
    beta_slow: float | None
    short_factor: list[float] | None
    long_factor: list[float] | None
    low_freq_factor: float | None
    high_freq_factor: float | None
    mscale: float | None
    mscale_all_dim: float | None
    truncate: bool | None
    mrope_section: list[int] | None


class RotaryEmbeddingConfigMixin:
    """Bring the rope parameters of a config into one form, and check them.

    It goes before ``PreTrainedConfig`` among the bases of a class, which has Transformers' own.
    """

    default_theta: Any = 10_000.0
    default_rope_type: str = "default"
    ignore_keys_at_rope_validation: Any = frozenset()
    rope_parameters: Any = None

    def nested_rope_parameter_keys(self, rope_parameters: Mapping[str, Any]) -> list[str]:
        """Return the layer types that parameters are given for, none if they are for all layers.

        Parameters
        ----------
        rope_parameters : mapping
            Flat, or a dictionary for each of some of the config's layer types.

        Returns
        -------
        list of str
            Keys of `rope_parameters`.
        """
        labels = getattr(self, "_rope_type_labels", None) or getattr(self, "layer_types", None)
        return [key for key in rope_parameters if key in (labels or ())]

    def convert_rope_params_to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Take rope parameters out of a config's arguments, into ``self.rope_parameters``.

        Parameters
        ----------
        **kwargs : dict
            ``rope_scaling`` replaces ``self.rope_parameters``. ``rope_theta`` and
            ``partial_rotary_factor``, or else the attributes of these names, or else
            ``default_theta``, fill in what the parameters lack.

        Returns
        -------
        dict
            The other arguments.
        """
        given = kwargs.pop("rope_scaling", None) or self.rope_parameters or {}
        nested = self.nested_rope_parameter_keys(given)
        # A copy, since it is written into: the caller's dictionary may serve other configs.
        self.rope_parameters = {
            key: dict(value) if key in nested and value is not None else value
            for key, value in given.items()
        }
        theta = kwargs.pop("rope_theta", getattr(self, "rope_theta", self.default_theta))
        name = "partial_rotary_factor"
        share = kwargs.pop(name, getattr(self, name, None))
        for parameters in self._dictionaries().values():
            parameters.setdefault("rope_theta", theta)
            if share is not None:
                parameters.setdefault(name, share)
        if share is not None:
            ignored = self.ignore_keys_at_rope_validation or ()
            self.ignore_keys_at_rope_validation = {*ignored, name}
        self.standardize_rope_params()
        return kwargs

    def standardize_rope_params(self) -> None:
        """Complete ``self.rope_parameters`` by what other attributes of the config say."""
        theta = getattr(self, "rope_theta", None)
        share = getattr(self, "partial_rotary_factor", None)
        if not (self.rope_parameters or theta):
            logger.warning("rope_parameters: expected some, or rope_theta; got neither")
            return
        if not self.rope_parameters:
            self.rope_parameters = {}
        name = "original_max_position_embeddings"
        nested = self.nested_rope_parameter_keys(self.rope_parameters)
        for parameters in self._dictionaries().values():
            rope_type = parameters.setdefault("rope_type", parameters.get("type", "default"))
            parameters.setdefault("rope_theta", theta)
            if share is not None:
                parameters.setdefault("partial_rotary_factor", share)
            if rope_type == "default":
                parameters["rope_type"] = self.default_rope_type
            elif rope_type in _READS_ORIGINAL and not nested and hasattr(self, name):
                parameters[name] = getattr(self, name)  # Phi-3's configs have it beside
            elif rope_type in _READS_ORIGINAL and name not in parameters:
                parameters[name] = self.max_position_embeddings  # type: ignore[attr-defined]

    def validate_rope(self, ignore_keys: Collection[str] | None = None) -> None:
        """Check ``self.rope_parameters``, each layer type's by its own rope_type.

        Parameters
        ----------
        ignore_keys : collection of str, optional
            Keys that are not warned of; by default ``ignore_keys_at_rope_validation``.

        Raises
        ------
        KeyError
            If a rope_type lacks a key that it needs.
        ValueError
            If all channels of a head turn, and they are odd in number.
        """
        if not self.rope_parameters:
            return
        ignored = self.ignore_keys_at_rope_validation if ignore_keys is None else ignore_keys
        for label, parameters in self._dictionaries().items():
            rope_type = parameters.get("rope_type", parameters.get("type", "default"))
            parameters["rope_type"] = rope_type
            check = getattr(self, f"_validate_{rope_type}_rope_parameters", None)
            if check is None:
                logger.warning("rope_type: %r is not known, and its keys not checked", rope_type)
            else:
                check(parameters, ignore_keys=ignored)
            if not getattr(self, "is_heterogeneous", False):  # layers have head_dims of their own
                checks.check_even(getattr(self, "head_dim", None), parameters, label)

    def _dictionaries(self) -> dict[str, dict[str, Any]]:
        """Return the parameters of each layer type that has some, or of all layers."""
        nested = self.nested_rope_parameter_keys(self.rope_parameters)
        if not nested:
            return {"full_attention": self.rope_parameters}
        each = {key: self.rope_parameters[key] for key in nested}
        return {key: parameters for key, parameters in each.items() if parameters is not None}

    def _check(self, given: Mapping[str, Any], *keys: Collection[str] | None) -> None:
        """Check the keys of parameters: those needed, those welcome, those to be ignored."""
        self._check_received_keys(given["rope_type"], set(given), *keys)  # type: ignore[arg-type]

    _check_received_keys = staticmethod(checks.check_keys)

    def _validate_default_rope_parameters(
        self, rope_parameters: Mapping[str, Any], ignore_keys: Collection[str] | None = None
    ) -> None:
        self._check(rope_parameters, (), ("rope_theta",), ignore_keys)

    _validate_axial_rope_parameters = _validate_default_rope_parameters

    def _validate_linear_rope_parameters(
        self, rope_parameters: Mapping[str, Any], ignore_keys: Collection[str] | None = None
    ) -> None:
        self._check(rope_parameters, ("factor",), ("rope_theta",), ignore_keys)
        checks.check_factor(rope_parameters)

    _validate_dynamic_rope_parameters = _validate_linear_rope_parameters

    def _validate_yarn_rope_parameters(
        self, rope_parameters: Mapping[str, Any], ignore_keys: Collection[str] | None = None
    ) -> None:
        self._check(
            rope_parameters,
            ("factor", "original_max_position_embeddings"),
            (
                *("rope_theta", "attention_factor", "beta_fast", "beta_slow"),
                *("mscale", "mscale_all_dim", "truncate"),
            ),
            ignore_keys,
        )
        checks.check_factor(rope_parameters)
        checks.check_attention_factor(rope_parameters, float)
        checks.check_betas(rope_parameters)
        checks.check_stretch(self, rope_parameters)

    def _validate_longrope_rope_parameters(
        self, rope_parameters: Mapping[str, Any], ignore_keys: Collection[str] | None = None
    ) -> None:
        self._check(
            rope_parameters,
            ("short_factor", "long_factor", "original_max_position_embeddings"),
            ("rope_theta", "attention_factor", "factor"),
            ignore_keys,
        )
        checks.check_lists(self, rope_parameters)
        if rope_parameters.get("factor") is None:
            logger.warning(
                "factor is missing: max_position_embeddings / original_max_position_embeddings "
                "is taken, which not every model's config means; give it"
            )
        else:
            checks.check_factor(rope_parameters)
        checks.check_attention_factor(rope_parameters, float, int)

    def _validate_llama3_rope_parameters(
        self, rope_parameters: Mapping[str, Any], ignore_keys: Collection[str] | None = None
    ) -> None:
        needed = ("factor", "low_freq_factor", "high_freq_factor", "rope_theta")
        length = "original_max_position_embeddings"
        self._check(rope_parameters, (*needed, length), (), ignore_keys)
        checks.check_factor(rope_parameters)
        checks.check_bands(rope_parameters)
        checks.check_original(self, rope_parameters)

    def _validate_proportional_rope_parameters(
        self, rope_parameters: Mapping[str, Any], ignore_keys: Collection[str] | None = None
    ) -> None:
        self._check(rope_parameters, ("rope_theta",), (), ignore_keys)
        if rope_parameters.get("partial_rotary_factor") is None:
            logger.warning(
                "partial_rotary_factor is missing: all pairs turn, as under rope_type 'linear'"
            )


def rope_config_validation(config: Any, ignore_keys: Collection[str] | None = None) -> None:
    """Standardize and check a config, as code for older versions of Transformers asks for.

    Parameters
    ----------
    config : RotaryEmbeddingConfigMixin
        The config.
    ignore_keys : collection of str, optional
        Keys that are not warned of, beside the config's own.

    Warns
    -----
    FutureWarning
        Always: the config's own methods do this.
    """
    msg = "rope_config_validation: call config.standardize_rope_params() and .validate_rope()"
    warnings.warn(msg, FutureWarning, stacklevel=2)
    if ignore_keys:
        own = config.ignore_keys_at_rope_validation or ()
        config.ignore_keys_at_rope_validation = {*own, *ignore_keys}
    config.standardize_rope_params()
    config.validate_rope()

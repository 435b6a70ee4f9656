"""Transformers' decorator by which a rotary embedding follows the length of its calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

from ropelab.scaling import DynamicLength

from ._transformers_frequencies import ROPE_INIT_FUNCTIONS

__all__ = ["dynamic_rope_update"]


def dynamic_rope_update(rope_forward: Callable[..., Any]) -> Callable[..., Any]:
    """Have a module renew its frequencies before each forward pass that needs others.

    Parameters
    ----------
    rope_forward : callable
        ``forward(self, x, position_ids)``, or with a ``layer_type`` behind, of a module that has
        ``config``, ``rope_type`` and ``inv_freq``. Under rope_types with "dynamic" in their names
        the frequencies are those of the longest call since one that was shorter than the model's
        length; under ``"longrope"`` those of this call. What else Transformers' modules have,
        ``original_inv_freq`` for instance, is made if it is missing.

    Returns
    -------
    callable
        The same, which renews them first.
    """

    @wraps(rope_forward)
    def wrapper(
        self: Any, x: torch.Tensor, position_ids: torch.Tensor, layer_type: str | None = None
    ) -> Any:
        rope_type = self.rope_type if layer_type is None else self.rope_type[layer_type]
        layer = _Layer(self, layer_type, rope_type, x.device)
        if "dynamic" in rope_type:
            _follow(layer, position_ids)
        elif rope_type == "longrope":
            _choose(layer, position_ids)
        given = {} if layer_type is None else {"layer_type": layer_type}
        return rope_forward(self, x, position_ids, **given)

    return wrapper


class _Layer:
    """The attributes of a module that are for one type of its layers."""

    def __init__(
        self, module: Any, layer_type: str | None, rope_type: str, device: torch.device
    ) -> None:
        self.module, self.layer_type, self.device = module, layer_type, device
        self.prefix = "" if layer_type is None else f"{layer_type}_"
        self.rope_type = rope_type

    def get(self, name: str, default: Any = None) -> Any:
        return getattr(self.module, self.prefix + name, default)

    def set(self, name: str, value: Any) -> None:
        setattr(self.module, self.prefix + name, value)

    def numbers(self, seq_len: int | None) -> tuple[torch.Tensor, float]:
        function = ROPE_INIT_FUNCTIONS[self.rope_type]
        named = {"seq_len": seq_len, "layer_type": self.layer_type}
        return function(self.module.config, self.device, **named)

    def original(self) -> torch.Tensor:
        """Return the frequencies of short calls, which no update overwrites."""
        kept: torch.Tensor | None = self.get("original_inv_freq")
        if kept is None or kept is self.get("inv_freq"):
            kept = self.numbers(None)[0]
            self.set("original_inv_freq", kept)
        return kept.to(self.device)

    def renew(self, inv_freq: torch.Tensor) -> None:
        """Put frequencies where the old ones are, so that CUDA graphs find them."""
        old: torch.Tensor = self.get("inv_freq")
        alike = (old.dtype, old.device, old.shape) == (inv_freq.dtype, self.device, inv_freq.shape)
        # What was made in inference mode can be overwritten there alone; no graph may ask for it.
        may_be_written = (
            torch.compiler.is_compiling()
            or torch.is_inference_mode_enabled()
            or not old.is_inference()
        )
        if alike and may_be_written:
            with torch.no_grad():
                old.copy_(inv_freq)
        else:  # a cast has rounded them, or they did not follow the model
            self.set("inv_freq", inv_freq)


def _follow(layer: _Layer, position_ids: torch.Tensor) -> None:
    module = layer.module
    limit = module.config.max_position_embeddings
    original = int(getattr(module, "original_max_seq_len", limit))
    seen = layer.get("max_seq_len_cached", getattr(module, "max_seq_len_cached", original))
    before = DynamicLength(original, max(int(seen), original))
    kept = layer.original()
    after = before.after(int(position_ids.max()) + 1)
    if after.length > before.length:
        inv_freq, factor = layer.numbers(after.length)
        layer.renew(inv_freq)
        layer.set("attention_scaling", factor)
    elif after.length < before.length:
        layer.renew(kept)
    layer.set("max_seq_len_cached", after.length)


def _choose(layer: _Layer, position_ids: torch.Tensor) -> None:
    parameters = layer.module.config.rope_parameters
    if layer.layer_type is not None:
        parameters = parameters[layer.layer_type]
    limit = parameters["original_max_position_embeddings"]
    short, long = layer.original(), layer.get("long_inv_freq")
    if long is None:
        long, _ = layer.numbers(limit + 1)
    long = long.to(layer.device)
    layer.set("long_inv_freq", long)
    # Without a look at the length, which would synchronise.
    layer.renew(torch.where(position_ids.max() + 1 > limit, long, short))

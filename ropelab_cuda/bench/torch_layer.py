"""Calls of `ropelab_cuda.torch`, by each of its ways into a kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from ropelab.scaling import DynamicNTK

from . import peers
from .inputs import Inputs

__all__ = ["through_torch", "with_gradients"]

Calls = dict[str, Callable[[], Any]]


def through_torch(inputs: Inputs) -> Calls:
    """Return calls that record no gradients.

    Parameters
    ----------
    inputs : Inputs
        Whose first pair is rotated.

    Returns
    -------
    dict of str to callable
        By their names.
    """
    from .. import torch as layer
    from ..torch import ops
    from ..torch.spectra import described
    from ..torch.turning import turning

    (q, k), ids, spectrum = inputs.sets[0][1:], inputs.position_ids, inputs.spectrum
    module, halves = layer.RotaryEmbedding(inputs.rope), _halves(inputs)
    once_a_pass = turning(inputs.rope, ids, "float32")
    growing = replace(inputs.rope, scaling=DynamicNTK(2.0), max_position_embeddings=4096)
    options = (*described(spectrum), "exact", "bshd", "half", None, 0, False)
    return {
        "ropelab.torch, apply_rotary_": lambda: layer.apply_rotary_(q, k, ids, spectrum),
        "ropelab.torch, apply_rotary": lambda: layer.apply_rotary(q, k, ids, spectrum),
        "ropelab.torch, RotaryEmbedding": lambda: module(q, k, ids),
        "ropelab.torch, a layer of a patched model": lambda: once_a_pass(q, k, "bshd"),
        "ropelab.torch, the operator": lambda: ops.rotary_qk(q, k, ids, *options),
        "ropelab.torch, apply_rotary_cached": lambda: layer.apply_rotary_cached(q, k, *halves),
        "ropelab.torch, spectrum_for": lambda: layer.spectrum_for(inputs.rope, ids),
        "ropelab.torch, spectrum_for a length": lambda: layer.spectrum_for(growing, ids),
    }


def with_gradients(inputs: Inputs) -> Calls:
    """Return calls that record gradients, and each with the way back.

    Parameters
    ----------
    inputs : Inputs
        Whose first pair is rotated.

    Returns
    -------
    dict of str to callable
        By their names; beside ours Transformers', which rounds cosines and products.
    """
    from .. import torch as layer

    q, k = (x.detach().requires_grad_() for x in inputs.sets[0][1:])
    ids, spectrum, tables = inputs.position_ids, inputs.spectrum, inputs.tables["half"]
    halves = _halves(inputs)
    eager = peers.transformers_eager()
    forward: Calls = {
        "ropelab.torch, apply_rotary": lambda: layer.apply_rotary(q, k, ids, spectrum),
        "ropelab.torch, apply_rotary_cached": lambda: layer.apply_rotary_cached(q, k, *halves),
        "Transformers eager": lambda: eager(q, k, *tables),
    }
    back = {
        f"{name}, and back": partial(_there_and_back, call, (q, k))
        for name, call in forward.items()
    }
    return forward | back


def _halves(inputs: Inputs) -> list[Any]:
    """Return cosines and sines of all tokens, a value for each pair."""
    return [table.view(*inputs.position_ids.shape, -1) for table in inputs.half_tables]


def _there_and_back(call: Callable[[], Any], given: Any) -> Any:
    import torch

    made = call()
    return torch.autograd.grad(made, given, made)

"""Calls of `ropelab_cuda.torch`, by each of its ways into a kernel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

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

    (q, k), ids, spectrum = inputs.sets[0][1:], inputs.position_ids, inputs.spectrum
    module = layer.RotaryEmbedding(inputs.rope)
    options = (*described(spectrum), "exact", "bshd", "half", None, 0, False)
    return {
        "ropelab.torch, apply_rotary_": lambda: layer.apply_rotary_(q, k, ids, spectrum),
        "ropelab.torch, apply_rotary": lambda: layer.apply_rotary(q, k, ids, spectrum),
        "ropelab.torch, RotaryEmbedding": lambda: module(q, k, ids),
        "ropelab.torch, the operator": lambda: ops.rotary_qk(q, k, ids, *options),
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
    halves = [table.view(*ids.shape, -1) for table in inputs.half_tables]  # a value for each pair
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


def _there_and_back(call: Callable[[], Any], given: Any) -> Any:
    import torch

    made = call()
    return torch.autograd.grad(made, given, made)

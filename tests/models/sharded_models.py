"""What is checked of patched models that are sharded after `patch`: they do what they did whole."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)

from ropelab_cuda.torch import patch, watch
from tests.models.patched_models import Batch, gradients, logits, make_batch
from tests.models.small_models import LAYERS, Model, build

__all__ = ["CHECKS"]

TOLERANCE = 1e-5  # of the largest; sums of another order


def near(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    assert wanted.abs().max() > 0.0
    return bool((found - wanted).abs().max() <= TOLERANCE * wanted.abs().max())


def whole(x: torch.Tensor) -> torch.Tensor:
    return x.full_tensor() if isinstance(x, DTensor) else x


def does_what_it_did(shard: Callable[[Model, Any], None], mesh: Any) -> None:
    own = build("Llama").to(mesh.device_type)
    batch = Batch(*(x.to(mesh.device_type) for x in vars(make_batch("Llama", "plain")).values()))
    model = copy.deepcopy(own)
    patch(model)
    shard(model, mesh)
    for _ in range(2):  # another time with shards gathered before
        assert near(logits(model, batch), logits(own, batch))
    with watch(model) as errors:
        logits(model, batch)
    assert [layer.applications for layer in errors.layers.values()] == [1] * LAYERS
    assert 0.1 < errors.worst < 0.501  # rounded once
    found, wanted = gradients(model, batch), gradients(own, batch)
    assert found.keys() == wanted.keys()
    assert any(isinstance(grad, DTensor) for grad in found.values())
    for name, grad in found.items():
        assert near(whole(grad), wanted[name])


def shard_parameters(model: Model, mesh: Any) -> None:
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


def shard_heads(model: Model, mesh: Any) -> None:
    columns = dict.fromkeys(("q_proj", "k_proj", "v_proj"), ColwiseParallel())
    for layer in model.model.layers:
        parallelize_module(layer.self_attn, mesh, {**columns, "o_proj": RowwiseParallel()})


CHECKS = {
    "sharded parameters": lambda mesh: does_what_it_did(shard_parameters, mesh),
    "sharded heads": lambda mesh: does_what_it_did(shard_heads, mesh),
}

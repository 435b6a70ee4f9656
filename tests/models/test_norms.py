"""Norms of queries and keys before their rotation, against Transformers' own modules."""

from __future__ import annotations

from importlib import import_module
from math import log2
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import ropelab
from ropelab.norm_rotary import rms_norm
from ropelab.precision import bfloat16, eps, narrow, widen
from tests.parity.support import numbers as frequencies
from tests.parity.support import theirs
from tests.ropelab.support import numbers, pair_norms

# What torch and Transformers say of each other's interfaces is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore:::torch", "ignore:::transformers")

BATCH, TOKENS, HEADS, KEY_HEADS, HEAD_DIM = 2, 5, 4, 2, 32
IDS = np.array([[0, 1, 4095, 65_537, 131_071], [7, 99_991, 3, 2, 1]])


class Model(NamedTuple):
    """A model's norm, and what we call it."""

    model_type: str
    norm: str
    options: dict[str, Any]
    layer: str | None = None

    @property
    def across(self) -> bool:
        return bool(self.options.get("across_heads"))


MODELS = {
    "qwen3": Model("qwen3", "Qwen3RMSNorm", {"eps": 1e-6}),
    "gemma3": Model(
        "gemma3_text", "Gemma3RMSNorm", {"eps": 1e-6, "weight_offset": 1.0}, "full_attention"
    ),
    "olmo2": Model("olmo2", "Olmo2RMSNorm", {"eps": 1e-5, "across_heads": True}),
}


def config_of(model: Model) -> dict[str, Any]:
    return {
        "model_type": model.model_type,
        "hidden_size": HEADS * HEAD_DIM,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_HEADS,
        "head_dim": HEAD_DIM,
        "max_position_embeddings": 262_144,
        "rms_norm_eps": model.options["eps"],
    }


def norm_of(name: str, heads: int, seed: int) -> tuple[Any, np.ndarray[Any, Any]]:
    """Return Transformers' norm of some heads, and its weight as ours takes it."""
    model = MODELS[name]
    module = import_module(f"transformers.models.{name}.modeling_{name}")
    width = heads * HEAD_DIM if model.across else HEAD_DIM
    norm = getattr(module, model.norm)(width, eps=model.options["eps"])
    weight = numbers(width, seed=seed) / 64
    norm.weight.data = torch.from_numpy(weight.astype(np.float32))
    return norm, weight.astype(np.float32)


def applied(norm: Any, x: torch.Tensor, across: bool) -> torch.Tensor:
    """Norm as the model's attention does: OLMo 2 before the projection is split into heads."""
    with torch.no_grad():
        normed: torch.Tensor = norm(x.flatten(-2)).view(x.shape) if across else norm(x)
        return normed


# What a pair of Transformers' may err by, in halves of an eps of float32. A root takes half of the
# sum, of squares by eights and then by twos, and of the mean and eps; itself and the division, and
# three products. Then cos and sin within an ulp, which is two halves, two products, of norm sqrt(2)
# at most over both members, and a sum. Ours rounds once: half an eps.
def bound(width: int) -> float:
    depth = 8 + log2(width / 8) + 1
    return (depth / 2 + 1 + 2 + 3 + 2 + 2**0.5 + 1) / 2 + 0.5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_norm_and_rotation_are_those_of_transformers(name: str, dtype: str) -> None:
    model = MODELS[name]
    _, rotary = theirs(config_of(model))
    # Their own frequencies, whose pow errs by an ulp or two; parity of rules is asked elsewhere.
    spectrum = ropelab.Spectrum(*frequencies(rotary, model.layer or "", None))
    arrays = [
        narrow(numbers(BATCH, TOKENS, heads, HEAD_DIM, seed=heads) / 8, dtype)
        for heads in (HEADS, KEY_HEADS)
    ]
    norms = [norm_of(name, heads, seed=heads + 9) for heads in (HEADS, KEY_HEADS)]
    # In float64 too the modules norm in float32; the rotation is then in float64.
    q, k = (
        applied(norm, torch.from_numpy(x), model.across).transpose(1, 2)
        for (norm, _), x in zip(norms, arrays, strict=True)
    )
    layer = {} if model.layer is None else {"layer_type": model.layer}
    cos, sin = rotary(q, torch.from_numpy(IDS), **layer)
    module = import_module(f"transformers.models.{name}.modeling_{name}")
    wanted = [
        x.transpose(1, 2).double().numpy() for x in module.apply_rotary_pos_emb(q, k, cos, sin)
    ]
    weights = (weight for _, weight in norms)
    apply: Any = ropelab.apply_norm_rotary_qk
    got = apply(*arrays, *weights, IDS, spectrum, angles="float32", **model.options)
    for ours, true, heads in zip(got, wanted, (HEADS, KEY_HEADS), strict=True):
        assert ours.dtype == np.dtype(dtype)
        error = np.abs(widen(ours) - true) / pair_norms(true, "half")
        assert error.max() <= bound(heads * HEAD_DIM if model.across else HEAD_DIM) * eps("float32")


@pytest.mark.parametrize("name", MODELS)
def test_where_transformers_rounds(name: str) -> None:
    """Say of Qwen 3 that it rounds before the weight too, of the others that they do not."""
    model = MODELS[name]
    norm, weight = norm_of(name, HEADS, seed=3)
    norm = norm.to(torch.bfloat16)  # these weights are whole 64ths, which bfloat16 holds
    x = narrow(numbers(40, TOKENS, HEADS, HEAD_DIM) / 8, "bfloat16")
    tensor = torch.from_numpy(x.view(np.uint16)).view(torch.bfloat16)
    result = applied(norm, tensor, model.across).view(torch.uint16).numpy().view(bfloat16)
    bare = {key: value for key, value in model.options.items() if key != "weight_offset"}
    factors = weight.reshape(-1, HEAD_DIM) + model.options.get("weight_offset", 0.0)
    twice = narrow(widen(rms_norm(x, **bare)) * factors, "bfloat16")
    once = rms_norm(x, weight, **model.options)

    def alike(ours: np.ndarray[Any, Any]) -> float:
        return float(np.mean(ours.view(np.uint16) == result.view(np.uint16)))

    assert alike(twice if name == "qwen3" else once) > 0.999
    assert alike(once if name == "qwen3" else twice) < 0.95

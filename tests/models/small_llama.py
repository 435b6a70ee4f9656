"""A small Llama with Llama-3.1-8B's rotary embedding, and ways to rotate its queries and keys.

Weights are random and seeded; nothing is downloaded. A `Rotation` takes queries and keys of shape
(batch, heads, sequence, head_dim) and the positions; Transformers' own is one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

import ropelab
import ropelab_cuda
from ropelab.layouts import pair_channels

Model = Any  # a LlamaForCausalLM, whose annotations change from release to release
Rotation = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]

ROPE_PARAMETERS = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
VOCABULARY = 256


def build(head_dim: int, device: str, dtype: torch.dtype = torch.float32) -> Model:
    """Return the model, in evaluation mode."""
    # Imported here, since it takes seconds and only these tests need it.
    from transformers import LlamaConfig, LlamaForCausalLM

    settings: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 4 * head_dim,
        "intermediate_size": 4 * head_dim,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": head_dim,
        "max_position_embeddings": 131_072,
        "rope_parameters": dict(ROPE_PARAMETERS),
        # Several times the usual, so that attention is sharp and positions matter.
        "initializer_range": 1.5 / math.sqrt(4 * head_dim),
        "bos_token_id": None,
        "eos_token_id": None,
        "attn_implementation": "eager",
    }
    torch.manual_seed(0)
    model: Model = LlamaForCausalLM(LlamaConfig(**settings))
    model.eval().to(device)
    for weight in model.parameters():  # not model.to(dtype), which would round inv_freq as well
        weight.data = weight.data.to(dtype)
    return model


def own_spectrum(model: Model) -> ropelab.Spectrum:
    """Return a spectrum of the very numbers that the model holds, float32."""
    return ropelab.Spectrum(model.model.rotary_emb.inv_freq.cpu().numpy())


# ------------------------------------------------------------------------------------------------


@contextmanager
def rotating(model: Model, rotation: Rotation) -> Iterator[None]:
    """Let a rotation take the place of the model's own."""
    from transformers.models.llama import modeling_llama

    def positions(_: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return position_ids, position_ids  # where the model expects cos and sin

    def rotate(
        q: torch.Tensor, k: torch.Tensor, position_ids: torch.Tensor, _: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return rotation(q, k, position_ids)

    with (
        patch.object(model.model.rotary_emb, "forward", positions),
        patch.object(modeling_llama, "apply_rotary_pos_emb", rotate),
    ):
        yield


def transformers_rotation(model: Model) -> Rotation:
    """Return the model's own rotation; it stays the same while another takes its place."""
    from transformers.models.llama import modeling_llama

    embedding, apply = model.model.rotary_emb, modeling_llama.apply_rotary_pos_emb
    table = embedding.forward

    def rotate(
        q: torch.Tensor, k: torch.Tensor, position_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        cos, sin = table(q, position_ids)
        return apply(q, k, cos, sin)  # type: ignore[no-any-return]

    return rotate


def our_rotation(device: str, spectrum: ropelab.Spectrum, **options: Any) -> Rotation:
    """Return the kernels' rotation on a GPU, the specification's on the CPU."""
    options = {"tensor_format": "bhsd", "angles": "float32"} | options

    def on_cpu(
        q: torch.Tensor, k: torch.Tensor, position_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rotated = ropelab.apply_rotary_qk(q, k, position_ids, spectrum, **options)
        return from_numpy(rotated[0]), from_numpy(rotated[1])

    def on_gpu(
        q: torch.Tensor, k: torch.Tensor, position_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return ropelab_cuda.apply_rotary_qk(q, k, position_ids, spectrum, **options)

    return on_cpu if device == "cpu" else on_gpu


def from_numpy(array: NDArray[Any]) -> torch.Tensor:
    """Return a torch tensor over the same memory; bfloat16 comes as raw bits."""
    if array.dtype == ropelab.bfloat16:
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


# ------------------------------------------------------------------------------------------------


def keys_one_ahead(rotation: Rotation) -> Rotation:
    """Return a rotation that places each key one token late; a classic error of decoding."""

    def rotate(
        q: torch.Tensor, k: torch.Tensor, position_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return rotation(q, k, position_ids)[0], rotation(q, k, position_ids + 1)[1]

    return rotate


def disturbed(rotation: Rotation, size: float | torch.Tensor) -> Rotation:
    """Return a rotation that errs: by `size` times the pair's norm, in a random direction."""
    generator = torch.Generator().manual_seed(0)

    def disturb(x: torch.Tensor) -> torch.Tensor:
        first, second = pair_channels("half", x.shape[-1])
        exact = x.double()
        pairs = torch.complex(exact[..., first], exact[..., second])
        directions = torch.rand(pairs.shape, generator=generator, dtype=torch.float64)
        errors = size * pairs * torch.exp(2j * torch.pi * directions.to(x.device))
        moved = torch.view_as_real(pairs + errors).movedim(-1, -2).flatten(-2)
        return moved.to(x.dtype)

    def rotate(
        q: torch.Tensor, k: torch.Tensor, position_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rotated = rotation(q, k, position_ids)
        return disturb(rotated[0]), disturb(rotated[1])

    return rotate


def pair_errors(actual: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Return the error of each pair over the norm of the pair, shape (..., head_dim / 2)."""
    first, second = pair_channels("half", expected.shape[-1])
    error, exact = actual.double() - expected.double(), expected.double()
    return torch.hypot(error[..., first], error[..., second]) / torch.hypot(
        exact[..., first], exact[..., second]
    )


@dataclass
class Compared:
    """A rotation that also keeps its worst pair errors, shape (d/2,), against another.

    Both rotate the same activations, so that errors do not add up from layer to layer.
    """

    rotation: Rotation
    reference: Rotation
    worst: torch.Tensor | float = 0.0

    def __call__(
        self, q: torch.Tensor, k: torch.Tensor, position_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotate, and keep the errors."""
        rotated = self.rotation(q, k, position_ids)
        for actual, expected in zip(rotated, self.reference(q, k, position_ids), strict=True):
            errors = pair_errors(actual, expected).flatten(0, -2).amax(0)
            self.worst = torch.maximum(errors, torch.as_tensor(self.worst).to(errors))
        return rotated

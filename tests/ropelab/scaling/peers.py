"""What Transformers computes for a rope, and how near float32 lets it come."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from ropelab import Rope, Spectrum

# Of a frequency in float32: pow errs by 1.3 ulp, the product and the reciprocal by half each.
FLOAT32 = 2 * 2.0**-23


def slack(rope: Rope) -> NDArray[np.float64]:
    """Return the relative error that float32 arithmetic may leave in each frequency."""
    # Where 2 i / d is no float32 number, b to that power errs by ln b times what is lost.
    exponents = np.arange(0, rope.rotary_dim, 2) / rope.rotary_dim
    lost = np.abs(exponents - exponents.astype(np.float32))
    bound: NDArray[np.float64] = FLOAT32 + lost * np.log(rope.base)
    return bound


def assert_within(
    inv_freq: NDArray[np.float64], truth: NDArray[np.float64], bound: NDArray[np.float64]
) -> None:
    """Assert that each frequency is near, relative to its true size."""
    error = np.abs(inv_freq - truth)
    assert (error <= bound * np.abs(truth)).all(), (error / truth / bound).max()


def config_of(rope: Rope, parameters: dict[str, Any]) -> LlamaConfig:
    """Return a config whose rope_parameters are those given, for the geometry of a rope."""
    share = {} if rope.rotary_dim == rope.head_dim else {"partial_rotary_factor": 0.75}
    return LlamaConfig(
        head_dim=rope.head_dim,
        hidden_size=rope.head_dim * 2,
        num_attention_heads=2,
        max_position_embeddings=rope.max_position_embeddings or 4096,
        rope_parameters={"rope_theta": rope.base, **share, **parameters},
    )


def run(
    rope: Rope, parameters: dict[str, Any], seq_len: int | None = None
) -> tuple[NDArray[np.float64], float]:
    """Return inv_freq and attention factor of Transformers' own function."""
    function = ROPE_INIT_FUNCTIONS[parameters["rope_type"]]
    inv_freq, factor = function(config_of(rope, parameters), torch.device("cpu"), seq_len=seq_len)
    assert inv_freq.dtype == torch.float32
    return inv_freq.numpy().astype(np.float64), factor


def samples(spectrum: Spectrum) -> list[float]:
    """Return the frequencies at indices 0, 1, n/4, n/2, 3n/4 and n-1."""
    n = spectrum.inv_freq.size
    picked: list[float] = spectrum.inv_freq[[0, 1, n // 4, n // 2, 3 * n // 4, n - 1]].tolist()
    return picked

"""Growth and reset of a dynamic rope against the module of Transformers, call by call."""

import numpy as np
import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from ropelab import Rope
from ropelab.scaling import DynamicLength, DynamicNTK
from tests.ropelab.scaling.peers import config_of, run
from tests.ropelab.support import refuses

ROPE = Rope(128, scaling=DynamicNTK(2.0), max_position_embeddings=4096)
PARAMETERS = {"rope_type": "dynamic", "factor": 2.0}
# In its forward the length is a tensor, so the base is float32: 1.4e-7 of a frequency, measured
# there; and the power after it.
FORWARD = 1.4e-7 + 2 * 2.0**-23


def lengths_asked(calls: list[int]) -> list[int]:
    state, asked = DynamicLength(4096), []
    for call in calls:
        state = state.after(call)
        asked.append(state.length)
    return asked


def test_a_run_of_transformers_is_reproduced() -> None:
    # Transformers 5.23.0, base 1e4, d 128, factor 2: the last frequency after each call.
    run_of = {
        4096: "1.1548e-04",
        4097: "1.15422e-04",
        8192: "3.8493e-05",
        6000: "3.8493e-05",
        4095: "1.1548e-04",
    }
    calls = [4096, 4097, 8192, 6000, 4096, 4095]
    last = [ROPE.spectrum(length).inv_freq[-1] for length in lengths_asked(calls)]
    expected = [run_of[call] for call in calls]
    expected[4] = "3.8493e-05"  # the original length does not reset what has grown
    assert [
        f"{w:.5e}" if "5422" in e else f"{w:.4e}" for w, e in zip(last, expected, strict=True)
    ] == (expected)


@pytest.mark.filterwarnings("ignore:::torch", "ignore:::transformers")
@pytest.mark.parametrize(
    "calls",
    [
        [4096, 4097, 8192, 6000, 4096, 4095, 4096, 5000],
        [1, 20000, 4096, 20001, 3, 4097, 4095, 1],
        [9000, 3, 8192, 8191, 12345, 4095],
    ],
)
def test_a_module_of_transformers_goes_through_the_same_lengths(calls: list[int]) -> None:
    module = LlamaRotaryEmbedding(config_of(ROPE, PARAMETERS))
    for call, length in zip(calls, lengths_asked(calls), strict=True):
        module(torch.zeros(1), torch.tensor([[0, call - 1]]))
        assert int(module.max_seq_len_cached) == length
        ours = ROPE.spectrum(length).inv_freq
        np.testing.assert_allclose(module.inv_freq.numpy(), ours, rtol=FORWARD, atol=0.0)


@pytest.mark.parametrize("seq_len", [None, 1, 4096, 4097, 6000, 8192, 131072])
def test_each_length_is_what_transformers_computes(seq_len: int | None) -> None:
    inv_freq, factor = run(ROPE, PARAMETERS, seq_len)
    np.testing.assert_allclose(
        ROPE.spectrum(seq_len).inv_freq, inv_freq, rtol=2 * 2.0**-23, atol=0.0
    )
    assert factor == 1.0


def test_a_state_is_a_value() -> None:
    state = DynamicLength(4096)
    grown = state.after(5000)
    assert (state.length, grown.length) == (4096, 5000)
    assert grown == DynamicLength(4096, 5000)
    assert grown.after(4097) == grown
    assert grown.after(4095) == state == DynamicLength(4096, 4096)
    assert len({grown, DynamicLength(4096, 5000)}) == 1


def test_lengths_that_are_none_are_refused() -> None:
    with refuses(ValueError, "original", "0"):
        DynamicLength(0)
    with refuses(ValueError, "seen", "original = 4096", "4095"):
        DynamicLength(4096, 4095)
    with refuses(TypeError, "length", "4097.0"):
        DynamicLength(4096).after(4097.0)  # type: ignore[arg-type]
    with refuses(ValueError, "length", "0"):
        DynamicLength(4096).after(0)

"""Transformer Engine's signatures, and its angles against the formula.

Transformer Engine itself needs a GPU; its signatures are those that its documentation prints.
"""

from __future__ import annotations

import copy
import inspect
import io
from typing import Any

import numpy as np
import pytest
import torch

from ropelab_cuda.compat import transformer_engine as face
from ropelab_cuda.compat.transformer_engine import RotaryPositionEmbedding

SIGNATURES: dict[str, dict[str, Any]] = {
    "RotaryPositionEmbedding": {
        "dim": None,
        "rotary_percent": 1.0,
        "seq_len_interpolation_factor": None,
        "pretrained_max_position_embeddings": None,
        "rotary_base": 10000.0,
        "interleaved": False,
    },
    "apply_rotary_pos_emb": {
        "t": None,
        "freqs": None,
        "tensor_format": "sbhd",
        "start_positions": None,
        "interleaved": False,
        "fused": False,
        "cu_seqlens": None,
        "cp_size": 1,
        "cp_rank": 0,
    },
    "apply_fused_qkv_rotary_pos_emb": {
        "qkv": None,
        "q_freqs": None,
        "k_freqs": None,
        "qkv_split_arg_list": None,
        "tensor_format": "sbhd",
        "start_positions": None,
        "interleaved": False,
        "cu_seqlens": None,
        "cp_size": 1,
        "cp_rank": 0,
    },
}


@pytest.mark.parametrize("name", list(SIGNATURES))
def test_signatures_are_those_of_the_documentation(name: str) -> None:
    parameters = inspect.signature(getattr(face, name)).parameters.values()
    assert {
        each.name: None if each.default is each.empty else each.default for each in parameters
    } == SIGNATURES[name]
    assert list(SIGNATURES[name]) == [each.name for each in parameters]
    assert set(SIGNATURES) == set(face.__all__)


def exact_angles(rows: range, d: int, base: float = 1e4, stretch: float = 1.0) -> np.ndarray:
    return np.array([[p / stretch * base ** (-2 * i / d) for i in range(d // 2)] for p in rows])


def half_an_ulp(angles: np.ndarray) -> np.ndarray:
    # A rounding to float32, and what float64 has left over.
    return np.asarray(0.5001 * np.spacing(np.abs(angles).astype(np.float32)).astype(np.float64))


@pytest.mark.parametrize("interleaved", [False, True])
def test_angles_are_positions_times_frequencies(interleaved: bool) -> None:
    table = RotaryPositionEmbedding(10, rotary_base=5e5, interleaved=interleaved)(7, offset=131_070)
    assert (table.shape, table.dtype) == ((7, 1, 1, 10), torch.float32)
    found = table[:, 0, 0].double().numpy()
    exact = exact_angles(range(131_070, 131_077), 10, 5e5)
    first, second = (found[:, ::2], found[:, 1::2]) if interleaved else np.split(found, 2, axis=1)
    assert (np.abs(first - exact) <= half_an_ulp(exact)).all()
    assert (first == second).all()


@pytest.mark.parametrize(("percent", "width"), [(0.25, 32), (1.0, 128), (0.5, 64)])
def test_a_share_of_the_channels_turns(percent: float, width: int) -> None:
    module = RotaryPositionEmbedding(128, percent)
    assert module.inv_freq.shape == (width // 2,)
    found = module(3)[2, 0, 0, : width // 2].double().numpy()
    exact = exact_angles(range(2, 3), width)[0]
    assert (np.abs(found - exact) <= half_an_ulp(exact)).all()


@pytest.mark.parametrize(
    ("length", "offset", "stretch"),
    [(8, 0, 3.0), (300, 0, 3.0), (301, 0, 3.01), (301, 77, 3.01), (1000, 0, 10.0), (8, 5000, 3.0)],
)
def test_positions_are_interpolated_by_the_length_of_the_table(
    length: int, offset: int, stretch: float
) -> None:
    module = RotaryPositionEmbedding(8, 1.0, 3, 100)
    found = module(length, offset)[:, 0, 0, :4].double().numpy()
    exact = exact_angles(range(offset, offset + length), 8, stretch=stretch)
    assert (np.abs(found - exact) <= half_an_ulp(exact)).all()


@pytest.mark.parametrize(
    "arguments", [{"seq_len_interpolation_factor": 2}, {"rotary_percent": 1.5}]
)
def test_what_has_no_effect_there_is_told(arguments: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match=next(iter(arguments))):
        module = RotaryPositionEmbedding(8, **arguments)
    assert torch.equal(module(9), RotaryPositionEmbedding(8)(9))


def test_no_cast_and_no_allocation_spoils_the_angles() -> None:
    module = RotaryPositionEmbedding(64, rotary_base=5e5)
    table = module(9000)
    assert torch.equal(copy.deepcopy(module).to(torch.bfloat16)(9000), table)
    emptied = copy.deepcopy(module).to("meta").to_empty(device="cpu")
    emptied.inv_freq.fill_(torch.nan)
    assert torch.equal(emptied(9000), table)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module(9000), table)
    assert copy.deepcopy(module).to("meta")(5).is_meta


def test_checkpoints_go_both_ways() -> None:
    module = RotaryPositionEmbedding(64, rotary_base=5e5)
    exact = np.array([5e5 ** (-2 * i / 64) for i in range(32)], np.float32)
    np.testing.assert_array_max_ulp(module.state_dict()["inv_freq"].numpy(), exact, maxulp=1)
    stored = io.BytesIO()
    torch.save(copy.deepcopy(module).to(torch.bfloat16).state_dict(), stored)
    stored.seek(0)
    other = RotaryPositionEmbedding(64, rotary_base=5e5)
    other.load_state_dict(torch.load(stored))
    assert torch.equal(other(9), module(9))
    with pytest.raises(RuntimeError, match=r"inv_freq: expected the frequencies of rotary_base"):
        RotaryPositionEmbedding(64).load_state_dict(module.state_dict())
    with pytest.raises(RuntimeError, match="size mismatch"):
        RotaryPositionEmbedding(32).load_state_dict(module.state_dict())


def test_a_length_may_be_zero_and_not_negative() -> None:
    assert RotaryPositionEmbedding(8)(0).shape == (0, 1, 1, 8)
    assert RotaryPositionEmbedding(8, 1.0, 2, 4)(0).shape == (0, 1, 1, 8)
    for arguments in ((-1,), (2.5,), (3, 0.5)):
        with pytest.raises((TypeError, ValueError), match=r"max_seq_len|offset"):
            RotaryPositionEmbedding(8)(*arguments)

"""Transformer Engine's constructor: what it reads, and what it drops without a word."""

import warnings

import numpy as np
import pytest

from ropelab import Rope
from ropelab.formats.transformer_engine import from_transformer_engine, read_transformer_engine
from ropelab.scaling import Default, TransformerEngineInterpolation


def test_defaults_are_plain_halves() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert from_transformer_engine(128) == Rope(128)


def test_interleaved_and_partial() -> None:
    rope = from_transformer_engine(96, 0.25, rotary_base=500_000.0, interleaved=True)
    assert rope == Rope(96, base=5e5, rotary_dim=24, layout="interleaved")


def test_both_keys_interpolate_and_grow_past_their_reach() -> None:
    rope = from_transformer_engine(64, 1.0, 4.0, 2048)
    assert rope is not None
    assert rope.scaling == TransformerEngineInterpolation(4.0, 2048)
    plain = Rope(64).spectrum().inv_freq
    # TransformerEngine, rope.py: p / 4 up to 8192 tokens; p / (s / 2048) for s past them.
    np.testing.assert_array_equal(rope.spectrum(8192).inv_freq, plain / 4)
    np.testing.assert_array_equal(rope.spectrum(12288).inv_freq, plain / 6)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("seq_len_interpolation_factor", {"seq_len_interpolation_factor": 2.0}),
        ("pretrained_max_position_embeddings", {"pretrained_max_position_embeddings": 2048}),
    ],
)
def test_one_interpolation_key_alone_does_nothing(name: str, given: dict[str, float]) -> None:
    reading = read_transformer_engine(128, **given)  # type: ignore[arg-type]
    assert reading.rope is not None
    assert reading.rope.scaling == Default()
    assert [finding.key for finding in reading.findings] == [name]
    with pytest.warns(UserWarning, match=f"{name}: .* has no effect without"):
        assert from_transformer_engine(128, **given) == reading.rope  # type: ignore[arg-type]


def test_a_share_above_one_is_ignored() -> None:
    with pytest.warns(UserWarning, match="rotary_percent: 2.0 has no effect"):
        rope = from_transformer_engine(64, 2.0)
    assert rope == Rope(64)


@pytest.mark.parametrize(
    ("error", "given"),
    [
        (ValueError, {"dim": 63}),
        (TypeError, {"dim": 64.0}),
        (ValueError, {"rotary_percent": 0.0}),
        (ValueError, {"rotary_percent": 0.02}),  # one channel
        (ValueError, {"seq_len_interpolation_factor": -1.0}),
        (TypeError, {"seq_len_interpolation_factor": "2"}),
        (ValueError, {"pretrained_max_position_embeddings": 0}),
        (TypeError, {"interleaved": 1}),
        (ValueError, {"rotary_base": 0.0}),
    ],
)
def test_bad_arguments_are_refused(error: type[Exception], given: dict[str, object]) -> None:
    with pytest.raises(error, match=next(iter(given)).replace("rotary_base", "base")):
        read_transformer_engine(**{"dim": 64, **given})  # type: ignore[arg-type]

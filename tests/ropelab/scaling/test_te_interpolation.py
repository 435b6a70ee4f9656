"""Transformer Engine's interpolation against the positions that it divides instead."""

import numpy as np
import pytest

from ropelab import Rope
from ropelab.scaling import Linear, TransformerEngineInterpolation
from tests.ropelab.support import refuses

ROPE = Rope(128, scaling=TransformerEngineInterpolation(4.0, 4096))


@pytest.mark.parametrize("seq_len", [None, 1, 4096, 8192, 16384])
def test_up_to_the_stretched_length_it_is_linear(seq_len: int | None) -> None:
    # Short sequences too: nothing is said about lengths below the trained one.
    assert ROPE.spectrum(seq_len) == Rope(128, scaling=Linear(4.0)).spectrum()


@pytest.mark.parametrize("seq_len", [16385, 20000, 131072, 2**20])
def test_beyond_it_the_last_position_is_the_trained_length(seq_len: int) -> None:
    # Its forward(): positions, in float64, times 1 / (length / trained).
    positions = np.array([1, 257, seq_len - 1]) * (1.0 / (seq_len / 4096))
    expected = positions[:, None] * Rope(128).spectrum().inv_freq
    angles = np.array([1, 257, seq_len - 1])[:, None] * ROPE.spectrum(seq_len).inv_freq
    np.testing.assert_allclose(angles, expected, rtol=4 * 2.0**-52, atol=0.0)
    assert angles[-1, 0] < 4096


def test_one_key_alone_is_refused_where_transformer_engine_ignores_it() -> None:
    with pytest.raises(TypeError):
        TransformerEngineInterpolation(4.0)  # type: ignore[call-arg]
    with refuses(TypeError, "pretrained_max_position_embeddings", "None"):
        TransformerEngineInterpolation(4.0, None)  # type: ignore[arg-type]
    with refuses(TypeError, "factor", "None"):
        TransformerEngineInterpolation(None, 4096)  # type: ignore[arg-type]
    with refuses(ValueError, "pretrained_max_position_embeddings", "0"):
        TransformerEngineInterpolation(4.0, 0)
    with refuses(ValueError, "factor", "nan"):
        TransformerEngineInterpolation(float("nan"), 4096)

"""Cosines of pairs and their sums, against 80 digits, formulas for few pairs, and rotations."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest

from ropelab import Rope, apply_rotary
from ropelab.bands import cosine_sum, pair_cosines
from ropelab.positions import mrope_axes
from ropelab.scaling import DynamicNTK, YaRN
from tests.ropelab.support import POSITIONS, exact_cos_sin, refuses, turn_rounding

ROPES = [
    Rope(128, base=5e5),
    Rope(6, base=3.0, rotary_dim=6),
    Rope(80, rotary_dim=20, scaling=YaRN(16.0, 4096)),
]


@pytest.mark.parametrize("rope", ROPES, ids=["llama-3", "three pairs", "yarn, partial"])
def test_cosines_are_those_of_80_digits(rope: Rope) -> None:
    distances = np.array(POSITIONS).reshape(3, 3)
    cos, _ = exact_cos_sin(distances, rope.spectrum().inv_freq.tolist())
    found = pair_cosines(rope, distances)
    assert found.shape == (3, 3, rope.rotary_dim // 2)
    # 4 eps for cos of a fraction of a turn, beside the rounding of the turns to 64 bits.
    allowed = 4 * np.finfo(np.float64).eps + turn_rounding(distances)
    assert (np.abs(found - cos) <= allowed[..., np.newaxis]).all()
    pairs = rope.rotary_dim // 2
    rotated = cosine_sum(rope, distances, head_dim=rope.rotary_dim)
    assert (np.abs(rotated - cos.sum(axis=-1)) <= pairs * allowed).all()


@pytest.mark.parametrize("rope", ROPES, ids=["llama-3", "three pairs", "yarn, partial"])
def test_the_sum_is_half_the_trace_of_the_rotation_of_a_head(rope: Rope) -> None:
    # The mean of x . R x over x is the trace of R, that of channels which are not rotated included.
    distances, width = np.array([0, 1, 37, 131_072]), rope.head_dim
    unit = np.broadcast_to(np.eye(width), (4, width, width))[:, :, np.newaxis]
    spectrum = replace(rope.spectrum(), attention_factor=1.0)
    tokens = np.broadcast_to(distances[:, np.newaxis], (4, width))
    rotations = apply_rotary(unit, tokens, spectrum, layout=rope.layout)[:, :, 0]
    half = np.trace(rotations, axis1=1, axis2=2) / 2
    np.testing.assert_allclose(cosine_sum(rope, distances), half, rtol=0, atol=1e-12)


def test_channels_beside_the_rope_count_as_cosines_of_one() -> None:
    # Multi-head latent attention: 128 channels beside 64 that are rotated.
    plain = cosine_sum(Rope(64), [0, 725, 3000])
    assert plain[1] < 0.0
    np.testing.assert_array_equal(cosine_sum(Rope(64), [0, 725, 3000], head_dim=192), plain + 64.0)
    assert cosine_sum(Rope(7, rotary_dim=4), 0) == 3.5
    with refuses(ValueError, "head_dim", "rotary_dim = 64", "62"):
        cosine_sum(Rope(64), 0, head_dim=62)
    with refuses(TypeError, "head_dim", "192.0"):
        cosine_sum(Rope(64), 0, head_dim=192.0)  # type: ignore[arg-type]


def test_amplitudes_do_not_enter() -> None:
    rope = Rope(64, scaling=YaRN(16.0, 4096))
    assert rope.spectrum().attention_factor > 1.2
    assert cosine_sum(rope, 0) == 32.0


def test_a_sum_over_more_distances_than_are_taken_at_once() -> None:
    # One pair of frequency 1 and one of 1/2: B(m) = cos m + cos m/2.
    rope = Rope(4, base=4.0)
    distances = np.arange(-20_001, 20_000, 3)
    with mpmath.workdps(40):
        truth = [float(mpmath.cos(int(m)) + mpmath.cos(mpmath.mpf(int(m)) / 2)) for m in distances]
    allowed = 2 * (4 * np.finfo(np.float64).eps + turn_rounding(distances))
    assert (np.abs(cosine_sum(rope, distances) - truth) <= allowed).all()


def test_each_axis_has_distances_of_its_own() -> None:
    rope = Rope(6, base=8.0, axes=mrope_axes(6, (1, 1, 1)))
    frames, rows, columns = distances = np.array([[0, 5], [7, 0], [2, 900]])
    slow, slower = rope.spectrum().inv_freq[1:]
    truth = np.cos(frames) + np.cos(rows * slow) + np.cos(columns * slower)
    np.testing.assert_allclose(cosine_sum(rope, distances), truth, rtol=0, atol=1e-13)
    with refuses(ValueError, "distances", "(2,)"):
        cosine_sum(rope, [1, 2])


def test_the_length_of_the_sequence_reaches_the_rule() -> None:
    rope = Rope(64, scaling=DynamicNTK(4.0), max_position_embeddings=2048)
    longer = Rope(64, base=5.26643895e4)
    np.testing.assert_allclose(
        cosine_sum(rope, [300, 999], seq_len=4096), cosine_sum(longer, [300, 999]), rtol=1e-5
    )


def test_no_distances_have_no_sums() -> None:
    assert cosine_sum(Rope(8), []).shape == (0,)
    assert pair_cosines(Rope(8), np.zeros((0, 3), np.int64)).shape == (0, 3, 4)


@pytest.mark.parametrize("distances", [1.5, [0.0], "far", None])
def test_distances_are_integers(distances: object) -> None:
    with refuses(TypeError, "distances"):
        cosine_sum(Rope(8), distances)  # type: ignore[arg-type]


def test_what_is_no_rope_is_refused() -> None:
    with refuses(TypeError, "rope", "Spectrum"):
        pair_cosines(Rope(8).spectrum(), 1)  # type: ignore[arg-type]

"""Scores and similarities in closed form, against vectors that are rotated and multiplied."""

import numpy as np
import pytest

from ropelab import Rope, rotate
from ropelab.bands import pair_products, peak_phases, score, similarity
from ropelab.positions import mrope_axes
from ropelab.scaling import Default, Linear, Llama3, YaRN
from tests.ropelab.support import printed, refuses

LLAMA_3_1 = Rope(128, base=5e5, scaling=Llama3(8.0, 1.0, 4.0, 8192))


@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("distance", [0, 1, 17, -300, 70_001])
def test_a_score_is_that_of_rotated_vectors(layout: str, distance: int) -> None:
    rope = Rope(26, base=300.0, layout=layout, scaling=YaRN(16.0, 512))
    generator = np.random.default_rng(distance + 1000)
    q, k = generator.normal(size=(2, 1, 1, 1, 26))
    behind = 123_457
    turned_q, _ = rotate(rope, q, q, [[behind + distance]])
    turned_k, _ = rotate(rope, k, k, [[behind]])
    truth = float((turned_q * turned_k).sum())
    amplitudes, phases = pair_products(q[0, 0, 0], k[0, 0, 0], layout=layout)
    found = score(rope, distance, amplitudes=amplitudes, phases=phases)
    assert found == pytest.approx(truth, rel=1e-11, abs=1e-11)


def test_an_equal_key_scores_the_squared_norm_at_distance_0() -> None:
    assert score(Rope(64), 0) == 32.0


@pytest.mark.parametrize("distance", [0, 1, 500, -77, 100_003])
def test_a_key_exists_that_peaks_at_any_distance(distance: int) -> None:
    rope = Rope(128)
    around = np.arange(distance - 3000, distance + 3000)
    scores = score(rope, around, phases=peak_phases(rope, distance))
    assert around[scores.argmax()] == distance
    assert scores.max() == pytest.approx(64.0, rel=1e-12)


def test_gaussian_queries_and_keys_do_not_decay() -> None:
    # The mean is 0 at every distance, and the spread is the same at every distance.
    rope, generator = Rope(32), np.random.default_rng(8)
    q, k = generator.normal(size=(2, 20_000, 32))
    amplitudes, phases = pair_products(q, k)
    spreads = []
    for distance in (0, 3, 1000):
        angles = distance * rope.spectrum().inv_freq + phases
        scores = (amplitudes * np.cos(angles)).sum(axis=-1)
        assert abs(scores.mean()) < 5 * scores.std() / np.sqrt(scores.size)
        spreads.append(scores.std())
    np.testing.assert_allclose(spreads, np.sqrt(32.0), rtol=0.03)


@pytest.mark.parametrize(
    ("position", "cosine"),
    [(0, "1.000"), (1000, "0.963"), (8192, "0.769"), (20_000, "0.627"), (60_000, "0.539")],
)
def test_similarity_without_llama_3_1s_scaling(position: int, cosine: str) -> None:
    plain = Rope(128, base=5e5)
    assert printed(float(similarity(LLAMA_3_1, plain, position)), cosine)
    assert printed(float(similarity(plain, LLAMA_3_1, position)), cosine)


def test_similarity_is_that_of_rotated_vectors_of_equal_pairs() -> None:
    # Amplitudes differ by 1.28 and do not show.
    a, b = Rope(18, base=50.0), Rope(18, base=50.0, scaling=YaRN(16.0, 64))
    angles = np.random.default_rng(9).uniform(0, 2 * np.pi, 9)
    x = np.concatenate([np.cos(angles), np.sin(angles)])[np.newaxis, np.newaxis, np.newaxis]
    for position in (0, 3, -50, 9001):
        (one, _), (two, _) = (rotate(rope, x, x, [[position]]) for rope in (a, b))
        truth = (one * two).sum() / np.linalg.norm(one) / np.linalg.norm(two)
        assert similarity(a, b, position) == pytest.approx(float(truth), abs=1e-12)


def test_similarity_of_many_positions_and_axes() -> None:
    axes = mrope_axes(12, (2, 2, 2))
    a, b = Rope(12, axes=axes), Rope(12, axes=axes, scaling=Linear(2.0))
    positions = np.arange(30).reshape(3, 5, 2) ** 2
    angles = np.moveaxis(positions[list(axes)], 0, -1) * a.spectrum().inv_freq / 2
    found = similarity(a, b, positions)
    assert found.shape == (5, 2)
    np.testing.assert_allclose(found, np.cos(angles).mean(axis=-1), rtol=0, atol=1e-13)


def test_one_model_read_alike_is_similar_everywhere() -> None:
    positions = [0, 1, 2**31 - 1]
    same = Rope(128, scaling=Default(), layout="interleaved")
    np.testing.assert_allclose(similarity(Rope(128), same, positions), 1.0, rtol=0, atol=1e-15)


def test_ropes_that_cannot_be_compared_are_refused() -> None:
    with refuses(ValueError, "b", "128", "64"):
        similarity(Rope(128), Rope(64), 1)
    with refuses(ValueError, "b", "1", "3"):
        similarity(Rope(12), Rope(12, axes=mrope_axes(12, (2, 2, 2))), 1)
    with refuses(TypeError, "positions", "float64"):
        similarity(Rope(12), Rope(12), 1.0)


@pytest.mark.parametrize("name", ["amplitudes", "phases"])
@pytest.mark.parametrize("values", [[1.0], [[1.0] * 4], [1.0, 1.0, np.nan, 1.0], 1.0])
def test_amplitudes_and_phases_are_one_for_each_pair(name: str, values: object) -> None:
    with refuses(ValueError, name, "4 pairs"):
        score(Rope(8), 1, **{name: values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("q", "k", "name"),
    [([1.0, 2.0], [1.0], "k"), (1.0, 1.0, "k"), ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], "rotary_dim")],
)
def test_vectors_of_other_widths_have_no_products(q: object, k: object, name: str) -> None:
    with refuses(ValueError, name):
        pair_products(q, k)  # type: ignore[arg-type]


def test_a_peak_is_at_one_distance() -> None:
    with refuses(ValueError, "distance", "(2,)"):
        peak_phases(Rope(8), [1, 2])
    with refuses(TypeError, "distance"):
        peak_phases(Rope(8), 1.5)


def test_ragged_positions_are_refused() -> None:
    with refuses(TypeError, "positions", "expected an array of numbers", "got a list"):
        similarity(Rope(4), Rope(4), [[1], [2, 3]])

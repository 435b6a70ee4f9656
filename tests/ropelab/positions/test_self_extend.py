"""Distances under Self-Extend and ReRoPE, and the rotations that realise them."""

import numpy as np
import pytest

from ropelab import Rope, apply_rotary
from ropelab.positions import rerope_distances, self_extend_distances, self_extend_positions
from tests.ropelab.support import refuses


def longlm(length: int, group: int, window: int) -> np.ndarray:
    """Build the distances as LongLM's reference does: two matrices, one triangle of the second."""
    ids = np.arange(length)
    neighbour = ids[:, None] - ids
    q, k = ids // group + window - window // group, ids // group
    grouped = q[:, None] - k
    from_neighbour = np.tril(np.ones((length, length)))
    if length > window:
        from_neighbour[window:, :-window] -= np.tril(np.ones((length - window, length - window)))
    return np.where(from_neighbour.astype(bool), neighbour, grouped)


@pytest.mark.parametrize(("group", "window"), [(2, 4), (3, 10), (8, 13), (1, 5), (5, 1)])
def test_self_extend_is_longlms(group: int, window: int) -> None:
    ids = np.arange(57)
    ours = self_extend_distances(ids, ids, group, window)
    assert ours.dtype == np.int64
    causal = ids[:, None] >= ids
    assert ours[causal].tolist() == longlm(57, group, window)[causal].tolist()


def test_the_longest_distance_is_the_published_one() -> None:
    # Section 3 of the paper: a model of length L reads (L - w) * G + w tokens.
    length, group, window = 4096, 8, 1024
    longest = (length - window) * group + window
    distances = self_extend_distances([longest - 1], np.arange(longest), group, window)
    assert distances.max() == length - 1


def test_a_group_is_cut_by_position_and_not_by_distance() -> None:
    # Groups of 4: 8 and 1 are two groups apart, 7 and 0 one, and both 7 tokens.
    far = self_extend_distances([8, 7], [1, 0], 4, 4)
    assert far[0, 0] == 2 - 0 + 4 - 1
    assert far[1, 1] == 1 - 0 + 4 - 1


def test_rerope_clips() -> None:
    ids = np.array([0, 5, 11, 131_071])
    ours = rerope_distances(ids, ids, 10)
    assert ours.dtype == np.int64
    assert ours[np.tril_indices(4)].tolist() == [0, 5, 0, 10, 6, 0, 10, 10, 10, 0]


def test_scores_of_both_branches_depend_on_these_distances() -> None:
    rng = np.random.default_rng(3)
    q, k = rng.standard_normal((2, 1, 1, 1, 16))
    spectrum = Rope(16).spectrum()

    def score(m: int, n: int) -> float:
        return float(np.vdot(apply_rotary(q, [m], spectrum), apply_rotary(k, [n], spectrum)))

    for m, n in ((40, 3), (40, 38), (41, 20)):
        (queries, _), (_, keys) = (self_extend_positions([p], 4, 8) for p in (m, n))
        seen = int(self_extend_distances([m], [n], 4, 8)[0, 0])
        branch = (m, n) if m - n < 8 else (int(queries[0]), int(keys[0]))
        assert score(*branch) == pytest.approx(score(seen, 0), abs=1e-12)
        clipped = int(rerope_distances([m], [n], 8)[0, 0])
        assert score(*((m, n) if m - n < 8 else (8, 0))) == pytest.approx(score(clipped, 0))


@pytest.mark.parametrize(
    ("given", "kind", "name"),
    [
        (([-1], 4, 8), ValueError, "position_ids"),
        (([1.0], 4, 8), TypeError, "position_ids"),
        (([1], 0, 8), ValueError, "group_size"),
        (([1], 4, 8.0), TypeError, "neighbor_window"),
    ],
)
def test_what_has_no_group_is_refused(
    given: tuple[object, ...], kind: type[Exception], name: str
) -> None:
    with refuses(kind, name):
        self_extend_positions(*given)  # type: ignore[arg-type]


def test_distances_are_of_one_sequence() -> None:
    with refuses(ValueError, "key_ids", "(1, 2)"):
        rerope_distances([1], [[0, 1]], 4)
    with refuses(ValueError, "query_ids", "()"):
        self_extend_distances(1, [0, 1], 4, 8)
    with refuses(ValueError, "window", "0"):
        rerope_distances([1], [0], 0)

"""Lengths that configs state, and those between which a rule by length parts."""

import numpy as np
import pytest

from ropelab import Rope
from ropelab.bands.lengths import longest_length, stretched_length, telling_lengths
from ropelab.models import model
from ropelab.scaling import DynamicNTK, Linear, Llama3, LongRoPE, RoundedFrequencies, YaRN

LISTS = LongRoPE([1.0, 1.0], [1.0, 2.5], 4096)


@pytest.mark.parametrize(
    ("rope", "longest"),
    [
        # Qwen2.5's recipe: 32,768 tokens times 4; with 131,072 stated it is those.
        (Rope(128, scaling=YaRN(4.0, 32768), max_position_embeddings=32768), 131_072),
        (Rope(128, scaling=YaRN(4.0, 32768), max_position_embeddings=131072), 131_072),
        (Rope(128, scaling=YaRN(4.0, 32768)), 131_072),
        # Llama 3.2: 8192 times 32 is no length of its own.
        (Rope(64, scaling=Llama3(32.0, 1.0, 4.0, 8192), max_position_embeddings=131072), 131_072),
        (Rope(64, scaling=Llama3(32.0, 1.0, 4.0, 8192)), None),
        (Rope(4, scaling=LISTS, max_position_embeddings=131072), 131_072),
        (Rope(4, scaling=Linear(4.0), max_position_embeddings=2048), 2048),
        (Rope(4), None),
    ],
)
def test_the_longest_length(rope: Rope, longest: int | None) -> None:
    assert longest_length(rope) == longest


@pytest.mark.parametrize(
    ("rope", "lengths"),
    [
        (Rope(4, scaling=LISTS, max_position_embeddings=131072), (4096, 131_072)),
        (Rope(4, scaling=LISTS, max_position_embeddings=4096), (4096, 8192)),
        (Rope(4, scaling=LISTS), ()),
        (Rope(4, scaling=DynamicNTK(4.0), max_position_embeddings=2048), (2048, 8192)),
        (Rope(4, scaling=DynamicNTK(1.0), max_position_embeddings=2048), (2048, 4096)),
        (Rope(4, scaling=YaRN(4.0, 32768), max_position_embeddings=32768), ()),
        (
            Rope(4, scaling=RoundedFrequencies("float16", LISTS), max_position_embeddings=131072),
            (4096, 131_072),
        ),
    ],
)
def test_telling_lengths(rope: Rope, lengths: tuple[int, ...]) -> None:
    assert telling_lengths(rope) == lengths


@pytest.mark.filterwarnings("ignore:factor is missing")
@pytest.mark.parametrize("name", ["Phi-3.5-mini", "Phi-4-mini", "InternLM2.5-7B"])
def test_frequencies_part_between_telling_lengths(name: str) -> None:
    rope = model(name).rope()
    assert rope is not None
    first, second = (rope.spectrum(length).inv_freq for length in telling_lengths(rope))
    np.testing.assert_array_equal(first, rope.spectrum().inv_freq)
    assert (first != second).any()


def test_an_absurd_factor_has_a_length_that_a_config_can_hold() -> None:
    assert stretched_length(8192, 1e300) == 2**53

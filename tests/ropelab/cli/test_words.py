"""Plain words for every kind of rule."""

import math

import pytest

from ropelab import Rope
from ropelab.cli.words import bands_in_words, grouped, of_length, rule_in_words
from ropelab.scaling import ExplicitFrequencies, Linear, NTKAware, Proportional, Stretched, YaRN


@pytest.mark.parametrize(
    ("rope", "words"),
    [
        (Rope(128), "64 pairs, none of them scaled"),
        (Rope(128, scaling=Linear(4.0)), "64 pairs stretched 4×"),
        # NTK stretches pair i by alpha^(i / 31): 4^(1 / 31) = 1.0457 the first that it changes.
        (Rope(64, scaling=NTKAware(4.0)), "1 pair untouched, 31 changed, 1.046× to 4×"),
        (Rope(64, scaling=Proportional(0.25)), "8 pairs untouched, 24 standing still"),
        (Rope(4, scaling=ExplicitFrequencies((1.0, 0.5))), "2 pairs with frequencies of their own"),
    ],
)
def test_bands(rope: Rope, words: str) -> None:
    assert bands_in_words(rope) == words


def test_yarn_of_qwen() -> None:
    # Ramp ends, paper section 3.2: floor and ceil of 64 log(L / (2 pi n)) / log(b), n = 32 and 1.
    low = math.floor(64 * math.log(32768 / (2 * math.pi * 32)) / math.log(1e6))
    high = math.ceil(64 * math.log(32768 / (2 * math.pi)) / math.log(1e6))
    said = bands_in_words(Rope(128, base=1e6, scaling=YaRN(4.0, 32768)))
    blended = high - low - 1
    assert said == f"{low + 1} pairs untouched, {blended} blended, {64 - high} stretched 4×"


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (8192, "8,192"),
        (6.283185, "6.28"),
        (2559196.4, "2.56 M"),
        (20473564.1, "20.5 M"),
        (2.5e9, "2.5 G"),
        (9999.6, "10,000"),
        (math.inf, "infinite"),
    ],
)
def test_lengths(tokens: float, words: str) -> None:
    assert of_length(tokens) == words


def test_rules() -> None:
    assert rule_in_words(Linear(4.0)) == "linear (factor 4)"
    assert (
        rule_in_words(Stretched(Linear(2.0), 3.0))
        == "stretched (inner linear (factor 2), factor 3)"
    )
    assert "of 2 numbers, 0.5 to 1" in rule_in_words(ExplicitFrequencies((1.0, 0.5)))


def test_equal_ropes_are_said_once() -> None:
    a, b = Rope(64), Rope(64, base=7.0)
    assert grouped({"x": a, "y": b, "z": Rope(64), "w": None}) == [
        ("x, z", a),
        ("y", b),
        ("w", None),
    ]

"""The page of differences is up to date, and its sizes are those known from elsewhere."""

from __future__ import annotations

import pytest

from docs.difference_roundings import ROUNDINGS
from docs.difference_rows import ROWS, size
from docs.differences import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "run python -m docs.differences"


def test_at_least_twenty_rows_differ() -> None:
    sizes = [size(row) for row in ROWS]
    assert len(sizes) >= 20
    for row, found in zip(ROWS, sizes, strict=True):
        assert found.differing or abs(found.amplitude - 1.0) > 0.01 or found.logits != 1.0, row.what


# The row's beginning, and what a catalogue of these implementations, made with the codes
# themselves, has for it: name of the figure, value, and half a unit of its last digit.
KNOWN = [
    ("YaRN's ramp by the original", "ratio", 2.235, 5e-4),
    ("YaRN's ramp by the original", "pair", 40, 0),
    ("YaRN's ramp by the original", "differing", 23, 0),
    ("YaRN's ramp by the original", "radians", 68.6, 0.05),
    ("The same, base 10000", "ratio", 12.4, 0.05),
    ("The same, base 10000", "radians", 340, 0.5),
    ("The same, base 500000", "ratio", 5.28, 5e-3),
    ("The same, base 500000", "radians", 151, 0.5),
    ("YaRN with M-RoPE", "ratio", 2.235, 5e-4),
    ("YaRN's factor", "amplitude", 1 / 1.1386, 5e-5),
    ("YaRN's amplitude where mscale", "amplitude", 1.2773, 5e-5),
    ("YaRN of DeepSeek without", "amplitude", 1 / 1.36889, 5e-6),
    ("YaRN of DeepSeek without", "logits", 1.0, 1e-14),
    ("YaRN's softmax factor", "logits", 1 / 1.87385, 5e-6),
    ("YaRN's ends of the ramp", "ratio", 1.7627, 5e-5),
    ("YaRN's ends of the ramp", "differing", 9, 0),
    ("YaRN's ends of the ramp", "radians", 28.9, 0.05),
    ("YaRN's amplitude in NeMo", "logits", 1 / 1.2965, 5e-5),
    ("Dynamic NTK at 4096", "ratio", 3.0, 1e-9),
    ("Dynamic NTK at 4096", "radians", 172, 0.5),
    ("Alpha with half", "radians", 6.4, 0.05),
    ("NTK: a larger base", "ratio", 1 / 0.9786, 1e-4),
    ("LongRoPE's amplitude within", "amplitude", 1 / 1.19024, 5e-6),
    ("LongRoPE's amplitude within", "logits", 1 / 1.4167, 5e-5),
    ("LongRoPE's amplitude when", "amplitude", 1.11803 / 1.19024, 1e-5),
    ("One interpolation key", "ratio", 4.0, 0),
    ("The factor 8 of proportional", "ratio", 8.0, 0),
    ("Frequencies kept in bfloat16, as", "radians", 234, 0.6),
    ("Frequencies kept in bfloat16, base", "radians", 5.0, 0.05),
    ("Frequencies kept in bfloat16, base", "ratio", 1.0037, 5e-5),
    ("Frequencies kept in float16, base 500000", "radians", 21.5, 0.05),
    ("Frequencies kept in float16, base 500000", "ratio", 1.0087, 1e-4),
    ("Frequencies kept in float16, base 10000", "radians", 0.99, 5e-3),
]


@pytest.mark.parametrize(("start", "figure", "value", "slack"), KNOWN)
def test_a_size_is_the_known_one(start: str, figure: str, value: float, slack: float) -> None:
    (row,) = [row for row in ROWS if row.what.startswith(start)]
    assert getattr(size(row), figure) == pytest.approx(value, abs=slack, rel=0.0)


def test_the_lists_of_phi_differ_most_where_they_are_known_to() -> None:
    (row,) = [row for row in ROWS if row.what.startswith("LongRoPE just past")]
    long, short = row.a.spectrum().inv_freq, row.b.spectrum().inv_freq
    # Pair 24, by the short list and by the long.
    assert short[24] == pytest.approx(5.025e-3, abs=5e-7)
    assert long[24] == pytest.approx(1.986e-4, abs=5e-8)


@pytest.mark.parametrize(
    ("start", "value", "slack"),
    [
        ("Angles by a running product, base 10000", 5.0e-4, 5e-6),
        ("Angles kept in bfloat16", 8.0, 0.01),
        ("Positions in bfloat16", 8.0, 0.0),
        ("Positions in float16", 16.0, 0.0),
        ("Cosines in bfloat16", 1.95e-3, 5e-6),
        ("Cosines in float16", 2.44e-4, 5e-7),
        ("Positions times 1/3", 3.9e-3, 5e-5),
    ],
)
def test_a_rounding_is_the_known_one(start: str, value: float, slack: float) -> None:
    (rounding,) = [each for each in ROUNDINGS if each.what.startswith(start)]
    assert rounding.compute() == pytest.approx(value, abs=slack, rel=0.0)

"""The picture of characters shows the numbers of the library."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from ropelab import Rope
from ropelab.bands import classify
from ropelab.cli.band_plot import band_plot
from ropelab.models import MODELS, model
from ropelab.scaling import NTKAware, Proportional

ROWS = 13


def picture(
    rope: Rope, width: int = 100, *, marked: Sequence[int] | None = None, unicode: bool = True
) -> list[str]:
    text = band_plot(rope, width=width, marked=marked, unicode=unicode)
    assert text is not None
    return text.plain.splitlines()


def llama() -> Rope:
    rope = model("Llama-3.1-8B").rope()
    assert rope is not None
    return rope


def test_a_sign_a_pair_in_the_row_of_its_wavelength() -> None:
    rows = [line[8 : 8 + 64] for line in picture(llama())[:ROWS]]
    signs = {"kept": "●", "blended": "◆", "stretched": "□"}
    for band in classify(llama()):
        for pair, wavelength in zip(band.pairs, band.wavelengths, strict=True):
            share = math.log10(wavelength) / 8.0  # the axis goes from 1 to 1e8 tokens
            assert rows[ROWS - 1 - round(share * (ROWS - 1))][pair] == signs[band.name]


def test_counts_of_signs() -> None:
    drawn = "".join(picture(llama())[:ROWS])
    assert [drawn.count(sign) for sign in "●◆□"] == [29, 6, 29]


def test_stated_lengths_and_legend() -> None:
    lines = picture(llama())
    assert [line.split()[-1] for line in lines if "╌ " in line and "," in line] == [
        "131,072",
        "8,192",
    ]
    assert [line.strip() for line in lines[ROWS + 2 :]] == [
        "● kept",
        "◆ blended",
        "□ stretched",
        "· without scaling",
        "╌ a length that it is made for",
    ]


def test_lengths_that_are_asked_for() -> None:
    lines = picture(llama(), marked=[1024])
    assert [line.split()[-1] for line in lines if "╌ " in line and "," in line] == ["1,024"]
    assert "╌" not in "".join(picture(llama(), marked=[]))


def test_ascii() -> None:
    lines = picture(llama(), unicode=False)
    assert "".join(lines).isascii()
    assert "".join(lines[:ROWS]).count("#") == 29


def test_pairs_that_stand_still_lie_at_the_top() -> None:
    lines = picture(Rope(64, scaling=Proportional(0.25)))
    assert lines[0].count("▲") == 24
    assert any("standing still" in line for line in lines)


def test_a_rule_without_bands_is_not_drawn_in_bands() -> None:
    lines = picture(Rope(64, scaling=NTKAware(4.0)))
    assert "□" not in "".join(lines)
    assert any("changed, each pair by another factor" in line for line in lines)


@pytest.mark.parametrize("width", [1, 12, 18, 20, 40, 80, 1000])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = band_plot(llama(), width=width)
    if width < 18:
        assert text is None
        return
    assert text is not None
    lines = text.plain.splitlines()[: ROWS + 2]
    assert max(map(len, lines)) <= width


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_model_can_be_drawn() -> None:
    for each in MODELS.values():
        for rope in each.ropes().values():
            if rope is not None:
                lines = picture(rope, 500)
                pairs = min(rope.rotary_dim // 2, 480)
                drawn = {
                    column
                    for line in lines[:ROWS]
                    for column, sign in enumerate(line)
                    if sign in "●◆□▲"
                }
                assert len(drawn) >= min(pairs, 64) // 2
                assert np.isfinite(len(lines))

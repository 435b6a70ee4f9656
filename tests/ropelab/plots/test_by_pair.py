"""Curves over pairs show the numbers of `ropelab.bands`."""

import numpy as np
from matplotlib.axes import Axes

from ropelab import Rope, bands
from ropelab.plots import average_cosines, frequency_ratios, spectra, stretches, turns
from ropelab.scaling import HoPE, Linear, Llama3, Proportional, YaRN, YaRNPaper

RULES = {
    "linear": Rope(128, scaling=Linear(8.0)),
    "Llama 3": Rope(128, base=5e5, scaling=Llama3(8.0, 1.0, 4.0, 8192)),
    "p-RoPE": Rope(128, scaling=Proportional(0.25)),
}


def heights(ax: Axes, line: int) -> list[float]:
    values: list[float] = np.asarray(ax.get_lines()[line].get_ydata()).tolist()
    return values


def test_stretches_are_drawn_and_pairs_that_stand_still_lie_along_the_edge(ax: Axes) -> None:
    stretches(RULES, ax=ax)
    assert heights(ax, 0) == [8.0] * 64
    np.testing.assert_array_equal(heights(ax, 1), bands.stretches(RULES["Llama 3"]))
    assert heights(ax, 2)[:16] == [1.0] * 16
    assert np.isnan(heights(ax, 2)[16:]).all()
    edge = ax.get_lines()[3]
    assert np.asarray(edge.get_xdata()).tolist() == list(range(16, 64))
    assert edge.get_transform() == ax.get_xaxis_transform()
    assert ax.get_xlabel() == "pair index"
    assert ax.get_ylabel() == "wavelength (times the unscaled one)"
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == list(RULES)


def test_ramps_are_shares_of_the_unscaled_frequency(ax: Axes) -> None:
    rules = {"shipped": YaRN(16.0, 4096), "paper": YaRNPaper(16.0, 4096)}
    frequency_ratios({name: Rope(128, scaling=rule) for name, rule in rules.items()}, ax=ax)
    shipped, paper = np.array(heights(ax, 0)), np.array(heights(ax, 1))
    # The largest ratio of the two functions, 3.0414 at pair 38 (published).
    assert int((shipped / paper).argmax()) == 38
    assert f"{(shipped / paper).max():.4f}" == "3.0414"
    assert (shipped[0], shipped[-1]) == (1.0, 1 / 16)
    assert ax.get_ylim()[0] == 0.0
    assert ax.get_ylabel() == "frequency (share of the unscaled one)"


def test_spectra_count_the_pairs_that_stand_still(ax: Axes) -> None:
    ropes = {"RoPE": Rope(128), "HoPE": Rope(128, scaling=HoPE(4096)), "p": RULES["p-RoPE"]}
    spectra(ropes, ax=ax)
    labels = [line.get_label() for line in ax.get_lines()]
    assert labels[0] == "RoPE"
    assert labels[1] == "HoPE: 18 of 64 stand still"
    assert labels[3] == "p: 48 of 64 stand still"
    assert heights(ax, 0) == Rope(128).spectrum().inv_freq.tolist()
    rows = [set(heights(ax, line)) for line in (2, 4)]
    assert len(rows[0] | rows[1]) == 2  # one row each
    assert ax.get_ylabel() == "frequency (radians per token)"
    assert ax.get_yscale() == "log"


def test_nope_has_no_curve_but_its_row(ax: Axes) -> None:
    spectra({"NoPE": Rope(128, scaling=Proportional(0.0))}, ax=ax)
    assert np.isnan(heights(ax, 0)).all()
    assert np.asarray(ax.get_lines()[1].get_xdata()).tolist() == list(range(64))
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]


def test_turns_are_counted_at_the_length(ax: Axes) -> None:
    turns({"Llama-2": Rope(128), "p": RULES["p-RoPE"]}, 4096, ax=ax)
    np.testing.assert_allclose(heights(ax, 0), 4096 / Rope(128).spectrum().wavelengths)
    assert ax.get_lines()[0].get_label() == "Llama-2: 46 of 64 turn once"
    assert ax.get_lines()[1].get_label() == "p: 16 of 64 turn once"
    assert ax.get_ylabel() == "turns within 4,096 tokens"
    assert ax.get_lines()[-1].get_ydata() == [1.0, 1.0]


def test_the_length_of_the_sequence_reaches_the_rules(ax: Axes) -> None:
    from ropelab.scaling import DynamicNTK

    rope = Rope(64, scaling=DynamicNTK(4.0), max_position_embeddings=2048)
    stretches({"dynamic": rope}, seq_len=4096, ax=ax)
    assert round(heights(ax, 0)[-1], 9) == 5.0


def test_average_cosines_are_0_of_fast_pairs_and_1_of_those_that_stand_still(ax: Axes) -> None:
    average_cosines({"RoPE": Rope(128), "p": RULES["p-RoPE"]}, 4096, ax=ax)
    # The mean over m of cos(m w), by the sum that the closed form is of.
    speeds = 10_000.0 ** (-np.arange(64) / 64)
    means = np.cos(np.arange(4096)[:, np.newaxis] * speeds).mean(axis=0)
    np.testing.assert_allclose(heights(ax, 0), means, atol=1e-12)
    assert heights(ax, 1)[16:] == [1.0] * 48
    assert ax.get_lines()[0].get_label() == f"RoPE: {means.mean():.2f} on average"
    assert ax.get_ylabel() == "mean cosine within 4,096 tokens"

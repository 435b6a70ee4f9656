"""Curves over bases and lengths show what was published, and what `ropelab.bands` finds."""

import numpy as np
from matplotlib.axes import Axes

from ropelab.plots import base_bound, critical_bases, critical_dimensions, effective_contexts
from tests.ropelab.support import refuses


def test_the_base_bound_stands_beside_the_published_bases(ax: Axes) -> None:
    base_bound([1024, 2048, 4096], ax=ax)
    paper, su, found, fitted, limit = ax.get_lines()
    assert np.asarray(paper.get_ydata()).tolist() == [4.3e3, 1.6e4, 2.7e4]
    assert np.asarray(su.get_ydata()).tolist() == [4.3e3, 1.2e4, 2.7e4]
    np.testing.assert_allclose(np.asarray(found.get_ydata()), [4.3e3, 1.16e4, 2.7e4], rtol=3e-3)
    assert len({paper.get_marker(), su.get_marker(), found.get_marker()}) == 3
    assert fitted.get_linestyle() != limit.get_linestyle()
    assert (np.asarray(limit.get_ydata()) < np.asarray(fitted.get_ydata())).all()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1k", "2k", "4k"]
    assert ax.get_xlabel() == "context length (tokens)"
    assert ax.get_ylabel() == "smallest base"


def test_lengths_that_nobody_published_show_the_search_alone(ax: Axes) -> None:
    base_bound([100, 200], rotary_dim=16, step=0.01, ax=ax)
    assert ax.get_lines()[0].get_label() == "found here, 16 channels"


def test_bases_at_hand_are_not_searched_for(ax: Axes) -> None:
    base_bound([1024, 2048], bases=[5e3, 6e3], ax=ax)
    assert np.asarray(ax.get_lines()[2].get_ydata()).tolist() == [5e3, 6e3]
    with refuses(ValueError, "bases", "each of 2", "(3,)"):
        base_bound([1024, 2048], bases=[1e3, 1e4, 1e5], ax=ax)


def test_bases_within_two_powers_of_ten_have_ticks_between(ax: Axes) -> None:
    effective_contexts([2e4, 3e5], 64, ax=ax)
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    told = [tick.get_text() for tick in ax.get_xticklabels()]
    assert [text for text in told if 2e4 <= float(text.replace(",", "")) <= 3e5] == [
        "20,000",
        "50,000",
        "100,000",
        "200,000",
    ]
    assert not any(tick.get_text() for tick in ax.get_xticklabels(minor=True))


def test_effective_contexts_leap(ax: Axes) -> None:
    effective_contexts([4.2e3, 4.3e3, 6e3, 1e4], 1024, ax=ax)
    broken, whole = ax.get_lines()
    assert np.asarray(broken.get_xdata()).tolist() == [4.2e3, 6e3]
    assert np.asarray(whole.get_xdata()).tolist() == [4.3e3, 1e4]
    assert np.asarray(whole.get_ydata()).tolist() == [1024, 1024]
    assert (np.asarray(broken.get_ydata()) < 1024).all()
    assert whole.get_label() == "bears all 1,024 tokens"
    assert broken.get_marker() != whole.get_marker()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("base", "effective context (tokens)")


def test_critical_dimensions_are_the_published_ones(ax: Axes) -> None:
    critical_dimensions([4096, 8192], bases=[1e4, 5e5], ax=ax)
    llama_2, llama_3 = ax.get_lines()[:2]
    assert np.asarray(llama_2.get_ydata())[0] == 92
    assert np.asarray(llama_3.get_ydata())[1] == 70
    assert llama_2.get_label() == "trained at 4,096 tokens"
    assert ax.get_ylabel() == "critical dimension (channels)"


def test_critical_bases_are_the_published_ones(ax: Axes) -> None:
    critical_bases(1e4, 4096, [8192, 16_384, 32_768, 65_536], ax=ax)
    found = np.asarray(ax.get_lines()[0].get_ydata())
    assert found.round().tolist() == [26784, 71738, 192144, 514640]
    assert ax.get_xlabel() == "context length wanted (tokens)"


def test_bad_arguments_are_refused(ax: Axes) -> None:
    with refuses(ValueError, "context_lengths", "(1,)"):
        base_bound([1024], ax=ax)
    with refuses(ValueError, "bases", "()"):
        effective_contexts(1e4, 1024, ax=ax)
    with refuses(ValueError, "limit", "0"):
        effective_contexts([1e3, 1e4], 0, ax=ax)
    with refuses(ValueError, "trained_lengths", "0"):
        critical_dimensions([], ax=ax)
    with refuses(ValueError, "base", "1.0"):
        critical_bases(1.0, 4096, [8192, 9000], ax=ax)

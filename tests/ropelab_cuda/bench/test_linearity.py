"""The line through times, and the step that must be seen; and its picture."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from ropelab_cuda.bench.linearity import LARGEST_STEP, POINTS, fit

ROOT = Path(__file__).parents[3]


def line(n: int) -> float:
    return 1.3 + 7.5e-4 * n


def test_points_reach_from_a_thousand_to_seventeen_million() -> None:
    assert (POINTS[0], POINTS[-1]) == (2**10, 2**24)
    assert len(POINTS) == 29


def test_a_line_has_no_step() -> None:
    found = fit(POINTS, [line(n) for n in POINTS])
    assert found.latency == pytest.approx(1.3)
    assert found.slope == pytest.approx(7.5e-4)
    assert found.step < 1e-9


@pytest.mark.parametrize("at", [4, 14, 24])
@pytest.mark.parametrize("jump", [0.80, 1.15])
def test_a_step_is_found_where_it_is(at: int, jump: float) -> None:
    times = [line(n) * (jump if i >= at else 1.0) for i, n in enumerate(POINTS)]
    found = fit(POINTS, times)
    assert found.step > LARGEST_STEP
    assert found.between == (POINTS[at - 1], POINTS[at])
    assert found.step == pytest.approx(abs(jump - 1.0), abs=0.07)


def test_no_latency_is_less_than_none() -> None:
    found = fit([1000, 2000, 4000], [0.9, 2.1, 4.4])
    assert found.latency == 0.0
    assert found.slope == pytest.approx(1.04e-3, rel=0.05)


def test_the_picture_is_drawn_from_the_json(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("figures", ROOT / "docs" / "figures.py")
    assert spec is not None
    assert spec.loader is not None
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    content = {
        "environment": {"card": "a card, 132 multiprocessors"},
        "heads": [8, 1, 128],
        "line": {"latency": 1.3, "slope": 7.5e-4, "step": 0.0, "between": [1024, 1536]},
        "points": [{"tokens": n, "median": line(n), "p10": 0.0, "p90": 0.0} for n in POINTS],
    }
    (tmp_path / "x-linearity.json").write_text(json.dumps(content))
    ax = Figure(figsize=(7.6, 3.6), layout="constrained").subplots()
    figures.draw_linearity(ax, tmp_path / "x-linearity.json")
    fitted, measured = (np.asarray(curve.get_ydata()) for curve in ax.lines)
    np.testing.assert_allclose(fitted, measured)
    assert "8/1 heads of 128, bfloat16, a card" in ax.get_title(loc="left")

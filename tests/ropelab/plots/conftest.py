"""Axes of a figure that no window shows."""

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure


@pytest.fixture
def ax() -> Axes:
    return Figure(figsize=(7.2, 4.4), layout="constrained").subplots()

"""Angles in plans: when they may be guessed, and where parameters hold what they come of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ropelab
from ropelab.scaling import DynamicNTK
from ropelab_cuda import parameters
from ropelab_cuda.launch_angles import Angles
from ropelab_cuda.lengths import spectrum_to_plan
from ropelab_cuda.position_sources import ConsecutiveSource, OffsetSource, PackedSource
from ropelab_cuda.views import View

IDS, OFFSETS = View(1 << 20, (3, 2, 5), (10, 5, 1), "int32"), View(1 << 21, (2,), (1,), "int64")
BOUNDS = View(1 << 22, (3,), (1,), "int32")
ROPE = ropelab.Rope(8, scaling=DynamicNTK(2.0), max_position_embeddings=16)
ON_DEVICE = spectrum_to_plan(ROPE)
ON_HOST = ropelab.Spectrum([1.0, 0.5, 0.25, 0.125])
MANY = ropelab.Spectrum(ON_HOST.inv_freq, axes=np.array([0, 1, 2, 0]))

SOURCES: dict[str, Any] = {
    "ids": View(1 << 20, (2, 5), (5, 1), "int32"),
    "number": ConsecutiveSource(OffsetSource(-7)),
    "offsets": ConsecutiveSource(OffsetSource(0, OFFSETS)),
    "pack": PackedSource(OffsetSource(-7), BOUNDS, 2, 1),
    "pack behind caches": PackedSource(OffsetSource(0, OFFSETS), BOUNDS, 2, 1),
}
ADDRESSES = {
    "ids": [1 << 20],
    "number": [],
    "offsets": [1 << 21],
    "pack": [1 << 22],
    "pack behind caches": [1 << 22, 1 << 21],
}


def structure_of(angles: Angles, kind: Any) -> Any:
    tokens = (5,) if isinstance(angles.source, PackedSource) else (2, 5)
    return angles.structure(kind, angles.rows(tokens), inverse=False)


@pytest.mark.parametrize(
    "kind", [parameters.rotary, parameters.norm_rotary, parameters.rotary_kv_cache]
)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("spectrum", [ON_HOST, ON_DEVICE], ids=["host", "device"])
def test_what_differs_between_calls_lies_where_the_plan_says(
    spectrum: Any, source: str, kind: Any
) -> None:
    angles = Angles.of(SOURCES[source], spectrum, "exact", "float32")
    structure = structure_of(angles, kind)
    words = memoryview(structure).cast("B").cast("q")
    others, numbers = angles.places(structure)
    of_spectrum = [ON_DEVICE.view.pointer] if spectrum is ON_DEVICE else []
    assert [words[at // 8] for at in others] == [*ADDRESSES[source], *of_spectrum]
    known = {"ids": [], "number": [-7], "pack": [-7]}
    assert [words[at // 8] for at in numbers] == known.get(source, [0])


@pytest.mark.parametrize(
    ("source", "spectrum", "can"),
    [
        ("ids", ON_HOST, True),
        ("pack", ON_HOST, True),
        ("number", MANY, True),  # text: one position on every axis
        ("ids", ON_DEVICE, False),  # which the predecessor may be about to write
        ("number", ON_DEVICE, False),
    ],
)
def test_when_angles_may_be_guessed(source: str, spectrum: Any, can: bool) -> None:
    assert Angles.of(SOURCES[source], spectrum, "exact", "float32").can_be_guessed == can


def test_ids_on_several_axes_are_not_guessed() -> None:
    angles = Angles.of(IDS, MANY, "exact", "float32")
    assert not angles.can_be_guessed
    assert angles.macros["POSITION_AXES"] == 3
    assert structure_of(angles, parameters.rotary).positions.axis_stride == 10

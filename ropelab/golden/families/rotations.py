"""Rotated tensors: every layout, format, dtype, angle pipeline and form of positions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from .. import tolerances
from ..cards import SMALL
from ..case import DTYPES, Case
from ..inputs import one_hot, positions
from ..operations import attest
from .common import ANGLES, EVERYWHERE, LAYOUTS
from .rotation import rotation

__all__ = ["cases"]

FORMS = {
    "shuffled": "PositionValues",
    "repeated": "PositionValues",
    "offset": "Offset",
    "negative": "LargeAngle",
    "row": "PositionValues",
    "column": "Indexing",
    "scalar": "Indexing",
    "int32": "TableEnd",
    "int16": "PositionValues",
    "uint8": "PositionValues",
}


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By layout and dtype.
    """
    for layout, dtype in product(LAYOUTS, DTYPES):
        same: dict[str, Any] = {"layout": layout}
        for angles, inverse in product(ANGLES, (False, True)):
            path = f"rotary/grid/{layout}/{angles}/{'inverse' if inverse else 'forward'}"
            flags = (*EVERYWHERE, "Pairing", *(("InverseOrInPlace",) if inverse else ()))
            options = {**same, "angles": angles, "inverse": inverse}
            yield rotation(path, dtype, flags=flags, shape=(1, 17, 3), form="grid", **options)
        for axes in ("bhsd", "sbhd"):
            path, flags = f"rotary/{axes}/{layout}", ("Indexing", "PositionValues")
            yield rotation(path, dtype, flags=flags, tensor_format=axes, **same)
        path = f"rotary/thd/{layout}"
        options = {**same, "shape": (7, 3), "tensor_format": "thd"}
        yield rotation(path, dtype, flags=("Offset", "Indexing"), **options)
        for form, flag in FORMS.items():
            yield rotation(f"rotary/{form}/{layout}", dtype, flags=(flag,), form=form, **same)
        path = f"rotary/partial/{layout}"
        yield rotation(path, dtype, flags=("PartialWidth", "Pairing"), rope="partial", **same)
        for rope in ("linear", "ntk_alpha", "llama3"):
            yield rotation(f"rotary/{rope}/{layout}", dtype, flags=("Pairing",), rope=rope, **same)
        for inverse in (False, True):
            path = f"rotary/scaled/{layout}/{'inverse' if inverse else 'forward'}"
            options = {**same, "factor": 1.2772588722239781, "inverse": inverse}
            yield rotation(path, dtype, flags=("Amplitude", "InverseOrInPlace"), **options)
        yield rotation(
            f"rotary/decode/{layout}",
            dtype,
            flags=("Indexing",),
            shape=(5, 1, 3),
            form="offset",
            **same,
        )
        for heads_k in (1, 2, 6):
            path = f"qk/{heads_k}-of-6/{layout}"
            options = {**same, "shape": (2, 3, 6), "heads_k": heads_k}
            yield rotation(path, dtype, flags=("Indexing", "Pairing"), **options)
        yield from _witnesses(layout, dtype)


def _witnesses(layout: str, dtype: str) -> Iterator[Case]:
    """Yield unit vectors, many position axes, and given tables."""
    for rope in ("default", "partial"):
        x = one_hot(SMALL[rope]["head_dim"], dtype)
        path, extra = f"rotary/one-hot-{rope}/{layout}", {"x": x}
        options: dict[str, Any] = {"rope": rope, "shape": (1, 1, 1), "form": "scalar"}
        flags = ("Pairing", "PartialWidth")
        yield rotation(path, dtype, flags=flags, layout=layout, arrays=extra, **options)
    for order, axes in (("chunked", [0, 0, 1, 1, 1, 2, 2, 2]), ("woven", [0, 1, 2, 0, 1, 2, 0, 0])):
        ids = np.stack([positions(form, 2, 3) for form in ("offset", "shuffled", "repeated")])
        extra = {"position_ids": ids, "axes": np.array(axes, np.int64)}
        path = f"rotary/axes-{order}/{layout}"
        yield rotation(path, dtype, flags=("Axes",), layout=layout, arrays=extra)
    source = rotation("table", dtype, flags=(), layout=layout)
    options = {"angles": "exact", "dtype": "float32", "attention_factor": 1.0}
    arrays = {name: source.arguments[name] for name in ("position_ids", "inv_freq")}
    tables = attest(Case("table", "cos_sin", arrays, options, source.tolerance))
    yield Case(
        f"cached/{layout}/{dtype}",
        "apply_rotary_cached",
        {"x": source.arguments["x"], **tables},
        {key: source.options[key] for key in ("layout", "tensor_format", "inverse")},
        tolerances.pair(dtype, "exact"),
        ("Pairing", "StaleState"),
    )

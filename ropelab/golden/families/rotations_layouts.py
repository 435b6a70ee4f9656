"""Where rotated channels come from and go to: two layouts, and channels behind an offset."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from .. import tolerances
from ..cards import SMALL
from ..case import DTYPES, Case
from ..inputs import one_hot
from ..operations import attest
from .common import ANGLES
from .rotation import rotation

__all__ = ["cases"]

CROSSINGS = (("half", "interleaved"), ("interleaved", "half"))
# Of a head of 24 with 12 rotated channels: the last ones, and ones with odd numbers of neighbours.
TRAILING, MIDDLE = 12, 5
_SHAPE = (2, 1, 3)


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By layouts and dtype.
    """
    for (source, target), dtype in product(CROSSINGS, DTYPES):
        yield from _crossings(source, target, dtype)
        yield from _offsets(source, dtype)


def _crossings(source: str, target: str, dtype: str) -> Iterator[Case]:
    """Yield cases whose pairs are put down in another layout than they came in."""
    words, flags = f"{source}-to-{target}", ("Pairing",)
    same: dict[str, Any] = {"layout": source, "output_layout": target, "shape": _SHAPE}
    partial = {**same, "rope": "partial"}
    for angles, inverse in product(ANGLES, (False, True)):
        path = f"rotary/{words}/{angles}/{'inverse' if inverse else 'forward'}"
        told = {**same, "angles": angles, "inverse": inverse}
        yield rotation(path, dtype, flags=(*flags, "InverseOrInPlace"), **told)
    for name, first in (("partial", 0), ("trailing", TRAILING), ("middle", MIDDLE)):
        for inverse in (False, True):
            path = f"rotary/{words}/{name}/{'inverse' if inverse else 'forward'}"
            told = {**partial, "rotary_offset": first, "inverse": inverse}
            yield rotation(path, dtype, flags=("Pairing", "PartialWidth"), **told)
    for axes, shape in (("bhsd", (2, 3, 4)), ("sbhd", (2, 3, 4)), ("thd", (5, 2))):
        told = {**partial, "rotary_offset": MIDDLE, "tensor_format": axes, "shape": shape}
        yield rotation(f"rotary/{words}/{axes}", dtype, flags=("Pairing", "Indexing"), **told)
    for heads_k in (1, 2):
        told = {**partial, "rotary_offset": TRAILING, "shape": (2, 1, 4), "heads_k": heads_k}
        path = f"qk/{words}/{heads_k}-of-4"
        yield rotation(path, dtype, flags=("Pairing", "Indexing"), **told)
    for rope, first in (("default", 0), ("partial", MIDDLE)):
        told = {**same, "rope": rope, "rotary_offset": first, "shape": (1, 1, 1), "form": "scalar"}
        extra = {"x": one_hot(SMALL[rope]["head_dim"], dtype)}
        path = f"rotary/{words}/one-hot-{rope}"
        yield rotation(path, dtype, flags=("Pairing", "PartialWidth"), arrays=extra, **told)
    yield from _cached(words, dtype, partial)


def _cached(words: str, dtype: str, same: dict[str, Any]) -> Iterator[Case]:
    """Yield rotations by given tables."""
    for inverse in (False, True):
        told = {**same, "rotary_offset": MIDDLE, "inverse": inverse}
        source = rotation("table", dtype, flags=(), **told)
        given = {name: source.arguments[name] for name in ("position_ids", "inv_freq")}
        asked = {"angles": "exact", "dtype": "float32", "attention_factor": 1.0}
        tables = attest(Case("table", "cos_sin", given, asked, source.tolerance))
        told = {
            name: value
            for name, value in source.options.items()
            if name not in ("angles", "attention_factor")
        }
        yield Case(
            f"cached/{words}/{'inverse' if inverse else 'forward'}/{dtype}",
            "apply_rotary_cached",
            {"x": source.arguments["x"], **tables},
            told,
            tolerances.pair(dtype, "exact"),
            ("Pairing", "PartialWidth"),
        )


def _offsets(layout: str, dtype: str) -> Iterator[Case]:
    """Yield cases of one layout whose rotated channels do not come first."""
    same: dict[str, Any] = {"layout": layout, "rope": "partial"}
    for (name, first), inverse in product(
        (("trailing", TRAILING), ("middle", MIDDLE)), (False, True)
    ):
        path = f"rotary/{name}/{layout}/{'inverse' if inverse else 'forward'}"
        told = {**same, "rotary_offset": first, "inverse": inverse, "shape": _SHAPE}
        yield rotation(path, dtype, flags=("PartialWidth", "InverseOrInPlace"), **told)
    told = {**same, "rotary_offset": TRAILING, "shape": (1, 1, 1), "form": "scalar"}
    extra = {"x": one_hot(SMALL["partial"]["head_dim"], dtype)}
    path = f"rotary/one-hot-trailing/{layout}"
    yield rotation(path, dtype, flags=("Pairing", "PartialWidth"), arrays=extra, **told)

"""Whether a notebook that was run again shows what is stored of it, as far as machines agree.

Words and whole numbers are equal; other numbers to one in the last digit that is printed, and those
as small as rounding errors whatever they are. Times, versions, errors in eps and what names a
machine are not compared. Pictures are alike if they differ in few points, as by another font.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import nbformat
import numpy as np
from numpy.typing import NDArray

from notebooks.stored import OF_A_MACHINE

__all__ = ["differences"]

PICTURE = "image/png"
FEW = 0.05  # of the points of a picture; all its letters cover some 2 %
FAINT = 32  # of 255, that a point's colour may change by
TINY = Decimal("1e-6")
SKIPPED = "SKIPPED"  # what a cell says that needs a GPU; with one, it says something else

NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.]*\d)")
OF_A_RUN = (
    OF_A_MACHINE,
    re.compile(r"\b\d+\.\d+\.\d+[\w.+-]*"),  # versions
    re.compile(r"\b\d[\d.,]* ?(?:[mnu\u00b5\u03bc]?s|min|eps)\b"),
)


def differences(fresh: str, stored: str) -> Iterator[str]:
    """Yield where a notebook, run again, shows something else than is stored.

    Parameters
    ----------
    fresh, stored : str
        Texts as `notebooks.stored.normalised` writes them.

    Yields
    ------
    str
        One difference, in words.
    """
    both = (nbformat.reads(text, as_version=4).cells for text in (fresh, stored))
    for new, old in zip_longest(*both):
        if new is None or old is None or new.source != old.source:
            yield f"{(new or old).id}: expected the cell that is stored; got another"
            return
        got, expected = (_shown(cell.get("outputs", ())) for cell in (new, old))
        if [kind for kind, _ in got] != [kind for kind, _ in expected]:
            kinds = [" and ".join(kind for kind, _ in side) or "none" for side in (expected, got)]
            yield f"{new.id}: expected outputs of {kinds[0]}; got {kinds[1]}"
            continue
        for (kind, now), (_, then) in zip(got, expected, strict=True):
            told = _of_pictures(now, then) if kind == PICTURE else _of_texts(now, then)
            if told is not None:
                yield f"{new.id}: {told}; or store what is shown now, by --write"


def _shown(outputs: list[nbformat.NotebookNode]) -> list[tuple[str, str]]:
    """Return what a cell shows, each with its kind; what is written to one stream is one text."""
    streams: dict[str, str] = {}
    others = []
    for output in outputs:
        if output.output_type == "stream":
            streams[output.name] = streams.get(output.name, "") + output.text
        else:
            others += [(kind, str(value)) for kind, value in sorted(output.get("data", {}).items())]
    return [*sorted(streams.items()), *others]


def _of_texts(got: str, expected: str) -> str | None:
    """Return how two texts differ, None if they do not."""
    if expected.startswith(SKIPPED):
        return None
    for new, old in zip_longest(got.splitlines(), expected.splitlines(), fillvalue=""):
        if not _alike(new, old):
            return f"expected {old!r}, as it is stored; got {new!r}"
    return None


def _alike(new: str, old: str) -> bool:
    for pattern in OF_A_RUN:
        new, old = pattern.sub("…", new), pattern.sub("…", old)
    # The widths of columns go with their numbers.
    words = [" ".join(NUMBER.sub(" # ", text).split()) for text in (new, old)]
    numbers = zip(NUMBER.findall(new), NUMBER.findall(old), strict=False)
    return words[0] == words[1] and all(_near(*two) for two in numbers)


def _near(new: str, old: str) -> bool:
    a, b = (Decimal(text.replace(",", "")) for text in (new, old))
    if a == b:
        return True
    if not re.search(r"[.e]", new + old):
        return False
    last: Any = max(a.as_tuple().exponent, b.as_tuple().exponent)
    return max(abs(a), abs(b)) < TINY or abs(a - b) <= Decimal(1).scaleb(last)


def _of_pictures(got: str, expected: str) -> str | None:
    """Return how two pictures differ, None if hardly."""
    if got == expected:
        return None
    new, old = _points(got), _points(expected)
    if new.shape != old.shape:
        sizes = ["{1} × {0}".format(*points.shape) for points in (old, new)]
        return f"expected a picture of {sizes[0]} points, as it is stored; got {sizes[1]}"
    share = float((np.abs(new - old).max(axis=-1) > FAINT).mean())
    if share <= FEW:
        return None
    return f"expected the picture that is stored; got one that differs in {share:.0%} of its points"


def _points(png: str) -> NDArray[np.int16]:
    from matplotlib.image import imread

    colours = np.asarray(imread(io.BytesIO(base64.b64decode(png)), format="png"))
    return np.asarray(np.rint(255.0 * colours[..., :3]), np.int16)

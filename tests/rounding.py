"""Numbers that tell one rounding from another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropelab.float8 import LARGEST
from ropelab.precision import stored_dtype, widen


def beside_numbers(name: str) -> NDArray[np.float64]:
    """Return numbers of a format, what lies halfway to the next ones, and what lies beside that."""
    if name in LARGEST:
        codes = np.arange(127).astype(np.uint8)
    else:
        codes = np.arange(0x80, 0x7B00, 77).astype(np.uint16)
    raw = stored_dtype(name)
    numbers, following = widen(codes.view(raw)), widen((codes + codes.dtype.type(1)).view(raw))
    numbers, following = numbers[np.isfinite(following)], following[np.isfinite(following)]
    halfway = (numbers + following) / 2
    around = [np.nextafter(halfway, 0.0), halfway, np.nextafter(halfway, np.inf)]
    beyond = LARGEST.get(name, 1.0) * np.array([1.03, 1.04, 1.5, 64.0])
    values = np.concatenate([numbers, *around, beyond, [np.inf, np.nan]])
    return np.concatenate([values, -values])

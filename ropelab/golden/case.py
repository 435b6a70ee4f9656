"""One golden case: what is asked, of which arguments, and how near an answer must come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..precision import RAW, format_name

__all__ = ["DTYPES", "STORED_DTYPES", "Array", "Case", "Tolerance", "bits_of", "dtype_name"]

Array = NDArray[Any]

DTYPES: Mapping[str, np.dtype[Any]] = {
    "float64": np.dtype(np.float64),
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": RAW["bfloat16"],
}
"""Of tensors that are rotated."""

STORED_DTYPES: Mapping[str, np.dtype[Any]] = {**DTYPES, **RAW}
"""Of results, which may be stored in 8 bits."""


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return the format's name, such as "bfloat16" for its raw bits."""
    return format_name(dtype)


def bits_of(array: Array) -> Array:
    """Return an array's raw bits as unsigned integers of the same width."""
    return np.ascontiguousarray(array).view(np.dtype(f"u{array.dtype.itemsize}"))


@dataclass(frozen=True)
class Tolerance:
    """How near is near enough.

    Parameters
    ----------
    metric : {"equal", "ulp", "pair"}
        ``"equal"``: bit for bit. ``"ulp"``: distance in units in the last place, an element.
        ``"pair"``: error of a pair divided by the pair's norm, in eps of `unit`.
    bound : float
        The largest allowed value of the metric.
    unit : str
        The format whose eps counts.
    why : str
        Where the bound comes from.
    differing : float, default 1.0
        The largest part of the elements that may differ from the golden at all; tells rounding
        to nearest from truncation, which also stays within one eps.
    """

    metric: str
    bound: float
    unit: str
    why: str
    differing: float = 1.0


@dataclass(frozen=True)
class Case:
    """One golden case.

    Parameters
    ----------
    id : str
        Stable for ever.
    op : str
        The question's kind, one of `ropelab.golden.operations.OPERATIONS`.
    arguments : mapping of str to ndarray
        Arrays, by argument name.
    options : mapping of str to JSON value
        Everything else that the function is told.
    tolerance : Tolerance
        For every array expected.
    flags : tuple of str
        The bugs that the case exists to catch; explained in `ropelab.golden.flags`.
    """

    id: str
    op: str
    arguments: Mapping[str, Array]
    options: Mapping[str, Any]
    tolerance: Tolerance
    flags: tuple[str, ...] = ()

    @property
    def dtype(self) -> str:
        """Format of the numbers asked for: by default that of the tensors rotated."""
        for name in ("x", "q"):
            if name in self.arguments and "dtype" not in self.options:
                return dtype_name(self.arguments[name].dtype)
        return str(self.options.get("dtype", "float64"))

"""Tensors rotated by YaRN's frequencies and lengthened by its attention factor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from ..cards import SMALL
from ..case import DTYPES, Case
from ..operations import attest
from .common import LAYOUTS, spectrum_case
from .rotation import rotation

__all__ = ["cases"]


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By rule, layout and dtype; DeepSeek's are asked for the way back, too.
    """
    for (rope, inverse), layout, dtype in product(
        (("yarn", False), ("deepseek_yarn", False), ("deepseek_yarn", True)), LAYOUTS, DTYPES
    ):
        factor = float(attest(spectrum_case(rope, SMALL[rope], None))["factors"][0])
        yield rotation(
            f"rotary/{rope}/{layout}{'/inverse' if inverse else ''}",
            dtype,
            flags=("Amplitude", "FrequencyRule"),
            rope=rope,
            layout=layout,
            inverse=inverse,
            factor=factor,
        )

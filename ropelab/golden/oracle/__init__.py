"""The independent witness: arbitrary-precision arithmetic, written from the papers.

Nothing here imports a formula of the specification, nor NumPy's mathematics: frequencies,
phases, cosines and rotations are mpmath numbers until one last rounding, and channels are found
by index arithmetic. Agreement of two such different texts is what makes a golden believable.
"""

from .amplitudes import query_scale, xpos
from .lengths import dynamic_lengths
from .norm import normed
from .numbers import PRECISION_BITS, exactly, from_bits, rounded
from .rotation import cosines, pair, permuted, phases, rotated, turns
from .rules import amplitudes, frequencies, integers

__all__ = [
    "PRECISION_BITS",
    "amplitudes",
    "cosines",
    "dynamic_lengths",
    "exactly",
    "frequencies",
    "from_bits",
    "integers",
    "normed",
    "pair",
    "permuted",
    "phases",
    "query_scale",
    "rotated",
    "rounded",
    "turns",
    "xpos",
]

"""Plans for xPos: those of a rotation, with a decay."""

from __future__ import annotations

from dataclasses import replace
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from typing import NamedTuple

from . import parameters
from .launch import Plan, specialise

__all__ = ["Decay", "with_decay"]

# A double-double has 32 digits; the largest exponents have four before the point.
CONTEXT = Context(prec=45)
# Where the fastest decay is beyond any exponent after one token; finite, since a distance may be 0.
FASTEST = Decimal(2) ** 900
# Heads that a thread has in flight: of more, NVRTC computes several at once, in double, and then
# needs twice the registers, or spills.
MOST_UNROLL = 3


class Decay(NamedTuple):
    """How xPos scales.

    Parameters
    ----------
    scale_base : float
        Tokens after which a pair has decayed by its whole base.
    centre : int
        Position at which nothing is scaled.
    """

    scale_base: float
    centre: int


def with_decay(plan: Plan, decay: Decay) -> Plan:
    """Return the plan of a rotation that also scales: queries by a decay, keys by its inverse.

    Parameters
    ----------
    plan : Plan
        Of rotary.cu, for queries and keys and one position axis.
    decay : Decay
        The decay.

    Returns
    -------
    Plan
        What to launch.

    Raises
    ------
    ValueError
        If there are too many frequencies.
    """
    macros = dict(plan.specialisation.defines)
    pairs = int(macros["PAIRS"])
    macros["UNROLL"] = min(int(macros["UNROLL"]), MOST_UNROLL)
    structure = parameters.rotary_xpos(type(plan.parameters), pairs)()
    structure.rotary = plan.parameters
    structure.decay.centre = decay.centre
    structure.decay.centre_word = decay.centre % 2**64
    structure.decay.rate[:], structure.decay.rate_rest[:] = _rates(pairs, decay.scale_base)
    return replace(
        plan,
        specialisation=specialise("rotary_xpos", macros, structure),
        grid=(*plan.grid[:2], 2),
        parameters=structure,
    )


@lru_cache(maxsize=64)
def _rates(pairs: int, scale_base: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return log2(zeta) / B of each pair, and what the rounding to float64 lost of it."""
    with localcontext(CONTEXT):
        unit = Decimal(scale_base) * Decimal(2).ln()
        exact = [(Decimal(10 * i + 4 * pairs) / (14 * pairs)).ln() / unit for i in range(pairs)]
        exact = [max(rate, -FASTEST) for rate in exact]
        rates = tuple(float(rate) for rate in exact)
        rests = tuple(
            float(rate - Decimal(rounded)) for rate, rounded in zip(exact, rates, strict=True)
        )
    return rates, rests

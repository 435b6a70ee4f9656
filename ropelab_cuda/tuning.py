"""How the threads of a rotation share its work: a rule that looks at shapes alone."""

from __future__ import annotations

import math
from typing import NamedTuple

from .launch import MAX_THREADS, MAX_TOKENS, Macros
from .work import Work

__all__ = ["Tuning", "choose_tuning"]

MULTIPROCESSORS = 132  # of an H200
SHARED_BYTES = 48 << 10  # of a block, without asking the driver for more
WARP = 32


class Tuning(NamedTuple):
    """One way to share the work; every choice gives the same bits.

    Parameters
    ----------
    lanes : int
        Threads that share the heads of a token.
    tokens : int
        Tokens of a block.
    unroll : int
        Heads that a thread has in flight.
    head_blocks : int
        Blocks that share the heads of a token.
    angles_first : bool
        Whether angles are computed while the predecessor still runs, before anything is loaded.
    """

    lanes: int
    tokens: int
    unroll: int
    head_blocks: int = 1
    angles_first: bool = False

    @property
    def macros(self) -> Macros:
        """The part of it that is compiled in."""
        return {
            "LANES": self.lanes,
            "TOKENS": self.tokens,
            "UNROLL": self.unroll,
            "HEAD_BLOCKS": self.head_blocks,
            "ANGLES_FIRST": int(self.angles_first),
        }


def choose_tuning(work: Work) -> Tuning:
    """Return how to share some work.

    Parameters
    ----------
    work : Work
        The tensors.

    Returns
    -------
    Tuning
        A choice that fits into a block.

    Raises
    ------
    ValueError
        If the angles of a single token do not fit.
    """
    heads = sum(work.heads)
    fitting = SHARED_BYTES // work.angle_bytes
    if not fitting:
        msg = (
            f"spectrum: expected angles that fit into {SHARED_BYTES} bytes of shared memory; got "
            f"{work.angle_bytes} bytes a token; rotate fewer channels"
        )
        raise ValueError(msg)
    # Measured on an H200 (docs/performance.md). Short-lived blocks win: about four heads a thread,
    # and whole warps, so that the last blocks do not keep the device waiting. With too few tokens
    # to fill it, two heads a thread.
    few = work.outer * work.inner < 8 * MULTIPROCESSORS
    lanes = -(-heads // 2) if few else min(heads // 4, 12)
    lanes = max(1, min(lanes, (MAX_THREADS if few else 256) // work.across))
    whole = WARP // math.gcd(WARP, work.across)  # lanes that make whole warps
    lanes -= lanes % whole if lanes > whole else 0
    tokens = max(1, min(2 * WARP // (work.across * lanes), work.inner, fitting, MAX_TOKENS))
    # Two heads in flight, or all of a small odd number; wider elements count for more.
    each = -(-heads // lanes)
    unroll = each if each in (3, 5) else 2
    return Tuning(lanes, tokens, unroll if work.item_bytes == 2 else 1)

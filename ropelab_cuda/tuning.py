"""How the threads of a rotation share its work: a rule that looks at shapes alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .launch import MAX_TOKENS, Macros
from .work import MULTIPROCESSORS, Work

__all__ = ["Tuning", "choose_tuning"]

SHARED_BYTES = 48 << 10  # of a block, without asking the driver for more
WARP = 32
MOST_THREADS = 256  # of a block
MOST_THREADS_OF_FEW, MOST_LANES_OF_FEW = 320, 20  # where tokens are few
IN_FLIGHT = 96  # bytes of a thread


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
    guesses : bool
        Whether positions may be read before the predecessors are done.
    few_tokens : bool
        Whether kernels follow each other faster than one takes; see angles.cuh.
    """

    lanes: int
    tokens: int
    unroll: int
    head_blocks: int = 1
    guesses: bool = False
    few_tokens: bool = False

    @property
    def macros(self) -> Macros:
        """The part of it that is compiled in."""
        return {
            "LANES": self.lanes,
            "TOKENS": self.tokens,
            "UNROLL": self.unroll,
            "HEAD_BLOCKS": self.head_blocks,
            "GUESSES": int(self.guesses),
            "FEW_TOKENS": int(self.few_tokens),
            "MULTIPROCESSORS": MULTIPROCESSORS,
        }


def choose_tuning(work: Work, *, guesses: bool) -> Tuning:
    """Return how to share some work.

    Measured on an H100 and an H200 (docs/performance.md): a thread has all of its heads in flight
    at once, four or five of 16 bytes; whole warps, and blocks that live shortly, so that the last
    ones do not keep the device waiting. Where there are too few tokens to fill it, a thread has one
    head, and several blocks share a token.

    Parameters
    ----------
    work : Work
        The tensors.
    guesses : bool
        Whether positions may be read before the predecessors are done.

    Returns
    -------
    Tuning
        A choice that fits into a block.

    Raises
    ------
    ValueError
        If the angles of a single token do not fit.
    """
    heads, across = max(1, sum(work.heads)), work.across
    fitting = SHARED_BYTES // work.angle_bytes
    if not fitting:
        msg = (
            f"spectrum: expected angles that fit into {SHARED_BYTES} bytes of shared memory; got "
            f"{work.angle_bytes} bytes a token; rotate fewer channels"
        )
        raise ValueError(msg)
    if work.has_few_tokens:
        most = max(1, min(MOST_LANES_OF_FEW, MOST_THREADS_OF_FEW // across))
        blocks = -(-heads // most)
        return Tuning(-(-heads // blocks), 1, 1, blocks, guesses, few_tokens=True)
    unroll = min(range(1, 1 + IN_FLIGHT // work.held_bytes), key=_cost(heads, across))
    lanes = max(1, min(-(-heads // unroll), MOST_THREADS // across))
    tokens = max(1, min(2 * WARP // (across * lanes), work.inner, fitting, MAX_TOKENS))
    return Tuning(lanes, tokens, unroll, 1, guesses)


def _cost(heads: int, across: int) -> Callable[[int], tuple[bool, bool, bool, float]]:
    """Return what speaks against a number of heads in flight, the worst first."""

    def cost(unroll: int) -> tuple[bool, bool, bool, float]:
        threads = across * -(-heads // unroll)
        return threads > MOST_THREADS, heads % unroll > 0, threads % WARP > 0, abs(unroll - 4.25)

    return cost

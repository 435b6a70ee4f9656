"""How the threads of a rotation share its work: a rule that looks at shapes alone."""

from __future__ import annotations

from typing import NamedTuple

from .launch import MAX_HEAD_BLOCKS, MAX_THREADS, MAX_TOKENS, Macros
from .work import HEADS_IN_FLIGHT, MANY_PAIRS, MULTIPROCESSORS, Work

__all__ = ["HEADS_BEHIND_ANGLES", "Tuning", "choose_tuning"]

SHARED_BYTES = 48 << 10  # of a block, without asking the driver for more
WARP = 32
FEWEST_THREADS, MOST_THREADS = 64, 192  # of a block
MOST_THREADS_OF_FEW, MOST_LANES_OF_FEW = 320, 20  # where tokens are few
IN_FLIGHT, MOST_IN_FLIGHT, MOST_UNROLL = 128, 192, 8  # bytes of a thread, and heads
HEADS_BEHIND_ANGLES = 5  # in flight, where tables are read or decays computed before they turn
MOST_WASTE = 0.10  # threads that a block's warps may lack


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
    loads_first : bool
        Whether late blocks load before they compute angles; see angles.cuh.
    """

    lanes: int
    tokens: int
    unroll: int
    head_blocks: int = 1
    guesses: bool = False
    few_tokens: bool = False
    loads_first: bool = False

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
            "LOADS_FIRST": int(self.loads_first),
            "MULTIPROCESSORS": MULTIPROCESSORS,
        }


def choose_tuning(work: Work, *, guesses: bool, in_flight: int = HEADS_IN_FLIGHT) -> Tuning:
    """Return how to share some work.

    Measured on an H200 (docs/performance.md): each thread has some four heads in flight, or, where
    channels pass through, as many as its registers hold; and blocks of 64 to 192 threads fill their
    warps. Then an unroll that divides the heads is best, and small blocks, so that the last ones do
    not keep the device waiting. Where there are too few tokens to fill it, a thread has one head,
    and several blocks share a token.

    Parameters
    ----------
    work : Work
        The tensors.
    guesses : bool
        Whether positions may be read before the predecessors are done.
    in_flight : int, default HEADS_IN_FLIGHT
        Heads that a thread has in flight, if its registers hold them: more where more comes before
        the rotation, for which they have to wait.

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
        blocks = min(-(-heads // most), MAX_HEAD_BLOCKS)
        return Tuning(min(most, -(-heads // blocks)), 1, 1, blocks, guesses, few_tokens=True)
    few = max(1, min(IN_FLIGHT // work.held_bytes, in_flight))
    most_tokens = max(1, min(work.inner, fitting, MAX_TOKENS))
    most = max(1, min(heads, MOST_IN_FLIGHT // work.held_bytes, MOST_UNROLL))
    wanted = most if work.macros["TAIL"] else few
    choices = range(min(most, max(2, wanted // 2)), most + 1)
    limits = most_tokens, MOST_THREADS
    # A thread of many pairs reads many cosines, for which fewer heads would be too few.
    fewest = few if work.macros["PAIRS_HELD"] == MANY_PAIRS else 1
    unroll = min(choices, key=lambda unroll: _cost(unroll, fewest, wanted, heads, across, limits))
    lanes = max(1, min(-(-heads // unroll), MAX_THREADS // across))
    unroll = min(unroll, -(-heads // lanes))  # no more than so many threads need
    tokens = _tokens(lanes * across, limits)
    return Tuning(lanes, tokens, unroll, 1, guesses, loads_first=guesses and work.in_pieces)


def _tokens(threads: int, limits: tuple[int, int]) -> int:
    """Return the fewest tokens of so many threads that fill a block and its warps."""
    most, most_threads = limits
    enough = range(min(-(-FEWEST_THREADS // threads), most), most + 1)
    fitting = [tokens for tokens in enough if tokens * threads <= max(most_threads, threads)]
    return next((n for n in fitting if _waste(n * threads) <= MOST_WASTE), min(enough))


def _waste(threads: int) -> float:
    """Return which share of the warps' threads is missing."""
    return 1 - threads / (-(-threads // WARP) * WARP)


def _cost(
    unroll: int, fewest: int, wanted: int, heads: int, across: int, limits: tuple[int, int]
) -> tuple[int, bool, bool, bool, bool, int]:
    """Return what speaks against a number of heads in flight, the worst first."""
    threads = across * -(-heads // unroll)
    tokens = _tokens(threads, limits)
    wasteful = _waste(threads * tokens) > MOST_WASTE
    too_many = max(0, threads - limits[1])
    divides, far = heads % unroll == 0, abs(unroll - wanted)
    return too_many, wasteful, tokens > 1, unroll < fewest, not divides, far

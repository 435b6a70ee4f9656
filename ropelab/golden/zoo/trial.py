"""Trying mutants: which goldens reject one, and how clearly."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, cast

from ..case import DTYPES
from ..files import Golden
from ..implementation import SPECIFICATION, Implementation
from ..operations import OVERWRITTEN
from ..verification import Result, verify
from .mutant import ROTATIONS, Mutant

__all__ = ["Trial", "family", "kills", "margin", "margins"]


def family(case_id: str) -> str:
    """Return the family of a case: the first part of its id.

    Parameters
    ----------
    case_id : str
        The id.

    Returns
    -------
    str
        What comes before the first slash.
    """
    return case_id.partition("/")[0]


class _Recorder:
    """The specification, which notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.asked.add(name)
        return getattr(SPECIFICATION, name)


def _functions_asked(golden: Golden) -> frozenset[str]:
    recorder = _Recorder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verify([golden], cast("Implementation", recorder))
    return frozenset(recorder.asked)


class Trial:
    """The goldens, ready to try mutants; each is asked only the cases that its bug can reach.

    Parameters
    ----------
    goldens : iterable of Golden
        All of them.
    """

    def __init__(self, goldens: Iterable[Golden]) -> None:
        self._goldens = [(golden, _functions_asked(golden)) for golden in goldens]

    @property
    def families(self) -> tuple[str, ...]:
        """Every family of cases, in the order of the goldens."""
        return tuple(dict.fromkeys(family(golden.case.id) for golden, _ in self._goldens))

    def results(self, mutant: Mutant) -> list[Result]:
        """Ask a mutant every case that calls a function it has wrong.

        Parameters
        ----------
        mutant : Mutant
            The suspect.

        Returns
        -------
        list of Result
            One a case asked, in order.
        """
        reached = [golden for golden, asked in self._goldens if asked & mutant.changes]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a mutant may well be warned
            return verify(reached, mutant.fresh())


def kills(results: Iterable[Result]) -> Mapping[str, int]:
    """Return how many cases of each family reject a mutant.

    Parameters
    ----------
    results : iterable of Result
        From `Trial.results`.

    Returns
    -------
    mapping of str to int
        By family; families that do not reject it are left out.
    """
    return Counter(family(result.case.id) for result in results if not result.passed)


def margins(results: Iterable[Result]) -> dict[str, float]:
    """Return, for each dtype, how many times a mutant's worst error exceeds the tolerance.

    Parameters
    ----------
    results : iterable of Result
        From `Trial.results`; only rotated tensors count.

    Returns
    -------
    dict of str to float
        By dtype of the result, 8 bits apart; more than 1 is a rejection, infinity one that needs no
        tolerance.
    """
    worst = dict.fromkeys(DTYPES, 0.0)
    for result in results:
        case = result.case
        if case.arguments.keys() & {"x", "q"} and case.tolerance.metric == "pair":
            worst[case.dtype] = max(worst.get(case.dtype, 0.0), result.share)
    return {dtype: worst[dtype] for dtype in DTYPES}


def margin(mutant: Mutant, results: Iterable[Result]) -> float:
    """Return how clearly a mutant is rejected, in units of the tolerance.

    Parameters
    ----------
    mutant : Mutant
        The suspect.
    results : iterable of Result
        From `Trial.results`.

    Returns
    -------
    float
        For a bug of rotations the smallest of `margins`, since it must fall in every dtype;
        for any other the largest. More than 1 is a rejection. A crash is none, and neither is
        bad input that gets through: a bug is to be known by its numbers.
    """
    answered = [
        result
        for result in results
        if result.case.op != "refused" and (not result.message or OVERWRITTEN in result.message)
    ]
    if mutant.changes & ROTATIONS:
        return min(margins(answered).values())
    return max((result.share for result in answered), default=0.0)

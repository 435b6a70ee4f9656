"""The check: files against checksums, files against the oracle, an implementation against files."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import mpmath
import numpy as np

from .case import Case
from .compare import differing, distance
from .families import catalogue
from .files import DIRECTORY, Golden, integrity, load, manifest_of, packed, write
from .implementation import SPECIFICATION, Implementation
from .operations import attest, run

__all__ = ["MINIMUM_CASES", "Result", "attestation", "check", "freeze_new", "verify"]

# A floor, so that a run that finds nothing to check cannot pass.
MINIMUM_CASES = 400

T = TypeVar("T")
Track = Callable[[Iterable[T]], Iterable[T]]


def _silently(items: Iterable[T]) -> Iterable[T]:
    return items


@dataclass(frozen=True)
class Result:
    """How one case went: its error, why there is none, and the part of elements that differ."""

    case: Case
    error: float
    message: str = ""
    differing: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the case's own tolerance is kept."""
        allowed = self.case.tolerance
        within = self.error <= allowed.bound and self.differing <= allowed.differing
        return within and not self.message

    @property
    def share(self) -> float:
        """How much of the tolerance is used; without a bound, the error itself."""
        allowed = self.case.tolerance
        error = self.error / allowed.bound if allowed.bound else self.error
        return max(error, self.differing / allowed.differing)


def verify(
    goldens: Iterable[Golden], implementation: Implementation = SPECIFICATION
) -> list[Result]:
    """Ask an implementation every case.

    Parameters
    ----------
    goldens : iterable of Golden
        From `ropelab.golden.files.load`.
    implementation : Implementation
        By default the specification.

    Returns
    -------
    list of Result
        One a golden, in order; an exception is a failure with its text.
    """
    results = []
    for golden in goldens:
        try:
            given = (golden.case, golden.expected, run(golden.case, implementation))
            error = distance(*given)
            part = differing(*given) if error < math.inf else 0.0
            results.append(Result(golden.case, error, differing=part))
        except Exception as raised:  # whatever a foreign implementation raises
            message = f"{type(raised).__name__}: {raised}"
            results.append(Result(golden.case, math.inf, message))
    return results


def attestation(directory: Path = DIRECTORY, track: Track[Any] = _silently) -> list[str]:
    """Derive every file anew from the case definitions and the oracle; compare all bytes.

    Parameters
    ----------
    directory : Path
        Where the goldens are.
    track : callable
        Wraps the iteration over cases, for a progress bar.

    Returns
    -------
    list of str
        One line a problem.
    """
    manifest = manifest_of(directory)
    defined = {case.id: case for case in catalogue()}
    listed = [row["id"] for row in manifest["cases"]]
    problems = [f"{name}: defined, but not frozen" for name in defined if name not in set(listed)]
    problems += [f"{name}: frozen, but no longer defined" for name in listed if name not in defined]
    if problems:
        return problems
    goldens = [Golden(defined[name], attest(defined[name])) for name in track(listed)]
    for name, content in packed(goldens, manifest["provenance"]).items():
        path = directory / name
        if not path.is_file() or path.read_bytes() != content:
            problems.append(f"{name}: differs from what the oracle derives")
    return problems


def freeze_new(directory: Path = DIRECTORY, track: Track[Any] = _silently) -> list[str]:
    """Add the cases that are defined but not frozen yet; never change a frozen one.

    Parameters
    ----------
    directory : Path
        Where the goldens are.
    track : callable
        As in `attestation`.

    Returns
    -------
    list of str
        The ids added; if empty, nothing was written.
    """
    manifest = manifest_of(directory)
    frozen = [row["id"] for row in manifest["cases"]]
    new = [case for case in catalogue() if case.id not in set(frozen)]
    if not new:
        return []
    goldens = load(directory) if frozen else []
    goldens += [Golden(case, attest(case)) for case in track(new)]
    versions = {
        "cases": [len(frozen), len(goldens)],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "mpmath": mpmath.__version__,
    }
    write(directory, packed(goldens, [*manifest["provenance"], versions]))
    return [case.id for case in new]


def check(
    directory: Path = DIRECTORY,
    implementation: Implementation = SPECIFICATION,
    *,
    oracle: bool = True,
    track: Track[Any] = _silently,
) -> tuple[list[str], list[Result]]:
    """Check the goldens and an implementation against them.

    Parameters
    ----------
    directory : Path
        Where the goldens are.
    implementation : Implementation
        By default the specification.
    oracle : bool, default True
        Whether to derive everything anew from the oracle, which takes seconds.
    track : callable
        As in `attestation`.

    Returns
    -------
    problems : list of str
        What is wrong with the files; empty if nothing is.
    results : list of Result
        One a case; none if the files are not as they were frozen.
    """
    problems = integrity(directory)
    if problems:
        return problems, []
    results = verify(load(directory), implementation)
    if len(results) < MINIMUM_CASES:
        problems.append(f"expected at least {MINIMUM_CASES} cases; found {len(results)}")
    if oracle:
        problems += attestation(directory, track)
    return problems, results

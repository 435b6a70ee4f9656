"""The questions that goldens ask, one file a kind, each with the oracle's way to answer it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

import numpy as np

from ..case import Array, Case
from ..implementation import Implementation
from .base import Answers, Operation

__all__ = ["OPERATIONS", "OVERWRITTEN", "Operation", "attest", "run"]

OVERWRITTEN = "was overwritten"
"""What the error of `run` says of an argument that an implementation wrote into."""

_modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
_known: dict[str, Operation] = {
    name: operation
    for module in _modules
    for name, operation in getattr(module, "OPERATIONS", {}).items()
}


def _ask_refused(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    """Ask what must be refused; the answer is whether the named error was raised."""
    errors = {"TypeError": TypeError, "ValueError": ValueError}
    try:
        _known[case.options["call"]].ask(case, arrays, asked)
    except (TypeError, ValueError) as error:
        return {"refused": np.array([isinstance(error, errors[case.options["error"]])])}
    return {"refused": np.array([False])}


def _attest_refused(_: Case) -> Answers:
    return {"refused": np.array([True])}


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {**_known, "refused": Operation(_ask_refused, _attest_refused)}
)
"""Every operation by the name that the manifest gives it."""


def attest(case: Case) -> dict[str, Array]:
    """Return the expected arrays of a case, by name.

    Parameters
    ----------
    case : Case
        The question.

    Returns
    -------
    dict of str to ndarray
        Correctly rounded answers of the oracle.
    """
    return OPERATIONS[case.op].attest(case)


def run(case: Case, implementation: Implementation) -> dict[str, Array]:
    """Return what an implementation answers to a case.

    Parameters
    ----------
    case : Case
        The question. Its arrays are copied first, so that an implementation cannot spoil them.
    implementation : Implementation
        Whom to ask.

    Returns
    -------
    dict of str to ndarray
        Answers by name.

    Raises
    ------
    AssertionError
        If the implementation wrote into its arguments.
    """
    arrays = {name: array.copy() for name, array in case.arguments.items()}
    answers = OPERATIONS[case.op].ask(case, arrays, implementation)
    for name, array in arrays.items():
        if array.tobytes() != case.arguments[name].tobytes():
            msg = f"{case.id}: the argument {name} {OVERWRITTEN}"
            raise AssertionError(msg)
    return answers

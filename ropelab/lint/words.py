"""Sentences that several kinds of defect share: what to write, and where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["joined", "written"]


def written(values: Mapping[str, Any], place: str = "the config") -> str:
    """Return the order to write keys.

    Parameters
    ----------
    values : mapping
        Keys and their values.
    place : str, default "the config"
        The dictionary that they belong into.

    Returns
    -------
    str
        As in a config.json.

    Examples
    --------
    >>> written({"factor": 4.0, "truncate": False}, "rope_scaling")
    'write "factor": 4.0, "truncate": false in rope_scaling'
    """
    pairs = ", ".join(f'"{key}": {json.dumps(value)}' for key, value in values.items())
    return f"write {pairs} in {place}"


def joined(names: list[str]) -> str:
    """Return names in quotes, with "or" before the last.

    Parameters
    ----------
    names : list of str
        At least one.

    Returns
    -------
    str
        For a sentence.

    Examples
    --------
    >>> joined(["a", "b", "c"])
    '"a", "b" or "c"'
    """
    *first, last = (f'"{name}"' for name in names)
    return f"{', '.join(first)} or {last}" if first else last

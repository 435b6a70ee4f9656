"""What reading a foreign config gives: a Rope, and what its reader should know beside it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..rope import Rope

__all__ = ["Finding", "Findings", "LayersReading", "Reading", "warn_of"]


@dataclass(frozen=True)
class Finding:
    """One thing that a Rope does not show: a key not read, a value assumed, a disagreement settled.

    Parameters
    ----------
    key : str
        The key of the config that it is about.
    message : str
        One sentence for the user, which `str` returns.
    kind : str, default ""
        One of `ropelab.lint.KINDS`, of findings that the Transformers dialect makes.

    Examples
    --------
    >>> print(Finding("beta_fast", "rope_type 'linear' does not read beta_fast"))
    rope_type 'linear' does not read beta_fast
    """

    key: str
    message: str
    kind: str = ""

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Reading:
    """A config as read.

    Parameters
    ----------
    rope : Rope or None
        None if the config says that the model, or this layer, has no rotary embedding.
    findings : tuple of Finding
        In the order in which they were made; empty if there is nothing to tell.
    """

    rope: Rope | None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class LayersReading:
    """A config as read, for each kind of the model's layers.

    Parameters
    ----------
    ropes : mapping of str to Rope or None
        By the kind's name; None for layers without a rotary embedding.
    findings : tuple of Finding
        Of all kinds together, in the order in which they were made.
    """

    ropes: Mapping[str, Rope | None]
    findings: tuple[Finding, ...] = ()


class Findings(list[Finding]):
    """A list of findings that a reader's helpers add to."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[Finding] = set()

    def add(self, key: str, message: str, kind: str = "") -> None:
        """Add a finding about a key, unless it is there already."""
        finding = Finding(key, message, kind)
        if finding not in self._seen:
            self._seen.add(finding)
            self.append(finding)


def warn_of(findings: Iterable[Finding]) -> None:
    """Warn of each finding, at the line that called the caller.

    Parameters
    ----------
    findings : iterable of Finding
        Those of a `Reading`.

    Warns
    -----
    UserWarning
        Once a finding.
    """
    for finding in findings:
        warnings.warn(str(finding), UserWarning, stacklevel=3)

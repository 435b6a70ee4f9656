"""What a kind of defect is: how bad, why it is one, and the check that finds it in a config."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .subject import Subject

__all__ = ["SEVERITIES", "Check", "Defect", "Finding", "Kind", "Severity", "kind"]

Severity = Literal["error", "warning", "note"]

SEVERITIES: dict[Severity, str] = {
    "error": "No rotary embedding can be made of the config.",
    "warning": "A rotary embedding can be made of the config, but hardly the one that is meant.",
    "note": "Nothing is wrong with the config; something is worth knowing before it is used.",
}
"""What each severity says, the worst first."""


class Defect(NamedTuple):
    """What a check finds."""

    message: str
    fix: str
    keys: tuple[str, ...]


Check = Callable[[Subject], Iterator[Defect]]


@dataclass(frozen=True)
class Finding:
    """One defect of one config.

    Parameters
    ----------
    kind : str
        Its kind, one of `ropelab.lint.KINDS`.
    severity : {"error", "warning", "note"}
        That of its kind.
    message : str
        What is found in this config.
    reason : str
        Why it matters, and who says so.
    fix : str
        What to write instead.
    keys : tuple of str
        The keys of the config that it is about; those that are missing, too.

    Examples
    --------
    >>> print(Finding("two-bases", "warning", "10000 and 500000", "One is lost.", "keep one", ()))
    warning: 10000 and 500000 [two-bases]
    """

    kind: str
    severity: Severity
    message: str
    reason: str
    fix: str
    keys: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.severity}: {self.message} [{self.kind}]"


@dataclass(frozen=True)
class Kind:
    """A kind of defect.

    Parameters
    ----------
    name : str
        Its id, in words with dashes.
    severity : {"error", "warning", "note"}
        How bad it is; see `SEVERITIES`.
    title : str
        What is wrong, in a few words.
    reason : str
        Why that matters, in a sentence or two.
    source : str
        Who says so: a paper, a thread as repo#issue or repo!pull, or the code read.
    check : callable
        Yields a `Defect` for each that a `Subject` has.
    """

    name: str
    severity: Severity
    title: str
    reason: str
    source: str
    check: Check = field(repr=False)

    def findings(self, subject: Subject) -> Iterator[Finding]:
        """Yield what the check finds.

        Parameters
        ----------
        subject : Subject
            A config taken in.

        Yields
        ------
        Finding
            Each defect of this kind.
        """
        for message, fix, keys in self.check(subject):
            reason = f"{self.reason} ({self.source})"
            yield Finding(self.name, self.severity, message, reason, fix, keys)


def kind(severity: Severity, *, reason: str, source: str) -> Callable[[Check], Kind]:
    """Make a kind of a check, which gives it its name and, by its docstring, the title.

    Parameters
    ----------
    severity, reason, source : str
        As in `Kind`.

    Returns
    -------
    callable
        The decorator.
    """

    def _made(check: Check) -> Kind:
        name = check.__name__.replace("_", "-")
        title = (check.__doc__ or "").removeprefix("Find ").rstrip(".")
        return Kind(name, severity, title, reason, source, check)

    return _made

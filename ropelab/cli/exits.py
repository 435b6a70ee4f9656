"""The exit codes, each with what it says; ``ropelab --help`` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "EXITS",
    "INTERNAL",
    "INTERRUPTED",
    "MISSING",
    "NO",
    "PIPE",
    "REFUSED",
    "UNREADABLE",
    "USAGE",
    "YES",
]

YES, NO, USAGE, UNREADABLE, REFUSED, MISSING = range(6)
INTERNAL, INTERRUPTED, PIPE = 70, 130, 141

EXITS: Mapping[int, str] = MappingProxyType(
    {
        YES: "done; where a question was asked, the answer is yes",
        NO: "the answer is no: lint found a defect, diff a difference, models or "
        "golden list nothing, golden check something broken, bench a bar that is missed",
        USAGE: "wrong usage: an option, an argument or a command that there is not",
        UNREADABLE: "a file cannot be read or written: missing, not permitted, broken, cut off; "
        "or there is no model or golden of that name",
        REFUSED: "the config was read, and is refused: no rotary embedding, an unknown rule, a "
        "value out of range",
        MISSING: "a package or a GPU is missing that the command needs",
        INTERNAL: "an error of ropelab itself",
        INTERRUPTED: "interrupted from the keyboard",
        PIPE: "whoever read the output has closed it",
    }
)
"""What each exit code says."""

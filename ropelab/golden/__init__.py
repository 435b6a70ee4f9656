"""Goldens: what the specification says, frozen, and attested by an independent oracle.

Cases are defined in code (`families`, of the ropes in `cards`), each of a kind (`operations`) that
says how the `oracle` answers it and how an implementation is asked. They are frozen in files
(`files`) and checked (`verification`). The `zoo` keeps known bugs, each of which the goldens must
reject. Needs mpmath.
"""

from .files import DIRECTORY, Golden, load
from .implementation import SPECIFICATION, Implementation
from .verification import Result, check, freeze_new, verify

__all__ = [
    "DIRECTORY",
    "SPECIFICATION",
    "Golden",
    "Implementation",
    "Result",
    "check",
    "freeze_new",
    "load",
    "verify",
]

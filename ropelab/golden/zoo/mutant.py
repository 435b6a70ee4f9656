"""What a mutant is."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, fields, replace

from ..implementation import SPECIFICATION, Implementation

__all__ = ["ROTATIONS", "Entries", "Mutant"]

Entries = Mapping[str, tuple[str, str, Implementation] | tuple[str, str, Implementation, str]]
"""What a module of the zoo defines: by name, the arguments of a `Mutant`."""

ROTATIONS = frozenset(
    {
        *("apply_rotary", "apply_rotary_qk", "apply_rotary_cached", "apply_rotary_kv_cache"),
        *("apply_norm_rotary_qk", "apply_xpos_qk"),
    }
)
"""The functions whose answers have a dtype of their own."""


@dataclass(frozen=True)
class Mutant:
    """A wrong implementation: the specification with a known bug in it.

    Parameters
    ----------
    mechanism : str
        The kind of bug, M1 to M16, as `ropelab.golden.flags` explains it.
    description : str
        The bug in words.
    implementation : Implementation
        The specification with the bug, made by a function of `ropelab.golden.zoo.harness`.
    thread : str, optional
        Where it happened: ``repository#issue`` or ``repository!pull-request``; None for a bug
        that was read in a source.
    """

    mechanism: str
    description: str
    implementation: Implementation
    thread: str | None = None

    @property
    def changes(self) -> frozenset[str]:
        """Names of the functions that are not the specification's."""
        names = (field.name for field in fields(Implementation))
        return frozenset(
            name
            for name in names
            if getattr(self.implementation, name) is not getattr(SPECIFICATION, name)
        )

    def fresh(self) -> Implementation:
        """Return the implementation as it was made: some bugs remember what they were asked.

        Returns
        -------
        Implementation
            With a copy of everything that is not the specification's.
        """
        wrong = {name: deepcopy(getattr(self.implementation, name)) for name in self.changes}
        return replace(SPECIFICATION, **wrong)

"""The zoo: known bugs, each as a mutant of the specification. The goldens must reject them all.

A mutant is the specification with one function replaced by a wrong one. There is one module a
group of bugs; each defines ``ENTRIES``, a mapping of names to (mechanism, description,
implementation, thread), of which the thread may be left out::

    ENTRIES = {
        "theta-forgotten": (
            "M10",
            "the base falls back to 10000",
            with_rope(lambda rope: replace(rope, base=10_000.0)),
            "unsloth!7028",
        ),
    }

`Mutant` says what the four mean, `harness` has the ways to put a bug in, and `trial` tries the
mutants. A rejection that holds only in float64 is no protection for a bfloat16 kernel, so a mutant
of a rotation has to fall in every dtype; one of frequencies or positions falls by the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from .mutant import Mutant
from .trial import Trial, kills, margin, margins

__all__ = ["MUTANTS", "Mutant", "Trial", "kills", "margin", "margins"]


def _discovered() -> dict[str, Mutant]:
    found: dict[str, Mutant] = {}
    for module in iter_modules(__path__):
        entries = getattr(import_module(f"{__name__}.{module.name}"), "ENTRIES", {})
        twice = found.keys() & entries.keys()
        if twice:
            msg = f"mutants must have distinct names; repeated: {', '.join(sorted(twice))}"
            raise ValueError(msg)
        found |= {name: Mutant(*entry) for name, entry in entries.items()}
    # By mechanism, M2 before M10, and within it by name.
    return dict(sorted(found.items(), key=lambda item: (int(item[1].mechanism[1:]), item[0])))


MUTANTS: Mapping[str, Mutant] = MappingProxyType(_discovered())
"""Every mutant by name, ordered by mechanism."""

"""The case definitions, one file a family. An id, once given, belongs to its case for ever."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ..case import Case

__all__ = ["catalogue"]

_modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
_FAMILIES = [module.cases for module in _modules if hasattr(module, "cases")]


def catalogue() -> list[Case]:
    """Return every case that the code defines.

    Returns
    -------
    list of Case
        With distinct ids.

    Raises
    ------
    ValueError
        If two cases claim one id.
    """
    cases = [case for family in _FAMILIES for case in family()]
    ids = [case.id for case in cases]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        msg = f"golden ids must be distinct; repeated: {', '.join(twice)}"
        raise ValueError(msg)
    return cases

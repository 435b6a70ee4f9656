"""Doing what a fix says, word for word, to the config that it is for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

__all__ = ["mended"]

_PLACE = r"(the config|rope_scaling|rope_parameters(?:\['\w+'\])?)"
_WRITE = re.compile(rf'write (".+?) in {_PLACE}(?= in place of "(\w+)")?')
_REMOVE = re.compile(rf'remove "(\w+)"(?: from {_PLACE})?')
_RENAME = re.compile(rf'rename "(\w+)" to "(\w+)"(?: in {_PLACE})?')
_REPLACE = re.compile(r'replace "(\w+)" by "(\w+)" in (\w+)')


def mended(config: Mapping[str, Any], fix: str) -> dict[str, Any] | None:
    """Return the config after the first order of a fix; None where it gives none to a machine."""
    result = deepcopy(dict(config))
    first = fix.partition("; ")[0].partition(", or ")[0]
    for pattern, do in _ORDERS:
        found = pattern.match(first)
        if found is not None:
            do(result, found)
            return result
    return None


def _dictionary(config: dict[str, Any], place: str | None) -> dict[str, Any]:
    if place in (None, "the config"):
        return config
    name, *layer = re.findall(r"\w+", str(place))
    config[name] = dict(config.get(name) or {})
    if layer:
        config[name][layer[0]] = dict(config[name][layer[0]])
        return config[name][layer[0]]  # type: ignore[no-any-return]
    return config[name]  # type: ignore[no-any-return]


def _write(config: dict[str, Any], found: re.Match[str]) -> None:
    inner = _dictionary(config, found[2])
    inner.update(json.loads(f"{{{found[1]}}}"))
    inner.pop(found[3] or "", None)


def _remove(config: dict[str, Any], found: re.Match[str]) -> None:
    _dictionary(config, found[2]).pop(found[1])


def _rename(config: dict[str, Any], found: re.Match[str]) -> None:
    inner = _dictionary(config, found[3])
    inner[found[2]] = inner.pop(found[1])


def _replace(config: dict[str, Any], found: re.Match[str]) -> None:
    config[found[3]] = [found[2] if each == found[1] else each for each in config[found[3]]]


_ORDERS = ((_RENAME, _rename), (_REMOVE, _remove), (_WRITE, _write), (_REPLACE, _replace))

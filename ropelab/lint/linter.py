"""The linter: every kind of defect, asked of one config."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..formats import to_transformers
from ..rope import Rope
from . import dialects, factors, keys, layers, lengths, places, reach, rules, widths, yarn
from .kind import SEVERITIES, Finding, Kind
from .subject import subject_of

__all__ = ["KINDS", "lint"]

_MODULES = (keys, places, widths, layers, rules, yarn, lengths, factors, reach, dialects)

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for module in _MODULES
        for kind in vars(module).values()
        if isinstance(kind, Kind)
    }
)
"""Every kind of defect by name, in the order of the modules and in each as it stands there."""


def lint(config: Mapping[str, Any] | str | os.PathLike[str] | object) -> list[Finding]:
    """Return the defects of a model's config.

    Parameters
    ----------
    config : mapping, path of a config.json, config object or Rope
        As for `ropelab.from_transformers`; a `Rope` is looked at as the config that
        `ropelab.to_transformers` writes.

    Returns
    -------
    list of Finding
        The worst severity first, and in each the order of `KINDS`. Where a config is refused, what
        it is refused for is among them, and kinds that need its frequencies are not asked.

    Raises
    ------
    TypeError
        If `config` is none, or a value has another type.
    ValueError
        If the config has no rotary embedding, or an unknown rope_type, or is refused for what is no
        kind of defect.

    Examples
    --------
    >>> config = {
    ...     "model_type": "llama", "head_dim": 128, "max_position_embeddings": 1024,
    ...     "rope_theta": 10000.0, "rope_scaling": {"factor": 4.0},
    ... }
    >>> for finding in lint(config):
    ...     print(finding)
    ...     print(finding.fix)
    warning: rope_scaling: factor without rope_type is read as 'default', which scales nothing \
[rope-type-missing]
    write "rope_type": "linear" in rope_scaling
    """
    subject = subject_of(to_transformers(config) if isinstance(config, Rope) else config)
    found = [finding for kind in KINDS.values() for finding in kind.findings(subject)]
    if subject.refusal is not None and not any(one.severity == "error" for one in found):
        raise subject.refusal
    worst = list(SEVERITIES)
    return sorted(found, key=lambda finding: worst.index(finding.severity))

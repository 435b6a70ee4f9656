"""The linter of configs: defects of many kinds, each with the reason and a fix."""

from .kind import SEVERITIES, Finding, Kind
from .linter import KINDS, lint

__all__ = ["KINDS", "SEVERITIES", "Finding", "Kind", "lint"]

"""Names that docstrings link to, and that no page describes."""

from __future__ import annotations

__all__ = ["IGNORED"]

IGNORED: list[tuple[str, str]] = []

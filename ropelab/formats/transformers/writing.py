"""Writing a Rope as the keys of a Transformers config."""

from __future__ import annotations

from typing import Any

from ...rope import Rope

__all__ = ["to_transformers"]


def to_transformers(rope: Rope) -> dict[str, Any]:
    """X."""
    raise NotImplementedError

"""Foreign dialects: one file each, from somebody else's config to a Rope."""

from .transformers import from_transformers

__all__ = ["from_transformers"]

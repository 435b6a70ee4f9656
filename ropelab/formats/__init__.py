"""Foreign dialects: one module each, from somebody else's config to a Rope."""

from .findings import Finding, Reading
from .transformers import (
    from_transformers,
    layer_types_from_transformers,
    layers_from_transformers,
    read_transformers,
    to_transformers,
)

__all__ = [
    "Finding",
    "Reading",
    "from_transformers",
    "layer_types_from_transformers",
    "layers_from_transformers",
    "read_transformers",
    "to_transformers",
]

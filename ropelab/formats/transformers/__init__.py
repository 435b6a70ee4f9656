"""Transformers' dialect: what its config classes and its models' code make of a config."""

from .layers import (
    layer_types_from_transformers,
    layers_from_transformers,
    read_layers_transformers,
)
from .query_scales import query_scales_from_transformers
from .reading import from_transformers, read_transformers
from .writing import to_transformers

__all__ = [
    "from_transformers",
    "layer_types_from_transformers",
    "layers_from_transformers",
    "query_scales_from_transformers",
    "read_layers_transformers",
    "read_transformers",
    "to_transformers",
]

"""Foreign dialects: one module each, from somebody else's config to a Rope."""

from .exllamav2 import from_exllamav2, read_exllamav2
from .findings import Finding, LayersReading, Reading
from .gguf import from_gguf, read_gguf
from .layers import DIALECTS, read_layers
from .megatron import from_megatron, layers_from_megatron, read_megatron
from .nemo_automodel import from_nemo_automodel, read_nemo_automodel
from .transformer_engine import from_transformer_engine, read_transformer_engine
from .transformers import (
    from_transformers,
    layer_types_from_transformers,
    layers_from_transformers,
    query_scales_from_transformers,
    read_transformers,
    to_transformers,
)
from .vllm import from_vllm, read_vllm

__all__ = [
    "DIALECTS",
    "Finding",
    "LayersReading",
    "Reading",
    "from_exllamav2",
    "from_gguf",
    "from_megatron",
    "from_nemo_automodel",
    "from_transformer_engine",
    "from_transformers",
    "from_vllm",
    "layer_types_from_transformers",
    "layers_from_megatron",
    "layers_from_transformers",
    "query_scales_from_transformers",
    "read_exllamav2",
    "read_gguf",
    "read_layers",
    "read_megatron",
    "read_nemo_automodel",
    "read_transformer_engine",
    "read_transformers",
    "read_vllm",
    "to_transformers",
]

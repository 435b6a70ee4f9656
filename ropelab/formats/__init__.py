"""Foreign dialects: one file each, from somebody else's config to a Rope."""

from .transformers import from_transformers

# isort: split
from .exllamav2 import from_exllamav2, read_exllamav2
from .findings import Finding, Reading
from .gguf import from_gguf, read_gguf
from .megatron import from_megatron, layers_from_megatron, read_megatron
from .nemo_automodel import from_nemo_automodel, read_nemo_automodel
from .transformer_engine import from_transformer_engine, read_transformer_engine
from .vllm import from_vllm, read_vllm

__all__ = ["from_transformers"]

__all__ += [
    "Finding",
    "Reading",
    "from_exllamav2",
    "from_gguf",
    "from_megatron",
    "from_nemo_automodel",
    "from_transformer_engine",
    "from_vllm",
    "layers_from_megatron",
    "read_exllamav2",
    "read_gguf",
    "read_megatron",
    "read_nemo_automodel",
    "read_transformer_engine",
    "read_vllm",
]

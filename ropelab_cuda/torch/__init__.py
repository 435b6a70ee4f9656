"""Rotary embeddings inside torch models: operators with gradients, for tensors on any device.

CUDA tensors go to the kernels, CPU tensors to the specification, so that a model runs alike on a
laptop. Importing it needs torch, but neither CuPy nor a GPU.
"""

from .modules import RotaryEmbedding
from .patching import Replacement, patch, unpatch
from .rotary import apply_rotary, apply_rotary_, apply_rotary_cached
from .spectra import SpectrumText
from .spectrum_for import spectrum_for
from .watching import LayerErrors, RotaryErrors, watch

__all__ = [
    "LayerErrors",
    "Replacement",
    "RotaryEmbedding",
    "RotaryErrors",
    "SpectrumText",
    "apply_rotary",
    "apply_rotary_",
    "apply_rotary_cached",
    "patch",
    "spectrum_for",
    "unpatch",
    "watch",
]

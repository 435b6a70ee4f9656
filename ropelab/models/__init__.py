"""Published models: the part of each config that speaks of positions, and where it was read.

The data are in ``models.json``, which is read when first asked for. A model that is not among them
is read from its own config.json by `ropelab.from_transformers`.
"""

from .registry import MODELS, Model, model

__all__ = ["MODELS", "Model", "model"]

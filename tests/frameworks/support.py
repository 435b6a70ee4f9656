"""Arrays of each framework in host memory, and the numbers back from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["FRAMEWORKS", "Held"]

jax.config.update("jax_num_cpu_devices", 2)  # before JAX first looks


class Held(NamedTuple):
    """How a framework holds what NumPy with ml_dtypes holds."""

    kind: Any
    put: Callable[[NDArray[Any]], Any]
    take: Callable[[Any], NDArray[Any]]


def _to_torch(array: NDArray[Any]) -> Any:
    if array.dtype != ml_dtypes.bfloat16:
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)


def _from_torch(tensor: Any) -> NDArray[Any]:
    if tensor.dtype != torch.bfloat16:
        return np.asarray(tensor)
    return np.asarray(tensor.view(torch.uint16)).view(ml_dtypes.bfloat16)


FRAMEWORKS = {
    "numpy": Held(np.ndarray, lambda array: array, lambda array: array),
    "jax": Held(jax.Array, jnp.asarray, np.asarray),
    "torch": Held(torch.Tensor, _to_torch, _from_torch),
}

"""CuPy, if it is there. This package imports without it; the first use says what to install."""

from __future__ import annotations

from typing import Any

try:
    import cupy
except (ImportError, OSError) as error:  # OSError: CuPy makes its cache folder at import
    cupy = None
    _reason: Exception | None = error
else:
    _reason = None

__all__ = ["require_cupy"]


def require_cupy() -> Any:
    """Return the cupy module, or raise ImportError that says what to install."""
    if cupy is None:
        msg = (
            "ropelab_cuda needs CuPy >= 14.2: pip install 'ropelab[cuda13]' beside a CUDA 13 "
            f"torch, 'ropelab[cuda12]' beside a CUDA 12 one; importing it failed with: {_reason}"
        )
        raise ImportError(msg) from _reason
    return cupy

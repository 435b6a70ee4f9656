"""What GGUF files say of how positions turn: metadata, and tensors of factors."""

from __future__ import annotations

from collections.abc import Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import exits
from .failure import Failure, shown
from .gguf_layout import MAGIC, VersionError, walk
from .gguf_values import DamagedError

__all__ = ["is_gguf", "read_gguf_file"]

# Tensors that say how positions turn, and the arguments of from_gguf that take them.
_TENSORS = {
    "rope_freqs.weight": "rope_freqs",
    "rope_factors_long.weight": "rope_factors_long",
    "rope_factors_short.weight": "rope_factors_short",
}
# Keys that are read behind the architecture's name, beside rope.*.
_KEYS = frozenset(
    {
        "attention.head_count",
        "attention.key_length",
        "attention.sliding_window",
        "context_length",
        "embedding_length",
    }
)


def is_gguf(path: Path) -> bool:
    """Return whether a file starts as GGUF files do, or bears their suffix."""
    if not path.is_file():
        return False  # what is read of a pipe is gone
    if path.suffix.lower() == ".gguf":
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False  # whoever reads it next will say why


def read_gguf_file(path: Path) -> tuple[Mapping[str, Any], Mapping[str, NDArray[np.float64]]]:
    """Return the metadata of a file that speak of the architecture, and its tensors of factors.

    Parameters
    ----------
    path : Path
        Of the file.

    Returns
    -------
    metadata : mapping
        The keys that `ropelab.from_gguf` reads; no tokens.
    tensors : mapping of str to ndarray
        Arguments of `ropelab.from_gguf`.

    Raises
    ------
    Failure
        If the file cannot be opened, is no GGUF file or breaks off.
    """
    try:
        with path.open("rb") as file:
            _check_start(path, file.read(len(MAGIC)))
            with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
                metadata, tensors = walk(data, _matters, tuple(_TENSORS))
    except OSError as error:
        raise Failure(exits.UNREADABLE, f"{shown(path)}: {error.strerror}") from error
    except VersionError as error:
        raise Failure(exits.UNREADABLE, f"{shown(path)}: a GGUF file of {error}") from error
    except DamagedError as error:
        line = f"{shown(path)}: this GGUF file breaks off or is damaged; fetch it again ({error})"
        raise Failure(exits.UNREADABLE, line) from error
    prefixes = ("general.", f"{metadata.get('general.architecture')}.")
    return (
        {key: value for key, value in metadata.items() if key.startswith(prefixes)},
        {_TENSORS[name]: values for name, values in tensors.items()},
    )


def _matters(key: str) -> bool:
    """Return whether `ropelab.from_gguf` reads a key, whichever the architecture."""
    rest = key.partition(".")[2]
    return key == "general.architecture" or rest in _KEYS or rest.startswith("rope.")


def _check_start(path: Path, start: bytes) -> None:
    if start != MAGIC:
        line = f"{shown(path)}: not a GGUF file (it starts with {start!r}, not {MAGIC!r})"
        raise Failure(exits.UNREADABLE, line)

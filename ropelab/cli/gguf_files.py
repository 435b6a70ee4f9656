"""Metadata of GGUF files, through ggml-org's package ``gguf``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import exits
from .failure import Failure, needed

__all__ = ["is_gguf", "read_gguf_file"]

_MAGIC = b"GGUF"
# Tensors that say how positions turn, and the arguments of from_gguf that take them.
_TENSORS = {
    "rope_freqs.weight": "rope_freqs",
    "rope_factors_long.weight": "rope_factors_long",
    "rope_factors_short.weight": "rope_factors_short",
}


def is_gguf(path: Path) -> bool:
    """Return whether a file starts as GGUF files do, or bears their suffix."""
    if not path.is_file():
        return False  # what is read of a pipe is gone
    if path.suffix.lower() == ".gguf":
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False  # whoever reads it next will say why


def read_gguf_file(path: Path) -> tuple[Mapping[str, Any], Mapping[str, NDArray[np.float64]]]:
    """Return the metadata of a file that speak of the architecture, and its tensors of factors.

    The package's reader maps the file and slices it: what lies behind the end comes as a short
    slice, and fails when it is looked at, as an error of NumPy's; a last text is cut in silence.

    Parameters
    ----------
    path : Path
        Of the file.

    Returns
    -------
    metadata : mapping
        Keys of the architecture and ``general.*``; no tokens.
    tensors : mapping of str to ndarray
        Arguments of `ropelab.from_gguf`.

    Raises
    ------
    Failure
        If the file cannot be opened, is no GGUF file or breaks off.
    """
    _check_start(path)
    gguf = needed("gguf", "cli", f"{path}: a GGUF file")
    try:
        with np.errstate(all="ignore"):
            reader = gguf.GGUFReader(path)
            _check_last(list(reader.fields.values())[-1])
            architecture = str(_value(reader, "general.architecture"))
            wanted = ("general.", f"{architecture}.")
            metadata = {
                key: entry.contents()
                for key, entry in reader.fields.items()
                if key.startswith(wanted)
            }
            tensors = {
                _TENSORS[each.name]: np.array(each.data, np.float64)
                for each in reader.tensors
                if each.name in _TENSORS
            }
    except Exception as error:  # whatever a short slice gives rise to
        line = f"{path}: this GGUF file breaks off or is damaged; fetch it again"
        reason = f"the package gguf says {type(error).__name__}: {error}"
        raise Failure(exits.UNREADABLE, f"{line} ({reason})") from error
    return metadata, tensors


def _check_start(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except OSError as error:
        raise Failure(exits.UNREADABLE, f"{path}: {error.strerror}") from error
    if start != _MAGIC:
        line = f"{path}: not a GGUF file (it starts with {start!r}, not {_MAGIC!r})"
        raise Failure(exits.UNREADABLE, line)


def _value(reader: Any, key: str) -> Any:
    entry = reader.get_field(key)
    return None if entry is None else entry.contents()


def _check_last(entry: Any) -> None:
    """Raise ValueError if the text that ends the metadata is shorter than it says."""
    size, text = entry.parts[-2:]
    if text.dtype == np.uint8 and int(size[0]) > text.nbytes:
        msg = f"{entry.name} has {text.nbytes} bytes of {int(size[0])}"
        raise ValueError(msg)

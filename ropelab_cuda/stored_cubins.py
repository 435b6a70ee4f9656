"""Files of machine code: written whole, and known to be whole when read.

CUDA's loader trusts what it is given: half of a cubin crashes the process. So each file ends in the
SHA-256 of what comes before, and is read by this module alone.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

__all__ = ["BrokenCubinError", "read_cubin", "store_cubin"]

DIGEST_BYTES = 32


class BrokenCubinError(RuntimeError):
    """A file does not hold what was once written to it."""


def read_cubin(path: Path) -> bytes:
    """Read a cubin that `store_cubin` wrote.

    Parameters
    ----------
    path : pathlib.Path
        Of the file.

    Returns
    -------
    bytes
        Machine code, as it was given.

    Raises
    ------
    BrokenCubinError
        If the file is anything else.
    OSError
        If it cannot be read.
    """
    content = path.read_bytes()
    cubin, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if not cubin or hashlib.sha256(cubin).digest() != digest:
        msg = (
            f"{path}: expected a cubin, and after it its SHA-256; got {len(content)} bytes that "
            f"are not; write it again by save_cubins"
        )
        raise BrokenCubinError(msg)
    return cubin


def store_cubin(folder: Path, name: str, cubin: bytes) -> Path:
    """Write a cubin; other processes see all of it or nothing.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it does not exist.
    name : str
        Of the file.
    cubin : bytes
        Machine code.

    Returns
    -------
    pathlib.Path
        Where it lies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=f"{name}.", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(cubin + hashlib.sha256(cubin).digest())
        return Path(partial).replace(folder / name)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise

"""Where machine code lies on disk: shipped with a program, or left by an earlier process.

A cubin lies under a name that holds the architecture and a hash of its source and options
(`compile.cubin_name`). So what was built from other sources, or for another card, is never found.

- ``ROPELAB_CUBINS`` names folders of shipped cubins, separated as those of ``PATH``. They are read
  first and never written.
- What is compiled is left in ``ropelab`` inside of CuPy's own cache: ``CUPY_CACHE_DIR``, else
  ``~/.cupy/kernel_cache``. ``CUPY_CACHE_IN_MEMORY=1`` keeps off the disk.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["SHIPPED", "add_folder", "cache_folder", "find_cubin"]

SHIPPED = "ROPELAB_CUBINS"

_added: list[Path] = []  # by add_folder, in this process


def add_folder(folder: str | os.PathLike[str]) -> None:
    """Look for cubins in one more folder, before all others.

    Parameters
    ----------
    folder : path-like
        Where `ropelab_cuda.save_cubins` wrote.

    Raises
    ------
    ValueError
        If it is no folder.
    """
    path = _existing(Path(folder), "cubins")
    if path not in _added:
        _added.insert(0, path)


def find_cubin(name: str) -> Path | None:
    """Return where a cubin lies, shipped or cached, or None.

    Parameters
    ----------
    name : str
        Of its file.

    Returns
    -------
    pathlib.Path or None
        The first of that name.

    Raises
    ------
    ValueError
        If ``ROPELAB_CUBINS`` names what is no folder.
    """
    listed = os.environ.get(SHIPPED, "").split(os.pathsep)
    shipped = [_existing(Path(folder), SHIPPED) for folder in listed if folder]
    cache = cache_folder()
    for folder in (*_added, *shipped, *([cache] if cache else [])):
        if (folder / name).is_file():
            return folder / name
    return None


def cache_folder() -> Path | None:
    """Return the folder of what is compiled here, or None if nothing is to be left on disk."""
    if os.environ.get("CUPY_CACHE_IN_MEMORY") == "1":
        return None
    folder = os.environ.get("CUPY_CACHE_DIR") or Path.home() / ".cupy" / "kernel_cache"
    return Path(folder) / "ropelab"


def _existing(folder: Path, name: str) -> Path:
    if not folder.is_dir():
        msg = f"{name}: expected a folder of cubins; got {str(folder)!r}, which is none; make it"
        raise ValueError(msg)
    return folder

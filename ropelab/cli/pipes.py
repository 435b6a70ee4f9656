"""Named pipes, read once, with a word where nobody writes."""

from __future__ import annotations

import os
from pathlib import Path
from select import select

import click

from ..formats.sources import LARGEST
from .failure import shown

__all__ = ["read_pipe"]

_PATIENCE = 2.0  # seconds until it is said that nobody writes


def read_pipe(path: Path) -> bytes:
    """Return what is written to a pipe, at most one byte more than a config.json may have.

    Parameters
    ----------
    path : Path
        Of the pipe.

    Returns
    -------
    bytes
        All up to where its writers close it.
    """
    # Opened so, it does not block, where nothing could be said; read so, it would seem empty.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as pipe:  # noqa: PTH123
        if not select([pipe], [], [], _PATIENCE)[0]:
            click.echo(f"ropelab: {shown(path)}: waiting for somebody to write to it", err=True)
            select([pipe], [], [])
        os.set_blocking(pipe.fileno(), True)
        return pipe.read(LARGEST + 1)

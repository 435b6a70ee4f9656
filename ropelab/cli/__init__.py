"""The command line: ``ropelab``, also ``python -m ropelab``.

One file a command; they ask the library and print what it says. Needs click and rich, the extra
``cli``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .exits import INTERRUPTED, MISSING

__all__ = ["main"]

_NEEDED = ("click", "rich")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        The exit code, one of those in `ropelab.cli.exits`.
    """
    try:
        from .app import run
    except KeyboardInterrupt:
        return INTERRUPTED
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _NEEDED:
            raise
        line = f'ropelab: the command line needs {name}; pip install "ropelab[cli]"'
        print(line, file=sys.stderr)
        return MISSING
    return run(arguments)

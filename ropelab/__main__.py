"""``python -m ropelab``: the command line, as ``ropelab`` is."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())

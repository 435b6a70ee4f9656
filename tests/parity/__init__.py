"""The Transformers dialect beside Transformers itself; run by ``nox -s parity``."""

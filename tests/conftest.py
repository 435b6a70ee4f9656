"""What the GPU suite needs to be believed: no skip, and no silence without a device."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest


def _no_gpu() -> str | None:
    """Return why no kernel can run here, or None."""
    try:
        import cupy
    except (ImportError, OSError) as error:
        return f"CuPy cannot be imported: {error}"
    if not cupy.cuda.is_available():
        return "CuPy sees no CUDA device"
    return None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files without a GPU test unread in the GPU suite."""
    # Its machine has a Transformers of its own; other tests import what only the pinned one has.
    if config.option.markexpr != "gpu" or collection_path.suffix != ".py":
        return None
    return "pytest.mark.gpu" not in collection_path.read_text("utf-8") or None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to start a GPU suite that could only skip."""
    wanted = [item for item in session.items if item.get_closest_marker("gpu")]
    required = bool(os.environ.get("ROPELAB_REQUIRE_GPU"))
    if not session.config.option.collectonly and (wanted or required):
        reason = _no_gpu() or ("" if wanted else "no GPU test was selected")
        if reason:
            msg = f"{len(wanted)} GPU tests were asked for, but {reason}"
            raise pytest.UsageError(msg)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip of a GPU test into a failure."""
    report = yield
    if report.skipped and item.get_closest_marker("gpu"):
        report.outcome = "failed"
        report.longrepr = f"a GPU test may not skip: {report.longrepr}"
    return report

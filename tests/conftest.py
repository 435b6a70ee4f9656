"""What the GPU suites need to be believed: no skip, and no silence without the devices."""

from __future__ import annotations

import os
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path

import pytest

SUITES = {"gpu": 1, "multi_gpu": 2}  # markers, and how many devices their tests need


def _no_gpu(needed: int) -> str | None:
    """Return why no kernel can run here on so many devices, or None."""
    try:
        import cupy
    except (ImportError, OSError) as error:
        return f"CuPy cannot be imported: {error}"
    if not cupy.cuda.is_available():
        return "CuPy sees no CUDA device"
    count = cupy.cuda.runtime.getDeviceCount()
    return None if count >= needed else f"CuPy sees {count} CUDA device of {needed}"


def _suites(item: pytest.Item) -> list[str]:
    """Return the markers by which a test asks for devices."""
    return [name for name in SUITES if item.get_closest_marker(name)]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files without a GPU test unread in the GPU suites."""
    # Their machine has a Transformers of its own; other tests import what only the pinned one has.
    suite = config.option.markexpr
    if suite not in SUITES or collection_path.suffix != ".py":
        return None
    return f"pytest.mark.{suite}" not in collection_path.read_text("utf-8") or None


ABSENT = pytest.StashKey[list[str]]()  # what was deselected for want of a package


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what compares with a package that is not there; a skip would pass for a success."""
    peers = {item: marker.args[0] for item in items if (marker := item.get_closest_marker("peer"))}
    absent = {item: peer for item, peer in peers.items() if find_spec(peer) is None}
    items[:] = [item for item in items if item not in absent]
    config.hook.pytest_deselected(items=list(absent))
    config.stash[ABSENT] = [f"{item.nodeid}: no {peer}" for item, peer in absent.items()]


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what was deselected for want of a package."""
    return [f"deselected {line}" for line in config.stash.get(ABSENT, [])]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to start a GPU suite that could only skip."""
    wanted = [item for item in session.items if _suites(item)]
    required = bool(os.environ.get("ROPELAB_REQUIRE_GPU"))
    if not session.config.option.collectonly and (wanted or required):
        needed = max((SUITES[suite] for item in wanted for suite in _suites(item)), default=1)
        reason = _no_gpu(needed) or ("" if wanted else "no GPU test was selected")
        if reason:
            msg = f"{len(wanted)} GPU tests were asked for, but {reason}"
            raise pytest.UsageError(msg)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip of a GPU test into a failure."""
    report = yield
    if report.skipped and _suites(item):
        report.outcome = "failed"
        report.longrepr = f"a GPU test may not skip: {report.longrepr}"
    return report

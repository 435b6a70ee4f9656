"""Where cubins lie, and that a folder which is none is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropelab_cuda import cubins
from ropelab_cuda.stored_cubins import store_cubin


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cubins, "_added", [])
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "cache"))
    for name in (cubins.SHIPPED, "CUPY_CACHE_IN_MEMORY"):
        monkeypatch.delenv(name, raising=False)


def test_the_cache_lies_inside_of_cupys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cubins.cache_folder() == tmp_path / "cache" / "ropelab"
    monkeypatch.delenv("CUPY_CACHE_DIR")
    assert cubins.cache_folder() == Path.home() / ".cupy" / "kernel_cache" / "ropelab"
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "1")
    assert cubins.cache_folder() is None


def test_a_missing_folder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cubins: expected a folder of cubins; got '.*/none'"):
        cubins.add_folder(tmp_path / "none")
    monkeypatch.setenv(cubins.SHIPPED, str(tmp_path / "none"))
    with pytest.raises(ValueError, match="ROPELAB_CUBINS: expected a folder"):
        cubins.find_cubin("any")


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    assert cubins.find_cubin("a.cubin") is None
    store_cubin(tmp_path / "cache" / "ropelab", "a.cubin", b"code")
    assert cubins.find_cubin("a.cubin") == tmp_path / "cache" / "ropelab" / "a.cubin"
    assert cubins.find_cubin("b.cubin") is None


def test_a_folder_is_added_once(tmp_path: Path) -> None:
    cubins.add_folder(tmp_path)
    cubins.add_folder(str(tmp_path))
    assert cubins._added == [tmp_path]

"""Which machine code reaches the driver, and that none of it is broken; the driver is a stub."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ropelab_cuda import loading
from ropelab_cuda.catalogue import specialisations
from ropelab_cuda.compile import Specialisation, cubin_name
from ropelab_cuda.cubins import add_folder
from ropelab_cuda.stored_cubins import BrokenCubinError, read_cubin, store_cubin

ONE, OTHER = specialisations()[:2]
CARDS = {0: "90", 1: "80", 2: "999"}  # of each device; the last is newer than NVRTC
REFUSED = b"code of another driver"


class DriverError(Exception):
    """The driver does not load this."""

    def __str__(self) -> str:
        return "no image"


class Stub:
    """CuPy, as far as kernels are loaded by it."""

    def __init__(self) -> None:
        self.cuda = SimpleNamespace(
            driver=SimpleNamespace(CUDADriverError=DriverError),
            Module=lambda: self,
            Device=lambda number: SimpleNamespace(compute_capability=CARDS[number]),
            runtime=SimpleNamespace(getDevice=lambda: 1),
        )
        self.compiled: list[str] = []
        self.seen: list[bytes] = []  # by the driver

    def compile(self, case: Specialisation, card: str) -> tuple[bytes, str]:
        self.compiled.append(card)
        return f"{case.kernel} for {card}".encode(), ""

    def load(self, cubin: bytes) -> None:
        self.seen.append(cubin)
        if cubin == REFUSED:
            raise DriverError

    def get_function(self, name: str) -> Any:
        return SimpleNamespace(ptr=77, name=name, code=self.seen[-1])

    def RawKernel(self, code: str, name: str, options: tuple[str, ...]) -> Any:  # noqa: N802
        return SimpleNamespace(kernel=("source", name, *options))


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stub:
    stub = Stub()
    monkeypatch.setattr(loading, "require_cupy", lambda: stub)
    monkeypatch.setattr(loading, "compiled", stub.compile)
    monkeypatch.setattr(loading, "_is_known_to_nvrtc", lambda card: card != "999")
    monkeypatch.setattr(loading, "architecture", CARDS.__getitem__)
    monkeypatch.setattr("ropelab_cuda.cubins._added", [])
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("ROPELAB_CUBINS", "CUPY_CACHE_IN_MEMORY"):
        monkeypatch.delenv(name, raising=False)
    return stub


def load(case: Specialisation, device: int = 0) -> Any:
    """Load as a new process does."""
    return loading.kernel.__wrapped__(case, device)


def cached(tmp_path: Path, case: Specialisation = ONE) -> Path:
    return tmp_path / "cache" / "ropelab" / cubin_name(case, "90")


def test_a_kernel_is_compiled_once_and_then_found_on_disk(cupy: Stub, tmp_path: Path) -> None:
    for _ in range(2):
        found = load(ONE)
        assert (found.name, found.code) == ("rotary", b"rotary for 90")
    assert read_cubin(cached(tmp_path)) == b"rotary for 90"
    assert load(ONE, 1).code == b"rotary for 80"
    assert load(OTHER).code == b"rotary for 90"
    assert cached(tmp_path, OTHER).is_file()
    assert cupy.compiled == ["90", "80", "90"]


def test_each_device_has_a_handle_of_its_own(cupy: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    loading.kernel.cache_clear()
    assert [loading.function(ONE), loading.function(ONE)] == [77, 77]
    assert cupy.seen == [b"rotary for 80"]
    monkeypatch.setattr(cupy.cuda.runtime, "getDevice", lambda: 0)
    loading.function(ONE)
    assert cupy.seen == [b"rotary for 80", b"rotary for 90"]
    loading.kernel.cache_clear()


def test_a_shipped_cubin_comes_before_the_cache(
    cupy: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("one", "two"):
        store_cubin(tmp_path / folder, cubin_name(ONE, "90"), folder.encode())
    monkeypatch.setenv("ROPELAB_CUBINS", os.pathsep.join(str(tmp_path / f) for f in ("one", "two")))
    assert load(ONE).code == b"one"
    add_folder(tmp_path / "two")
    assert load(ONE).code == b"two"
    assert cupy.compiled == []
    assert load(ONE, 1).code == b"rotary for 80"  # none was shipped for this card


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda whole: whole[:-1],
    "half": lambda whole: whole[: len(whole) // 2],
    "a flipped bit": lambda whole: bytes((whole[0] ^ 1, *whole[1:])),
    "a flipped bit of the digest": lambda whole: bytes((*whole[:-1], whole[-1] ^ 128)),
    "empty": lambda whole: whole[:0],
    "as files were before": lambda whole: whole[:-32],
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_cubin_is_replaced_in_the_cache(cupy: Stub, tmp_path: Path, how: str) -> None:
    load(ONE)
    whole = cached(tmp_path).read_bytes()
    cached(tmp_path).write_bytes(BROKEN[how](whole))
    assert load(ONE).code == b"rotary for 90"
    assert cached(tmp_path).read_bytes() == whole
    assert cupy.compiled == ["90", "90"]
    assert set(cupy.seen) == {b"rotary for 90"}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_cubin_is_refused_where_it_was_shipped(
    cupy: Stub, tmp_path: Path, how: str
) -> None:
    path = store_cubin(tmp_path / "shipped", cubin_name(ONE, "90"), b"code")
    path.write_bytes(broken := BROKEN[how](path.read_bytes()))
    add_folder(tmp_path / "shipped")
    with pytest.raises(BrokenCubinError, match=r"shipped/rotary-sm_90.*write it again"):
        load(ONE)
    assert path.read_bytes() == broken
    assert cupy.seen == []
    assert cupy.compiled == []


def test_a_cubin_that_vanishes_is_compiled_again_unless_it_was_shipped(
    cupy: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may empty the cache between a look and a read."""
    monkeypatch.setattr(loading, "find_cubin", lambda _: cached(tmp_path))
    assert load(ONE).code == b"rotary for 90"
    monkeypatch.setattr(loading, "find_cubin", lambda name: tmp_path / "shipped" / name)
    with pytest.raises(FileNotFoundError, match="shipped"):
        load(ONE)
    assert cupy.compiled == ["90"]


def test_a_whole_cubin_that_the_driver_refuses_is_told_apart(cupy: Stub, tmp_path: Path) -> None:
    store_cubin(cached(tmp_path).parent, cached(tmp_path).name, REFUSED)
    assert load(ONE).code == b"rotary for 90"
    assert read_cubin(cached(tmp_path)) == b"rotary for 90"
    store_cubin(tmp_path / "shipped", cached(tmp_path).name, REFUSED)
    add_folder(tmp_path / "shipped")
    with pytest.raises(RuntimeError, match=r"shipped.*for this driver; .*no image.*write it again"):
        load(ONE)
    assert cupy.compiled == ["90"]


def test_what_cannot_be_left_on_disk_is_loaded_all_the_same(
    cupy: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("no folder")
    assert load(ONE).code == b"rotary for 90"
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "1")
    assert load(ONE).code == b"rotary for 90"
    assert cupy.compiled == ["90", "90"]
    assert list(tmp_path.rglob("*.cubin*")) == []


def test_cupy_compiles_for_a_card_that_nvrtc_does_not_know(cupy: Stub) -> None:
    assert load(ONE, 2) == ("source", "rotary", "--std=c++17")
    assert cupy.seen == []
    assert cupy.compiled == []

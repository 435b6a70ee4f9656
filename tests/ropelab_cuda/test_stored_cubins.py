"""A file of machine code is read as it was written, or refused."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from ropelab_cuda.stored_cubins import BrokenCubinError, read_cubin, store_cubin

CODE = b"\x7fELF" + bytes(range(256)) * 3 + b"\0"


def test_it_comes_back_bit_for_bit(tmp_path: Path) -> None:
    path = store_cubin(tmp_path / "new" / "folder", "a.cubin", CODE)
    assert path == tmp_path / "new" / "folder" / "a.cubin"
    assert read_cubin(path) == CODE


def test_tools_that_know_cubins_find_one(tmp_path: Path) -> None:
    """The code comes first; what follows it is the digest that anyone can compute."""
    content = store_cubin(tmp_path, "a.cubin", CODE).read_bytes()
    assert content == CODE + bytes.fromhex(hashlib.sha256(CODE).hexdigest())


def refused(path: Path) -> None:
    with pytest.raises(BrokenCubinError, match=r"a\.cubin: expected a cubin.*write it again"):
        read_cubin(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = store_cubin(tmp_path, "a.cubin", CODE)
    whole = path.read_bytes()
    for length in (*range(len(whole) - 70, len(whole)), len(whole) // 2, *range(70)):
        path.write_bytes(whole[:length])
        refused(path)
        path.write_bytes(whole[len(whole) - length :])
        refused(path)


def test_a_changed_byte_is_refused_wherever_it_is(tmp_path: Path) -> None:
    path = store_cubin(tmp_path, "a.cubin", CODE)
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        refused(path)


@pytest.mark.parametrize(
    "content",
    [b"", CODE, CODE + bytes(32), hashlib.sha256(b"").digest()],
    ids=["empty", "without a digest", "a digest of zeros", "the digest of nothing"],
)
def test_what_was_not_written_here_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.cubin").write_bytes(content)
    refused(tmp_path / "a.cubin")


def test_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_cubin(tmp_path / "a.cubin")


def test_many_writers_leave_one_whole_file(tmp_path: Path) -> None:
    code = bytes(1 << 16)
    writers = [
        threading.Thread(target=store_cubin, args=(tmp_path, "a.cubin", code)) for _ in range(8)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [path.name for path in tmp_path.iterdir()] == ["a.cubin"]
    assert read_cubin(tmp_path / "a.cubin") == code


def test_a_write_that_fails_leaves_what_was_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = store_cubin(tmp_path, "a.cubin", CODE)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        store_cubin(tmp_path, "a.cubin", CODE[:99])
    assert [*tmp_path.iterdir()] == [path]
    assert read_cubin(path) == CODE

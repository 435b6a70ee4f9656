"""GGUF files: their metadata and factors, and one line wherever the file breaks off."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ropelab import from_gguf
from ropelab.cli.failure import Failure
from ropelab.cli.gguf_files import is_gguf, read_gguf_file
from tests.ropelab.cli.support import document, fails, gguf_file


def test_metadata_and_factors_are_read(tmp_path: Path) -> None:
    metadata, tensors = read_gguf_file(gguf_file(tmp_path))
    assert metadata["llama.rope.freq_base"] == 500_000.0
    assert metadata["llama.attention.head_count"] == 32
    assert not any("token" in key for key in metadata)
    factors = np.linspace(1.0, 8.0, 64, dtype=np.float32)
    np.testing.assert_array_equal(tensors["rope_freqs"], factors)


def test_the_factors_divide_the_frequencies(tmp_path: Path) -> None:
    layer = document("explain", gguf_file(tmp_path))["layers"]["every layer"]
    assert layer["layout"] == "interleaved"  # llama.cpp's, for llama
    wavelength = 2 * np.pi * 500_000.0 ** (126 / 128) * 8.0
    assert layer["longest_wavelength"] == pytest.approx(wavelength, rel=1e-12)
    without = document("explain", gguf_file(tmp_path, tensor=False))["layers"]["every layer"]
    assert without["longest_wavelength"] == pytest.approx(wavelength / 8.0, rel=1e-12)


def test_the_reading_is_that_of_the_library(tmp_path: Path) -> None:
    metadata, tensors = read_gguf_file(gguf_file(tmp_path))
    rope = from_gguf(metadata, rope_freqs=tensors["rope_freqs"])
    assert rope is not None
    pairs = document("bands", gguf_file(tmp_path))["every layer"]
    assert [pair["inv_freq"] for pair in pairs] == rope.spectrum().inv_freq.tolist()


@pytest.mark.parametrize("tensor", [True, False])
def test_it_may_break_off_anywhere(tmp_path: Path, tensor: bool) -> None:
    path = gguf_file(tmp_path, tensor=tensor, last="the end of the metadata")
    whole = path.read_bytes()
    for size in range(len(whole.rstrip(b"\0"))):  # what follows is padding
        path.write_bytes(whole[:size])
        with pytest.raises(Failure) as caught:
            read_gguf_file(path)
        assert caught.value.exit_code == 3


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
def test_it_breaks_off_with_one_line(tmp_path: Path, share: float) -> None:
    path = gguf_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    for command in ("explain", "lint", "bands"):
        fails(3, "model.gguf", "breaks off or is damaged", arguments=(command, path))


def test_junk_after_the_magic(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    path = tmp_path / "junk"
    for _ in range(50):
        path.write_bytes(b"GGUF\x03\x00\x00\x00" + rng.bytes(400))
        assert is_gguf(path)
        fails(3, "damaged", arguments=("explain", path))


def test_another_file_of_that_suffix(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"not a model")
    fails(3, "not a GGUF file", arguments=("explain", path))
    path.write_bytes(b"")
    fails(3, "not a GGUF file", arguments=("explain", path))


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    fails(5, 'pip install "ropelab[cli]"', "gguf", arguments=("explain", path))

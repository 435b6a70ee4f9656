"""The table of pairs, and the picture in a file."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from ropelab.bands import stretches
from ropelab.models import model
from tests.ropelab.cli.support import config_file, document, fails, ropelab


def test_every_pair_is_listed() -> None:
    [pairs] = document("bands", "Llama-3.1-8B").values()
    rope = model("Llama-3.1-8B").rope()
    assert rope is not None
    assert [each["inv_freq"] for each in pairs] == rope.spectrum().inv_freq.tolist()
    assert [each["stretch"] for each in pairs] == stretches(rope).tolist()
    counts = {name: sum(each["band"] == name for each in pairs) for name in ("kept", "blended")}
    assert counts == {"kept": 29, "blended": 6}


def test_the_table_has_a_line_a_pair() -> None:
    said = ropelab("bands", "Llama-3.1-8B").stdout
    assert said.count(" kept ") == 29
    assert said.count("8×") == 29 + 1  # and the sentence above


def test_bands_have_the_names_that_explain_gives_them() -> None:
    names = {
        "Llama-3.1-8B": {"kept": 29, "blended": 6, "stretched": 29},
        "Phi-3.5-mini": {"kept": 1, "changed": 47},
    }
    for name, expected in names.items():
        [pairs] = document("bands", name).values()
        assert Counter(each["band"] for each in pairs) == expected
    pairs = document("bands", "Gemma-4-31B")["full_attention"]
    assert {each["band"] for each in pairs if each["stretch"] is None} == {"still"}


def test_a_picture_marks_the_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int | None] = []
    monkeypatch.setattr(
        "ropelab.plots.wavelengths",
        lambda *_, context_length, **__: lengths.append(context_length),
    )
    config = {
        "model_type": "gemma3_text",
        "head_dim": 256,
        "sliding_window": 1024,
        "max_position_embeddings": 131_072,
        "rope_theta": 1e6,
        "rope_local_base_freq": 1e4,
    }
    path = config_file(tmp_path, config)
    assert ropelab("bands", path, "-o", tmp_path / "a.svg").exit_code == 0
    assert lengths == [1024, None]


@pytest.mark.parametrize(
    ("name", "start"), [("a.svg", b"<?xml"), ("b.png", b"\x89PNG"), ("c.PDF", b"%PDF")]
)
def test_a_picture(tmp_path: Path, name: str, start: bytes) -> None:
    path = tmp_path / name
    result = ropelab("bands", "Gemma-3-27B", "-o", path)
    assert (result.exit_code, result.stdout) == (0, f"{path} written\n")
    assert path.read_bytes().startswith(start)
    assert path.stat().st_size > 5000


def test_pictures_that_cannot_be(tmp_path: Path) -> None:
    fails(2, "svg, png, pdf", arguments=("bands", "Llama-3.1-8B", "-o", tmp_path / "a.gif"))
    missing = tmp_path / "no" / "a.svg"
    fails(3, "No such file", arguments=("bands", "Llama-3.1-8B", "-o", missing))
    (tmp_path / "b.svg").mkdir()
    fails(2, "directory", arguments=("bands", "Llama-3.1-8B", "-o", tmp_path / "b.svg"))


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    arguments = ("bands", "Llama-3.1-8B", "-o", tmp_path / "a.svg")
    fails(5, 'pip install "ropelab[plot]"', arguments=arguments)


@pytest.mark.parametrize("columns", ["10", "20", "59", "60"])
def test_no_width_loses_a_column(columns: str) -> None:
    pairs = document("bands", "Llama-3.1-8B")["full_attention"]
    said = ropelab("bands", "Llama-3.1-8B", env={"COLUMNS": columns}).stdout
    letters = "".join(each for each in said if each not in " \n│")
    assert all(f"{pair['inv_freq']:.6e}" in letters for pair in pairs)
    assert ("│" in said) == (columns == "60")

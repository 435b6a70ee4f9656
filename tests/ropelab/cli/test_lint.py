"""The linter's findings, as a table and as an exit code."""

from pathlib import Path

from ropelab.lint import KINDS
from ropelab.lint import lint as findings_of
from ropelab.lint.kind import SEVERITIES
from tests.ropelab.cli.support import (
    LLAMA_3_1,
    ROOT,
    config_file,
    document,
    fails,
    gguf_file,
    ropelab,
)


def test_findings_are_those_of_the_library(tmp_path: Path) -> None:
    scaling = {**LLAMA_3_1["rope_scaling"], "beta_fast": 32.0}  # which is YaRN's
    config = {**LLAMA_3_1, "rope_scaling": scaling}
    found = document("lint", config_file(tmp_path, config), code=1)["findings"]
    expected = findings_of(config)
    assert [each["kind"] for each in found] == [each.kind for each in expected]
    assert [each["fix"] for each in found] == [each.fix for each in expected]
    assert "ignored-key" in {each["kind"] for each in found}


def test_the_table_has_kind_message_and_fix(tmp_path: Path) -> None:
    config = {**LLAMA_3_1, "max_position_embeddings": 8192, "rope_scaling": {"rope_type": "linear"}}
    result = ropelab("lint", config_file(tmp_path, config), env={"COLUMNS": "400"})
    assert result.exit_code == 1
    for each in findings_of(config):
        assert each.kind in result.stdout
        assert each.message in result.stdout
        assert each.fix in result.stdout


def test_nothing_to_find(tmp_path: Path) -> None:
    config = {
        "model_type": "llama",
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "max_position_embeddings": 2048,
        "rope_theta": 10000.0,
    }
    result = ropelab("lint", config_file(tmp_path, config))
    assert result.exit_code == int(any(f.severity != "note" for f in findings_of(config)))


def test_a_gguf_file(tmp_path: Path) -> None:
    file = gguf_file(tmp_path)
    assert document("lint", file)["findings"] == []
    said = ropelab("lint", file, env={"COLUMNS": "400"}).stdout
    assert "nothing to find fault with in its keys; lengths" in said
    assert "config.json alone" in said


def test_kinds() -> None:
    kinds = document("lint", "--kinds")
    assert [kind["name"] for kind in kinds] == list(KINDS)
    assert len(kinds) >= 25
    said = ropelab("lint", "--kinds", env={"COLUMNS": "300"}).stdout
    assert all(name in said for name in KINDS)


def test_bad_input() -> None:
    fails(2, "CONFIG", arguments=("lint",))


def test_the_page_lists_the_severities() -> None:
    page = (ROOT / "docs/command-line.md").read_text("utf-8")
    for severity, meaning in SEVERITIES.items():
        said = meaning[0].lower() + meaning.rstrip(".")[1:]
        assert f"| {severity} | {said} |" in page

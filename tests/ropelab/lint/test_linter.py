"""Each kind of defect is found where it is, and not where it is not; and its fix mends it."""

from __future__ import annotations

import ast
import json
import tracemalloc
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ropelab import Rope
from ropelab.formats.transformers.rope import NO_ROPE
from ropelab.lint import KINDS, SEVERITIES, Finding, lint
from ropelab.scaling import YaRN, YaRNPaper
from tests.ropelab.lint.defects import CASES, LAYERS, LLAMA, QWEN_VL, changed, scaled
from tests.ropelab.lint.mending import mended
from tests.ropelab.support import refuses

FORMATS = Path(__file__).parents[3] / "ropelab" / "formats"

# Kinds whose fix is for a person: a choice, or something outside of the config.
BY_HAND = {
    *("two-dictionaries", "two-bases", "two-values", "outside-text-config", "share-by-model"),
    *("flat-beside-layers", "rule-left-to-class", "llama3-step", "attention-factor-given"),
    *("truncate-unread", "longrope-list-misfit", "longrope-list-descends", "list-by-version"),
    *("stretch-below-lengths", "positions-alias", "frequencies-rounded", "angles-coarse"),
    *("differs-in-exllamav2", "differs-in-nemo-automodel", "differs-in-llama-cpp"),
    "differs-in-vllm",
    *("layer-parameters-missing", "attention-factor-below-one", "layer-base-missing"),
}


def found_in(config: Any, kind: str) -> list[Finding]:
    return [finding for finding in lint(config) if finding.kind == kind]


def message(config: Mapping[str, Any], kind: str) -> str:
    (finding,) = found_in(config, kind)
    return finding.message


def test_there_is_a_case_for_each_kind() -> None:
    assert sorted(CASES) == sorted(KINDS)
    assert len(KINDS) >= 25


@pytest.mark.parametrize("name", CASES)
def test_a_config_with_the_defect(name: str) -> None:
    found = found_in(changed(CASES[name].bad), name)
    assert found
    for finding in found:
        assert finding.severity == KINDS[name].severity
        assert finding.reason == f"{KINDS[name].reason} ({KINDS[name].source})"
        assert finding.keys
        assert all(isinstance(key, str) for key in finding.keys)
        assert CASES[name].fix in finding.fix


@pytest.mark.parametrize("name", CASES)
def test_a_config_near_it_that_has_it_not(name: str) -> None:
    assert found_in(changed(CASES[name].good), name) == []


@pytest.mark.parametrize("name", sorted(set(CASES) - BY_HAND))
def test_the_fix_mends_it(name: str) -> None:
    config: Any = changed(CASES[name].bad)
    for _ in range(2):  # parameter-missing names one key after the other
        found = found_in(config, name)
        if found:
            config = mended(config, found[0].fix)
            assert config is not None, found[0].fix
    assert found_in(config, name) == []


def test_a_kind_says_what_why_and_by_whom() -> None:
    for name, kind in KINDS.items():
        assert kind.name == name
        assert kind.severity in SEVERITIES
        assert kind.title
        assert not kind.title.endswith(".")
        assert kind.reason.endswith(".")
        assert len(kind.reason) > 60
        assert kind.source
        assert not kind.source.endswith(".")


@pytest.mark.parametrize("path", sorted((FORMATS / "transformers").glob("*.py")))
def test_whatever_the_reader_finds_is_of_a_kind(path: Path) -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "findings.add"
    ]
    for call in calls:
        assert len(call.args) == 3, ast.unparse(call)
        kind = NO_ROPE if ast.unparse(call.args[2]) == "NO_ROPE" else ast.literal_eval(call.args[2])
        assert kind in {*KINDS, NO_ROPE}


def test_a_sound_config_has_no_findings() -> None:
    assert lint(LLAMA) == []


def test_the_worst_comes_first() -> None:
    config = changed({"torch_dtype": "bfloat16", "rotary_dim": 64, **scaled({"rope_type": "yarn"})})
    severities = [finding.severity for finding in lint(config)]
    assert set(severities) == set(SEVERITIES)
    assert severities == sorted(severities, key=list(SEVERITIES).index)


def test_a_config_is_left_alone() -> None:
    for case in CASES.values():
        config = changed(case.bad)
        before = deepcopy(config)
        lint(config)
        assert config == before


def test_a_misspelt_parameter_that_is_needed_is_recognised() -> None:
    config = changed(scaled({"rope_type": "linear", "facter": 4.0}))
    (finding,) = found_in(config, "parameter-missing")
    assert finding.fix == 'rename "facter" to "factor" in rope_scaling'


def test_a_share_survives_being_cut_off() -> None:
    """44 times the float next to 30 / 44 is less than 30."""
    config = changed({"model_type": "glm4", "head_dim": 44, "partial_rotary_factor": 29.9 / 44})
    (finding,) = found_in(config, "odd-width")
    config = mended(config, finding.fix) or {}
    assert int(44 * config["partial_rotary_factor"]) == 30
    assert found_in(config, "odd-width") == []


def test_original_lengths_above_the_advertised_one() -> None:
    """The first is MiniCPM-V 4's slip, 32786 for 32768, in small."""
    key = "original_max_position_embeddings"
    rule = {"rope_type": "yarn", "factor": 4.0}
    said = [found_in(changed(scaled(rule, **{key: n})), "original-not-below") for n in (2048, 8192)]
    assert said == [[], []]
    (slip,) = found_in(changed(scaled(rule, **{key: 8200})), "original-not-below")
    assert slip.message == f"{key} = 8200 is not below max_position_embeddings = 8192"
    assert slip.fix.startswith(f'write "{key}": 8192 in rope_scaling')
    lists = {"rope_type": "longrope", "short_factor": [1.0] * 64, "long_factor": [2.0] * 64}
    (dead,) = found_in(changed(scaled(lists, factor=4.0, **{key: 8192})), "original-not-below")
    assert dead.fix.startswith('write "max_position_embeddings": 32768 in the config')


def test_the_published_first_breaches() -> None:
    """The numbers are those of mpmath at 40 digits."""
    plain = {**LLAMA, "max_position_embeddings": 131072}
    for base, distance in ((1e4, 1707), (5e5, 18438), (1e6, 27115)):
        said = message({**plain, "rope_theta": base}, "base-bound")
        assert f"at distance {distance}, within 131072" in said
    llama31 = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    said = message({**plain, "rope_scaling": llama31}, "base-bound")
    assert "at distance 85133" in said
    short = {**plain, "rope_scaling": llama31, "max_position_embeddings": 85133}
    assert found_in(short, "base-bound") == []


def test_channels_that_do_not_turn_weigh_against_a_breach() -> None:
    plain = {**LLAMA, "head_dim": 64, "rope_theta": 1e4}
    assert "at distance 725, within 8192" in message(plain, "base-bound")
    partial = {**plain, "model_type": "gpt_neox", "head_dim": 128, "partial_rotary_factor": 0.5}
    assert found_in(partial, "base-bound") == []
    latent = {**plain, "model_type": "deepseek_v3", "qk_rope_head_dim": 64}
    assert "at distance 725, within 8192" in message(latent, "base-bound")
    assert found_in({**latent, "qk_nope_head_dim": 128}, "base-bound") == []
    narrow = {**latent, "qk_nope_head_dim": 2}  # one pair more: the first sum below -1
    assert "at distance 965, within 8192" in message(narrow, "base-bound")
    with refuses(TypeError, "qk_nope_head_dim", "'wide'"):
        lint({**latent, "qk_nope_head_dim": "wide"})


def test_sliding_windows_are_judged_by_their_window() -> None:
    layers = {**LLAMA, "layer_types": list(LAYERS), "rope_parameters": LAYERS}
    del layers["rope_theta"]
    assert found_in(layers, "base-bound") == []  # how wide the window is, is not said
    narrow, wide = ({**layers, "sliding_window": window} for window in (1024, 2048))
    assert found_in(narrow, "base-bound") == []
    assert message(wide, "base-bound").startswith("sliding_attention: the sum of cosines is -0.499")


def test_the_published_counts_of_distinct_positions() -> None:
    config = {**LLAMA, "torch_dtype": "bfloat16", "max_position_embeddings": 131072 + 512}
    said = message(config, "positions-alias")
    assert "position 257 is 256 there" in said
    assert said.endswith("the last 512 of 131584 positions are one number")
    shorter = message({**config, "max_position_embeddings": 2048}, "positions-alias")
    # bfloat16 has 8 bits: from 1024 on every 8th number, of 1536 to 2047 those and 2048.
    assert shorter.endswith("the last 512 of 2048 positions are 65 different numbers")


def test_runtimes_differ_by_the_numbers_of_the_page() -> None:
    """Rows 10, 14 and 19 of docs/differences.md."""
    oss = changed(
        {
            "model_type": "gpt_oss",
            "head_dim": 64,
            "rope_theta": 150000.0,
            "max_position_embeddings": 131072,
            **scaled(
                {
                    "rope_type": "yarn",
                    "factor": 32.0,
                    "truncate": False,
                    "original_max_position_embeddings": 4096,
                }
            ),
        }
    )
    said = message(oss, "differs-in-llama-cpp")
    assert said == "9 of 32 frequencies differ, that of pair 17 by 1.763 times"
    dynamic = changed({"rope_theta": 1e4, "max_position_embeddings": 4096})
    dynamic |= scaled({"rope_type": "dynamic", "factor": 2.0})
    said = message(dynamic, "differs-in-vllm")
    assert said == "63 of 64 frequencies differ at 8192 tokens, that of pair 63 by 3 times"


def test_a_rope_is_linted_as_its_config() -> None:
    rope = Rope(128, base=1e6, scaling=YaRN(4.0, 32768), max_position_embeddings=32768)
    kinds = {finding.kind for finding in lint(rope)}
    assert "length-not-stretched" in kinds
    with refuses(ValueError, "scaling", "'yarn_paper'"):
        lint(Rope(128, scaling=YaRNPaper(4.0, 32768)))


def test_a_file_and_an_object_are_linted_alike(tmp_path: Path) -> None:
    config = changed(CASES["ignored-key"].bad)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    assert lint(path) == lint(str(path)) == lint(SimpleNamespace(**config)) == lint(config) != []


@pytest.mark.parametrize(
    ("config", "error", "words"),
    [
        ({"model_type": "gpt2"}, ValueError, "config: expected a model with a rotary"),
        ({"model_type": "falcon", "alibi": True}, ValueError, "config: expected a model with"),
        ({"model_type": "newcomer", "head_dim": 64}, ValueError, "config: expected a model with"),
        (changed(scaled({"rope_type": "yarnn"})), ValueError, "did you mean 'yarn'"),
        (
            changed({"model_type": "phi3", **scaled({"rope_type": "linear"})}),
            ValueError,
            "'linear'",
        ),
        (changed({"rope_theta": "x"}), TypeError, "rope_theta: expected a real number"),
        (changed({"rope_scaling": 4.0}), TypeError, "rope_scaling: expected a dictionary"),
        (changed({"rope_theta": -1.0}), ValueError, "rope_theta: expected"),
        (
            changed({**QWEN_VL, **scaled({"mrope_section": 3})}),
            TypeError,
            "mrope_section: expected",
        ),
        ("no/such/config.json", ValueError, "config: expected the path"),
        ("Llama-3.1-8B", ValueError, "look for the model in ropelab.models"),
        (7, TypeError, "config: expected a mapping"),
        (None, TypeError, "config: expected a mapping"),
    ],
)
def test_what_is_no_config_is_refused(config: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        lint(config)
    assert words in str(caught.value)


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "llama",', encoding="utf-8")
    with pytest.raises(ValueError, match="no sound JSON"):
        lint(path)


def test_a_refusal_that_is_no_kind_is_raised() -> None:
    with pytest.raises(ValueError, match=r"^swa_rope_theta: expected none"):
        lint({**LLAMA, "swa_rope_theta": 10000.0})


def test_a_finding_says_how_bad_it_is() -> None:
    (finding,) = found_in({**LLAMA, "partial_rotary_factor": 0.5}, "unused-share")
    assert str(finding) == f"warning: {finding.message} [unused-share]"


def test_a_length_beyond_the_numbers_of_float64_is_looked_at_as_far_as_they_go() -> None:
    config = LLAMA | {"max_position_embeddings": 2**60, "dtype": "bfloat16"}
    assert f"position {2**53}" in message(config, "angles-coarse")
    assert f"{2**53} positions" in message(config, "positions-alias")
    assert f"within {2**60} tokens" in message(config, "base-bound")


def test_a_far_length_of_a_large_base_is_searched_to_its_end() -> None:
    # Walked through, a billion tokens would take an hour.
    config = LLAMA | {"rope_theta": 1e30, "max_position_embeddings": 10**9}
    assert not found_in(config, "base-bound")


def test_where_the_work_ends_the_search_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ropelab.lint.reach._WORK", 1 << 20)
    config = LLAMA | {"rope_theta": 1e12, "max_position_embeddings": 10**9}
    told = message(config, "base-bound")
    assert "which alone were tried of 1000000000 tokens" in told


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({1: 2}, "config"),
        (LLAMA | {1: 2}, "config"),
        (LLAMA | {"rope_scaling": {1: 2}}, "rope_scaling"),
        ({"model_type": "qwen2_vl", "text_config": LLAMA | {1: 2}}, "text_config"),
    ],
)
def test_keys_are_names(config: Any, name: str) -> None:
    with refuses(TypeError, name, "expected names as keys", "got 1 of type int"):
        lint(config)


@pytest.mark.parametrize(("short", "long"), [(1e-308, 1e308), (1e308, 1e-308)])
@pytest.mark.parametrize("model_type", ["phi3", "llama"])
def test_lists_of_absurd_factors_make_no_warnings(
    short: float, long: float, model_type: str
) -> None:
    rule = {"type": "longrope", "short_factor": [short] * 64, "long_factor": [long] * 64}
    config = LLAMA | {"model_type": model_type, "rope_scaling": rule}
    assert lint(config | {"original_max_position_embeddings": 1024})


def test_a_wide_head_is_looked_at_within_bounds() -> None:
    # 512 positions of each pair would be half a gigabyte for each of a dozen arrays.
    tracemalloc.start()
    config = LLAMA | {"head_dim": 1 << 14, "max_position_embeddings": 2**20, "rope_theta": 1e4}
    assert "within 1048576 tokens" in message(config, "base-bound")
    assert "before position 1048576" in message(config, "angles-coarse")
    assert tracemalloc.get_traced_memory()[1] < 2**28
    tracemalloc.stop()

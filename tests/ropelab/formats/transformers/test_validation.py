"""What Transformers warns of is a finding, under the key that it is about."""

import pytest

from ropelab import from_transformers
from ropelab.formats import read_transformers
from tests.ropelab.formats.published import LLAMA_3, LLAMA_3_RULE, Config
from tests.ropelab.support import refuses

YARN: Config = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
LONG: Config = {
    "rope_type": "longrope",
    "short_factor": [1.0] * 64,
    "long_factor": [2.0] * 64,
    "original_max_position_embeddings": 4096,
    "factor": 32.0,
}


def rule(given: Config, **changed: object) -> Config:
    return {**LLAMA_3, "rope_scaling": {**given, **changed}}


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        (rule(YARN), []),
        (rule(YARN, factor=8.0), ["factor"]),
        (rule(YARN, factor=None), ["factor"]),
        (rule(YARN, factor=8.0, original_max_position_embeddings=131072), []),
        (rule(YARN, beta_fast=None, beta_slow=0), []),
        (rule(LONG), []),
        (rule({key: LONG[key] for key in LONG if key != "factor"}), ["factor"]),
        (rule(LONG, beta_fast=32.0, short_mscale=1.0), ["beta_fast", "short_mscale"]),
        (rule(LLAMA_3_RULE), []),
        (rule(LLAMA_3_RULE, high_freq_factor=1.0), ["high_freq_factor"]),
        (
            rule(LLAMA_3_RULE, original_max_position_embeddings=131072),
            ["original_max_position_embeddings"],
        ),
        (rule({"rope_type": "proportional"}), ["partial_rotary_factor"]),
        (rule({"rope_type": "proportional", "partial_rotary_factor": 0.5}), []),
        (rule({"type": "linear", "factor": 0.5}), ["factor"]),
        (rule({"type": "dynamic", "factor": 2.0, "alpha": 1000.0}), ["alpha"]),
    ],
)
def test_oddities_are_findings_and_nothing_else_is(config: Config, keys: list[str]) -> None:
    assert [finding.key for finding in read_transformers(config).findings] == keys


def test_a_rule_of_one_layer_does_not_take_truncate() -> None:
    # Transformers asks the whole of rope_parameters for it.
    layers = {"full_attention": {**YARN, "rope_theta": 5e5, "truncate": False}}
    config = {**LLAMA_3, "rope_parameters": layers}
    with pytest.warns(UserWarning, match="truncate = False has no effect"):
        nested = from_transformers(config, "full_attention")
    flat = from_transformers({**LLAMA_3, "rope_parameters": {**YARN, "rope_theta": 5e5}})
    assert nested == flat


@pytest.mark.parametrize("name", ["short_factor", "long_factor"])
@pytest.mark.parametrize("length", [63, 65, 128])
def test_a_list_has_one_number_a_pair(name: str, length: int) -> None:
    with refuses(ValueError, name, "64", str(length)):
        from_transformers(rule(LONG, **{name: [1.0] * length}))


@pytest.mark.parametrize("old", ["su", "yarn"])
def test_phi_3_has_older_names_of_longrope(old: str) -> None:
    config = rule(LONG, rope_type=old)
    config["model_type"] = "phi3"
    assert from_transformers(config) == from_transformers(rule(LONG))
    with refuses(ValueError, "rope_type", "'linear'", "phi3"):
        from_transformers({**config, "rope_scaling": {"type": "linear", "factor": 2.0}})


def test_phimoe_needs_both_mscales_and_is_told_of_its_long_list() -> None:
    config = {**rule(LONG, short_mscale=1.25, long_mscale=1.5), "model_type": "phimoe"}
    reading = read_transformers(config)
    assert [finding.key for finding in reading.findings] == ["long_factor"]
    assert reading.rope is not None
    factors = [reading.rope.spectrum(length).attention_factor for length in (4096, 4097)]
    assert factors == [1.25, 1.5]
    with refuses(ValueError, "rope_scaling", "long_mscale, short_mscale"):
        read_transformers({**rule(LONG), "model_type": "phimoe"})

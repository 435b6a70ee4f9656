"""Changing one line of the specification's formulas makes the check fail.

Each edit is applied to a copy of the source, which is then asked in a process of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# file, line as it stands, line as a slip of the pen would have it
EDITS = [
    ("scaling/default.py", "Fraction(-2 * i, rotary_dim)", "Fraction(-2 * i, rotary_dim - 2)"),
    ("scaling/default.py", "Fraction(-2 * i, rotary_dim)", "Fraction(-2 * i - 1, rotary_dim)"),
    ("scaling/linear.py", "rope.base) / self.factor)", "rope.base) * self.factor)"),
    ("scaling/ntk.py", "Fraction(rotary_dim, rotary_dim - 2)", "Fraction(1)"),
    ("scaling/dynamic_ntk.py", "- (self.factor - 1.0)", "- self.factor + 1.001"),
    ("scaling/dynamic_ntk.py", "max(limit if seq_len is None else seq_len, limit)", "limit"),
    ("scaling/dynamic_length.py", "length < self.original", "length <= self.original"),
    ("scaling/dynamic_length.py", "if length > self.length", "if length > self.original"),
    ("scaling/llama3.py", "inv_freq / (2.0 * np.pi)", "inv_freq / np.pi"),
    ("scaling/llama3.py", "(1.0 - kept) * (inv_freq", "kept * (inv_freq"),
    ("scaling/llama3.py", "(above > 0.0)", "(above < 0.0)"),
    ("scaling/longrope.py", "and seq_len > self", "and seq_len >= self"),
    ("scaling/longrope.py", "self.long_mscale if is_long", "self.short_mscale if is_long"),
    ("scaling/longrope_exllamav2.py", "if loaded > original", "if loaded < original"),
    ("scaling/magnitude.py", "/ Decimal(original).ln()", "/ Decimal(original).log10()"),
    ("scaling/proportional.py", "< turning", "<= turning"),
    ("scaling/proportional.py", "rope.base) / self.factor", "rope.base)"),
    ("scaling/te_interpolation.py", "seq_len > trained * self.factor", "seq_len > trained"),
    ("scaling/te_interpolation.py", "stretch = seq_len / trained", "stretch = self.factor"),
    ("scaling/dynamic_linear.py", "(length / limit)", "(limit / length)"),
    ("scaling/vllm_dynamic.py", "/ trained - (self.factor - 1.0)", "/ trained"),
    ("scaling/vllm_dynamic.py", "max(limit, trained) / trained", "limit / trained"),
    ("scaling/sglang_dynamic.py", "self.factor * self.factor - (self.factor - 1.0)", "self.factor"),
    ("scaling/vllm_ntk.py", "Fraction(i + 1, pairs)", "Fraction(i, pairs)"),
    ("scaling/vllm_ntk.py", "power(float(part), beta)", "power(float(part), 1 / beta)"),
    ("scaling/hope.py", ">= 2.0 * np.pi", ">= np.pi"),
    ("scaling/resonance.py", "np.rint(wavelengths)", "np.floor(wavelengths)"),
    ("scaling/resonance.py", ", periods=periods)", ")"),
    ("scaling/rounded.py", "spectrum(rope, seq_len).astype", "spectrum(rope).astype"),
    (
        "scaling/explicit.py",
        "Spectrum(self.inv_freq, self.attention_factor)",
        "Spectrum(self.inv_freq)",
    ),
    ("scaling/stretched.py", "inner.inv_freq / self.factor", "inner.inv_freq * self.factor"),
    ("formats/dialect.py", "int(head_dim * min(part, 1.0))", "head_dim"),
    ("formats/dialect.py", "if all(weights):", "if any(weights):"),
    ("formats/nemo_automodel.py", 'found["long_factor"] = found', 'found["short_factor"] = found'),
    ("formats/nemo_automodel.py", "replace(rule, attention_factor=1.0)", "rule"),
    ("formats/transformer_engine.py", "findings.add(reaches", "str.format(reaches"),
    ("formats/exllamav2.py", "above=0.0), alpha, width)", "above=0.0), alpha, turned)"),
    ("formats/exllamav2.py", "if stretch != 1.0:", "if kind == 'linear':"),
    ("formats/vllm.py", "longer = 4 * ", "longer = 1 * "),
    ("formats/vllm.py", '"long" if engine > ', '"long" if engine >= '),
    ("formats/gguf.py", '"long" if size > ', '"long" if size >= '),
    ("formats/gguf.py", "else 3 for i", "else 0 for i"),
    ("formats/gguf_yarn.py", "magnitude / (1.0 + 0.1 * math.log(stretch))", "magnitude"),
    ("formats/megatron.py", 'output_layout="half"', 'output_layout="interleaved"'),
    ("formats/megatron.py", "Stretched(llama, stretch)", "llama"),
    ("scaling/power.py", "DIGITS = 45", "DIGITS = 12"),
    ("spectrum.py", "4 * (4 * arctan_inverse(5)", "4 * (3 * arctan_inverse(5)"),
    ("spectrum.py", "(2 * scaled + period) // (2 * period)", "(scaled + period) // period"),
    ("phases.py", "positions.astype(np.uint64) *", "positions.astype(np.uint32) *"),
    ("phases.py", "positions % np.maximum(periods, 1)", "positions"),
    ("phases.py", "quarter << np.uint64(62)", "quarter << np.uint64(61)"),
    ("phases.py", "[c, -s, -c, s]", "[c, s, -c, -s]"),
    ("phases.py", "2.0 * np.pi / 2.0**64", "2.0 * 3.14159265 / 2.0**64"),
    ("phases.py", "cos * spectrum.attention_factor", "cos"),
    ("phases.py", "spectrum.inv_freq.astype(np.float32)", "spectrum.inv_freq"),
    ("layouts.py", "slice(d // 2, d)", "slice(d // 2 - 1, d - 1)"),
    ("layouts.py", "slice(1, d, 2)", "slice(1, d - 1, 2)"),
    ("positions/packed.py", "bounds[:-1] - first", "bounds[:-1] + first"),
    ("positions/context_parallel.py", "(rank, pieces - 1 - rank)", "(rank, rank + ranks)"),
    ("positions/consecutive.py", "first[:, np.newaxis] +", "first[:1, np.newaxis] +"),
    ("positions/packs.py", "lengths // self.cp_size", "lengths // 1"),
    ("positions/packs.py", "places + np.repeat", "places - np.repeat"),
    ("tables.py", "np.clip(positions, 0, length - 1)", "np.clip(positions, 0, length - 2)"),
    ("tables.py", "pair_channels(layout, ", 'pair_channels("half", '),
    ("positions/mrope.py", "max(height, width) // merge", "max(frames, height, width) // merge"),
    ("positions/mrope.py", "int(part.max(initial=-1)) + 1", "int(part[1:].max(initial=-1)) + 1"),
    ("positions/mrope_axes.py", "(_ROW, _COLUMN) * rows", "(_COLUMN, _ROW) * rows"),
    ("positions/grids.py", "blocks.swapaxes(3, 4)", "blocks"),
    ("scaling/axial.py", "whole[a :: len(widths)]", "whole[:: len(widths)]"),
    ("pairs.py", "x * c - y * s", "x * c + y * s"),
    ("pairs.py", "y * c + x * s", "y * s + x * c"),
    ("pairs.py", "sin = -sin if", "sin = sin if"),
    ("pairs.py", "np.argsort(axes.token_axes).tolist()", "axes.token_axes"),
    ("pairs.py", "ends[::-1] if self.inverse else ends", "ends"),
    (
        "pairs.py",
        "old[..., source[0]]), widen(old[..., source[1]]",
        "old[..., target[0]]), widen(old[..., target[1]]",
    ),
    ("pairs.py", "offset : offset + d]", ":d]"),
    ("kv_cache.py", "written = slots >= 0", "written = slots > 0"),
    ("kv_cache.py", "_write(v_cache, new_values", "_write(v_cache, values"),
    ("kv_cache.py", "astype(np.int64), cache.shape[1])", "astype(np.int64), cache.shape[2])"),
    ("xpos.py", "(10 * i + 2 * d) / (7 * d)", "(5 * i + 2 * d) / (7 * d)"),
    ("xpos.py", "cos / decay, sin / decay", "cos * decay, sin * decay"),
    ("xpos.py", "np.uint64(centre % 2**64)", "np.uint64(0)"),
    ("xpos.py", "layout, inverse=inverse)", "layout)"),
    ("norm_rotary.py", "np.sqrt(mean + norm.eps)", "(np.sqrt(mean) + norm.eps)"),
    ("norm_rotary.py", "widen(given) + norm.weight_offset", "widen(given)"),
    ("norm_rotary.py", "((head_axis, -1), heads * head_dim)", "((-1,), head_dim)"),
    ("query_scale.py", "width - np.uint64(1))", "np.uint64(0))"),
    ("query_scale.py", "1.0 + growth * logarithm", "1.0 + growth * logarithm / np.log(2.0)"),
    ("query_scale.py", "m < self.seq_length", "m <= self.seq_length"),
    ("weights.py", "_permute(group[:-1]", "_permute(group"),
    ("weights.py", "heads[: queries + keys]", "heads[:queries]"),
    ("weights.py", "heads[:, first : first + d]", "heads[:, :d]"),
    ("precision.py", '"bfloat16": (8, -126)', '"bfloat16": (9, -126)'),
    ("precision.py", '"float8_e4m3fn": (4, -6)', '"float8_e4m3fn": (4, -7)'),
    ("precision.py", "np.clip(nearest, -LARGEST[name], LARGEST[name])", "nearest"),
    ("precision.py", "np.rint(np.ldexp(", "np.trunc(np.ldexp("),
    ("float8.py", "numbers / 256.0", "numbers / 128.0"),
    ("pairs.py", "else values / scale", "else values * scale"),
    ("pairs.py", "_stored(widen(array), dtype, scale)", "_stored(widen(array), dtype, None)"),
    ("formats/transformers/widths.py", "int(head_dim * share) if share", "head_dim if share"),
    ("formats/transformers/rules.py", "(new or old or", "(new or"),
    ("formats/transformers/layer_plan.py", "ROPE if flag else NOPE", "NOPE if flag else ROPE"),
    ("formats/transformers/axes.py", "order=order)", 'order="chunked")'),
    ("scaling/ramp.py", "Decimal(rope.rotary_dim - 1)", "Decimal(rope.rotary_dim // 2 - 1)"),
    ("scaling/ramp.py", "high - low or NARROWEST", "high - low or Decimal(1)"),
    ("scaling/ramp.py", "(1.0 - kept) * slowed + kept", "kept * slowed + (1.0 - kept)"),
    ("scaling/magnitude.py", "1.0 if stretch <= 1 else", "1.0 if stretch < 0.5 else"),
    ("scaling/magnitude.py", ".ln() / 10 + 1", '.ln() / Decimal("10.01") + 1'),
    ("scaling/yarn.py", "self.mscale and self.mscale_all_dim", "self.mscale"),
    ("scaling/yarn.py", "truncate=self.truncate", "truncate=True"),
    ("scaling/yarn.py", "return limit / length", "return length / limit"),
    ("scaling/deepseek_yarn.py", "temperature * temperature", "temperature"),
    ("scaling/deepseek_yarn.py", "stretch(rope), self.mscale_all_dim)", "stretch(rope))"),
    ("scaling/yarn_paper.py", "self.beta_slow, self.beta_fast,", "1.0, self.beta_fast,"),
    ("scaling/yarn_paper.py", "attention_factor=yarn_magnitude(self.factor)", "periods=None"),
    (
        "scaling/yarn_exllamav2.py",
        "(rope, served,",
        "(rope, self.original_max_position_embeddings,",
    ),
    ("scaling/yarn_exllamav2.py", "if served <=", "if served <"),
    ("scaling/llama_cpp.py", "kept = self.ext_factor * kept", "kept = kept"),
    ("scaling/llama_cpp.py", "_above(low, high), inv_freq", "high, inv_freq"),
    ("scaling/llama_cpp.py", "= self.attn_factor * log", "= log"),
    ("scaling/dynamic_yarn.py", "if length <= limit", "if length < limit"),
    ("scaling/dynamic_yarn.py", "max(length, limit) / original", "max(length, limit) / limit"),
    ("scaling/ntk_by_parts.py", "self.beta_0, self.beta_1)\n", "self.beta_1, self.beta_0)\n"),
    ("scaling/ntk_by_parts.py", "ntk_base(rope.base, self.factor, d)", "rope.base * self.factor"),
]


def ask(package_parent: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "ropelab.golden"]
    command += ["--no-write", "--no-oracle", "--no-zoo", "--directory", str(ROOT / "golden")]
    environment = {**os.environ, "PYTHONPATH": str(package_parent)}
    return subprocess.run(
        command, cwd=package_parent, env=environment, capture_output=True, text=True, check=False
    )


def test_the_unchanged_copy_is_sound(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ropelab", tmp_path / "ropelab")
    answer = ask(tmp_path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "VERDICT: sound" in answer.stdout


@pytest.mark.parametrize(("file", "line", "slip"), EDITS)
def test_a_slip_in_a_formula_is_noticed(file: str, line: str, slip: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ropelab", tmp_path / "ropelab")
    source = tmp_path / "ropelab" / file
    text = source.read_text("utf-8")
    assert line in text, f"{file} no longer has {line!r}"
    source.write_text(text.replace(line, slip), "utf-8")
    answer = ask(tmp_path)
    assert answer.returncode != 0, f"{slip!r} went unnoticed"
    assert "VERDICT: broken" in answer.stdout, answer.stderr

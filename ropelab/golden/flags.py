"""Which bug a case exists to catch: the mechanisms, each with a thread where it happened."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["FLAGS"]

FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "HalfPrecisionTables": "M1. Positions, frequencies or angles kept in bfloat16 or float16 "
        "(transformers#25681, gpt-neox#1003, modalities#462).",
        "LargeAngle": "M2. Trigonometry without exact range reduction (imp#1316, tt-metal#33971).",
        "Pairing": "M3. Channels paired by the wrong layout (torchtitan#335, llama.cpp#3018).",
        "PositionValues": "M4. Values of position_ids ignored, the table sliced by length "
        "(Automodel#2377, Megatron-LM#453).",
        "Offset": "M5. Offset lost under packing, sharding or a KV cache "
        "(Megatron-LM#5243, executorch#2010).",
        "FrequencyRule": "M6. The scaling rule dropped or wrong "
        "(transformers#32330, unsloth#6197).",
        "Amplitude": "M7. The attention factor missing or applied twice "
        "(vllm#48621, exllamav3#259).",
        "LengthSwitch": "M8. A length-dependent rule not applied, or off by one "
        "(transformers#25104, unsloth#10681).",
        "PartialWidth": "M9. Wrong rotated width or wrong denominator (pie#603, maxtext#4616).",
        "ConfigKeys": "M10. A config's spelling not read (transformers#32167, vllm#28542).",
        "Indexing": "M11. Rows, heads or strides missed by a kernel (mlx#3494, Liger-Kernel#342).",
        "InverseOrInPlace": "M12. A wrong backward, or an input overwritten "
        "(flash-attention#569, unsloth#5001).",
        "Axes": "M13. Position axes in the wrong order (llama.cpp#13282, vmlx-swift#225).",
        "TableEnd": "M14. A table too short, or 32-bit overflow "
        "(sglang#10788, flash-attention#1195).",
        "StaleState": "M15. A cache or buffer keyed wrongly or never filled "
        "(rotary-embedding-torch#11, transformers#45902).",
        "ShortPromptOnly": "M16. Right at small positions alone, which is what weak tests look at "
        "(imp#1316, mobius#548).",
        "Norm": "M11. Channels, heads or weights missed by a fused norm, and eps or the offset of "
        "the weights put in the wrong place.",
        "SeedOddLanes": "M3. Odd channels of interleaved pairs turned the wrong way: "
        "x sin + y cos of themselves (rotalabs-accel's Triton kernel).",
        "SeedHeadsOverrun": "M11. A kernel launched over the heads of q for k too, which has "
        "fewer (rotalabs-accel).",
        "SeedOneKey": "M10. One of two interpolation keys given, and dropped in silence "
        "(Transformer Engine's RotaryPositionEmbedding).",
        "SeedFusedPositions": "M4. Values of position_ids ignored for (batch, sequence) tensors, "
        "heeded for packed ones (NeMo Automodel's fused path).",
        "BadInput": "Input that must be refused before anything is written.",
    }
)

// Rotate queries and keys by given cosines and sines.
//
//   q, k       as in heads.cuh; k may have no heads
//   cos, sin   (outer, inner, PAIRS): any strides, except that pairs adjoin; any of four formats
//
// Moved: each element in and out once, and one row of each table a token.

#include "cos_sin.cuh"
#include "heads.cuh"

struct Table {
  const void* data;
  long long outer_stride, inner_stride;
};

struct RotaryCached {
  Tensors tensors;
  Table cos, sin;
  double direction;  // +1, or -1 for the inverse
};
static_assert(sizeof(RotaryCached) == PARAMETER_BYTES, "parameters.py packs another structure");

__device__ Number entry(const Table& table, Token token, int pair) {
  using Entries = TABLE_FORMAT;
  const auto* entries = static_cast<const Entries::Bits*>(table.data);
  const long long row = token.outer * table.outer_stride + token.inner * table.inner_stride;
  return (Number)Entries::decode(entries[row + pair]);
}

extern "C" __global__ void __launch_bounds__(ACROSS * LANES * TOKENS, 1)
rotary_cached(const __grid_constant__ RotaryCached p) {
  const Number direction = (Number)p.direction;
  rotate_tokens(p.tensors, [&](Token token, int pair) {
    return CosSin<Number>{entry(p.cos, token, pair), product(entry(p.sin, token, pair), direction)};
  });
}

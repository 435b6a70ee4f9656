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

// The angles of one token: its rows of the tables.
struct Angle {
  const RotaryCached& p;
  const Token token;
  __device__ bool was_outdated() { return true; }
  __device__ CosSin<Number> of_pair(int pair) const {
    const Number direction = (Number)p.direction;
    return {entry(p.cos, token, pair), product(entry(p.sin, token, pair), direction)};
  }
};

extern "C" __global__ void __launch_bounds__(ACROSS * LANES * TOKENS, 1)
rotary_cached(const __grid_constant__ RotaryCached p) {
  rotate_tokens(p.tensors, [&](Token token) { return Angle{p, token}; });
}

// Rotate queries and keys by given cosines and sines.
//
//   q, k        as in heads.cuh; k may have no heads
//   cos, sin    (outer, inner, PAIRS), or, INDEXED, (rows, PAIRS), of which the token's position
//               names the row: any strides, except that pairs lie TABLE_STEP apart, 2 where each
//               value stands twice side by side; any of four formats
//   positions   as in tokens.cuh; only where INDEXED
//
// Moved: each element in and out once, and one row of each table and one position a token.

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
#if INDEXED
  Positions positions;
  long long rows;
  int* overrun_flag;  // may be null
#endif
};
static_assert(sizeof(RotaryCached) == PARAMETER_BYTES, "parameters.py packs another structure");

// The row of a token, or of its position: where there is none, the nearest, so that nothing is
// read out of bounds, whether or not the host has looked at the positions.
__device__ Token row_of(const RotaryCached& p, Token token) {
#if INDEXED
  const long long position = load_position(p.positions, token, 0);
  return {0, position < 0 ? 0 : position < p.rows ? position : p.rows - 1};
#else
  return token;
#endif
}

#if INDEXED
// Set the flag if the token of these threads has no row. To be called behind the predecessors,
// since a position that was read before them may be a guess.
__device__ void report_overrun(const RotaryCached& p) {
  const bool is_first = threadIdx.x == 0 && threadIdx.y == 0 && blockIdx.y == 0;
  const Token token = token_of_thread(p.tensors.grid);
  if (!p.overrun_flag || !is_first || !is_present(p.tensors.grid, token)) return;
  const long long position = load_position(p.positions, token, 0);
  if (position < 0 || position >= p.rows) *p.overrun_flag = 1;
}
#endif

__device__ Number entry(const Table& table, Token at, int pair) {
  using Entries = TABLE_FORMAT;
  const auto* entries = static_cast<const Entries::Bits*>(table.data);
  const long long row = at.outer * table.outer_stride + at.inner * table.inner_stride;
  return (Number)Entries::decode(entries[row + pair * TABLE_STEP]);
}

// The angles of one token: its rows of the tables.
struct Angle {
  const RotaryCached& p;
  const Token token;
  Token row;
  __device__ bool was_outdated() {
    row = row_of(p, token);
    return true;
  }
  __device__ CosSin<Number> of_pair(int pair) const {
    const Number direction = (Number)p.direction;
    return {entry(p.cos, row, pair), product(entry(p.sin, row, pair), direction)};
  }
};

extern "C" __global__ void __launch_bounds__(ACROSS * LANES * TOKENS, 1)
rotary_cached(const __grid_constant__ RotaryCached p) {
  rotate_tokens(p.tensors, [&](Token token) { return Angle{p, token, row_of(p, token)}; });
#if INDEXED
  report_overrun(p);
#endif
}

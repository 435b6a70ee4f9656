// Rotate queries, and keys on their way into a cache; write values into a cache of their own.
//
//   q, k           as in heads.cuh
//   v              (tokens, heads_k, VALUE_DIM): any strides, except that channels adjoin
//   k_cache        (blocks, block_size, heads_k, D), and v_cache (..., VALUE_DIM), likewise
//   positions      of any source in tokens.cuh
//   slots          (outer, inner) of SLOT: block * block_size + row
//
// A token whose slot is not in the caches is not written, whatever the slot says: a negative one is
// meant to be none, and a larger one is reported.
//
// Moved: each element in and out once, and 1 to 16 bytes of position and slot a token.

#include "heads.cuh"
#include "spectrum.cuh"

struct Slots {
  const void* data;
  long long outer_stride, inner_stride;
  long long count, block_size;
  int* overrun;  // set to 1 by a slot of `count` or more; null if nobody asks
};

struct CacheStrides { long long block, row; };

struct RotaryKvCache {
  Tensors tensors;  // keys go out to the first row of their cache
  Operand v;        // and so do values
  CacheStrides k_cache, v_cache;
  Slots slots;
  Positions positions;
  Spectrum spectrum;
};
static_assert(sizeof(RotaryKvCache) == PARAMETER_BYTES, "parameters.py packs another structure");

constexpr int VECTORS = VALUE_DIM / VALUE_VECTOR;  // of one head of values
constexpr int VALUE_STEP = ACROSS * STRIDE;        // between the vectors of one thread
using ValueOutput = VALUE_FORMAT;

// The slot of one token, and its values: the first of each thread are loaded with its heads.
struct CacheWriter {
  const RotaryKvCache& p;
  bool present = false;
  SLOT slot = 0;
  const Bits* values = nullptr;  // of the token that is loaded
  Vector<Format, VALUE_VECTOR> held[VALUES_HELD];

  __device__ explicit CacheWriter(const RotaryKvCache& parameters) : p(parameters) {}

  static __device__ int first_vector() { return first_head() * ACROSS + threadIdx.x; }

  // Call visit(j, head, channel) for each vector that is held from number `start` on.
  template <class Visit> __device__ void each(int start, const Visit& visit) const {
#pragma unroll
    for (int j = 0; j < VALUES_HELD; ++j) {
      const int i = start + j * VALUE_STEP;
      if (i < p.v.heads * VECTORS) visit(j, i / VECTORS, i % VECTORS * VALUE_VECTOR);
    }
  }

  __device__ const SLOT* slot_of(Token token) const {
    const Slots& s = p.slots;
    return static_cast<const SLOT*>(s.data) + token.outer * s.outer_stride +
           token.inner * s.inner_stride;
  }

  __device__ void prefetch(Token token) const {
    each(first_vector(), [&](int, int head, int channel) {
      prefetch_to_l2(token_in(p.v, token) + head * p.v.x_head + channel);
    });
    prefetch_to_l2(slot_of(token));
  }

  __device__ void load_values(int start) {
    each(start, [&](int j, int head, int channel) {
      held[j].load(values + head * p.v.x_head + channel);
    });
  }

  __device__ void load(Token token) {
    present = true;
    values = token_in(p.v, token);
    load_values(first_vector());
    slot = *slot_of(token);
  }

  __device__ void store(Rows& rows) {
    const Slots& s = p.slots;
    const long long number = slot;
    if (p.tensors.q.x == p.tensors.q.out) rows.first_tail = rows.q_heads;
    if (present && number >= s.count && s.overrun && first_vector() == 0) *s.overrun = 1;
    if (!present || number < 0 || number >= s.count) {
      rows.stored = rows.q_heads;
      return;
    }
    long long block = number, row = 0;
    if (s.block_size > 1) {
      const bool is_short = s.count >> 32 == 0;  // which divides in fewer instructions
      block = is_short ? (unsigned)number / (unsigned)s.block_size : number / s.block_size;
      row = number - block * s.block_size;
    }
    rows.k_out += block * p.k_cache.block + row * p.k_cache.row;
    store_values(static_cast<ValueOutput::Bits*>(p.v.out) + block * p.v_cache.block +
                 row * p.v_cache.row);
  }

  __device__ void store_values(ValueOutput::Bits* out) {
    const Outlet<ValueOutput, VALUES_SCALED> outlet(p.v);
    for (int start = first_vector();;) {
      each(start, [&](int j, int head, int channel) {
        outlet.passed_on(held[j]).store(out + head * p.v.out_head + channel);
      });
      start += VALUES_HELD * VALUE_STEP;
      if (start >= p.v.heads * VECTORS) break;
      load_values(start);
    }
  }
};

extern "C" __global__ void __launch_bounds__(BOUNDS)
rotary_kv_cache(const __grid_constant__ RotaryKvCache p) {
  rotate_tokens(
      p.tensors, [&](Token token) { return Angle{TokenPosition(p.positions, p.spectrum, token)}; },
      CacheWriter(p));
}

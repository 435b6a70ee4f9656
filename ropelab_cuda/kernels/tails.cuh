// Channels that are not rotated: copied, or converted as the rotated ones are.

#pragma once

#include "operands.cuh"

#if TAIL_VECTOR > 0
// Some heads' vectors of them, in flight.
struct Tails {
  Vector<Format, TAIL_VECTOR> held[UNROLL];

  // Where a vector begins, counted from the first rotated channel: OFFSET of them lie before it.
  static __device__ int channel_of(int vector) {
    const int channel = vector * TAIL_VECTOR - OFFSET;
    return channel < 0 ? channel : channel + 2 * PAIRS;
  }

  __device__ void load(const Tensors& t, const Rows& rows, int start, int vector) {
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + j * STRIDE;
      if (head < rows.heads) held[j].load(row_in(t, rows, head) + channel_of(vector));
    }
  }

  __device__ void prefetch(const Tensors& t, const Rows& rows, int start, int vector) const {
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + j * STRIDE;
      if (head < rows.heads) prefetch_to_l2(row_in(t, rows, head) + channel_of(vector));
    }
  }

  __device__ void store(const Tensors& t, const Rows& rows, const Outlets& outlets, int start,
                        int vector) {
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + j * STRIDE;
      if (head < rows.first_tail || head >= rows.stored) continue;
      store_head(
          t, rows, outlets, head, [&](const auto& to) { return to.passed_on(held[j]); },
          [&](const auto& stored, auto* row) { stored.store(row + channel_of(vector)); });
    }
  }
};

__device__ int tail_vectors(const Tensors& t) { return (int)(t.tail / TAIL_VECTOR); }
#else
struct Tails {
  __device__ void load(const Tensors&, const Rows&, int, int) {}
  __device__ void prefetch(const Tensors&, const Rows&, int, int) const {}
  __device__ void store(const Tensors&, const Rows&, const Outlets&, int, int) {}
};

__device__ int tail_vectors(const Tensors&) { return 0; }
#endif

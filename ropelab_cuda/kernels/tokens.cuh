// The grid of tokens, which of them is a thread's, and the position of each token.

#pragma once

// Batch and sequence in the order of memory: `inner` is the axis with the smaller stride. A block
// takes blockDim.z tokens that neighbour along it; `groups` blocks make one pass over it.
struct TokenGrid { long long outer, inner, groups; };
struct Token { long long outer, inner; };

__device__ Token token_of_thread(const TokenGrid& grid) {
  unsigned outer = 0, group = blockIdx.x;
  if (grid.outer > 1) {  // a division costs a short kernel more than a branch
    const unsigned groups = (unsigned)grid.groups;
    outer = group / groups, group %= groups;
  }
  return {outer, (long long)group * blockDim.z + threadIdx.z};
}

// The last group of a pass may reach past its end.
__device__ bool is_present(const TokenGrid& grid, Token token) { return token.inner < grid.inner; }

// ----------------------------------------------------------------------------------------------
// The position of a token, from a source: POSITION_SOURCE<POSITION>, of integer types in memory. No
// value there is trusted: whatever it is, nothing is read out of bounds, and sums wrap.

// Volatile, because a guess may be read before its writer is done; see dependent.cuh.
template <class Integer> __device__ long long load_integer(const void* data, long long i) {
  return static_cast<const volatile Integer*>(data)[i];
}

__device__ long long wrapping_sum(long long a, long long b) {
  return (long long)((unsigned long long)a + (unsigned long long)b);
}

// Position ids: (axes, outer, inner), any strides; 0 where they broadcast.
template <class Integer> struct Ids {
  const void* data;
  long long axis_stride, outer_stride, inner_stride;

  __device__ long long of(Token token, int axis) const {
    const long long i = axis * axis_stride + token.outer * outer_stride + token.inner * inner_stride;
    return load_integer<Integer>(data, i);
  }
};

// Where sequences start: by a number of the host, and by those at `data`, unless that is null.
struct Offset {
  const void* data;
  long long number;

  template <class Integer> __device__ long long of(long long i) const {
    return data ? wrapping_sum(number, load_integer<Integer>(data, i)) : number;
  }
};

// The offset of the token's sequence, plus its place in it. Both are found by strides along the
// two axes of tokens, as if they lay in memory: so no matter which of these is the sequence.
template <class Integer> struct Consecutive {
  Offset offset;
  long long offset_outer, offset_inner;
  long long place_outer, place_inner;

  __device__ long long of(Token token, int) const {
    const long long sequence = token.outer * offset_outer + token.inner * offset_inner;
    const long long place = token.outer * place_outer + token.inner * place_inner;
    return wrapping_sum(offset.of<Integer>(sequence), place);
  }
};

// A pack, along the inner axis: cumulative lengths (sequences + 1), and offsets of the sequences,
// any strides; 0 where there is one for all. Tokens behind the last sequence have position 0.
template <class Bound, class Integer> struct Packed {
  const void* cu_seqlens;
  long long stride, sequences;
  Offset offset;
  long long offset_stride;
  long long cp_size, cp_rank;

  __device__ long long bound(long long i) const {
    return load_integer<Bound>(cu_seqlens, i * stride);
  }

  // The first sequence that ends behind a token of the whole pack; `sequences` if none does.
  __device__ long long find(long long token) const {
    long long low = 0, high = sequences;
    while (low < high) {
      const long long middle = (low + high) / 2;
      if (bound(middle + 1) <= token) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  // Of 2R pieces of each sequence rank r of R holds numbers r and 2R - 1 - r. So before a token's
  // place lie r pieces of others, or 2R - 2 - r, and the tokens that its rank holds.
  __device__ long long of(Token token, int) const {
    using Wrapping = unsigned long long;
    const long long whole = token.inner * cp_size;  // a token held stands for R of the pack
    const long long sequence = find(whole);
    if (sequence == sequences) return 0;
    const Wrapping begin = bound(sequence);
    Wrapping place = whole - begin;
    if (cp_size > 1) {
      const Wrapping length = bound(sequence + 1) - begin, pieces = 2 * cp_size;
      const Wrapping others = 2 * place < length ? cp_rank : pieces - 2 - cp_rank;
      place = (others * length + 2 * place) / pieces;
    }
    return wrapping_sum(offset.of<Integer>(sequence * offset_stride), (long long)place);
  }
};

#ifdef POSITION  // given tables need none
#ifndef POSITION_SOURCE
#define POSITION_SOURCE Ids
#endif
using Positions = POSITION_SOURCE<POSITION>;

__device__ long long load_position(const Positions& p, Token token, int axis) {
  return p.of(token, axis);
}
#endif

// The grid of tokens, which of them is a thread's, and the position of each token.

#pragma once

// Batch and sequence in the order of memory: `inner` is the axis with the smaller stride. A block
// takes blockDim.z tokens that neighbour along it; `groups` blocks make one pass over it.
struct TokenGrid { long long outer, inner, groups; };
struct Token { long long outer, inner; };

__device__ Token token_of_thread(const TokenGrid& grid) {
  const unsigned groups = (unsigned)grid.groups;
  const unsigned outer = blockIdx.x / groups, group = blockIdx.x % groups;
  return {outer, (long long)group * blockDim.z + threadIdx.z};
}

// The last group of a pass may reach past its end.
__device__ bool is_present(const TokenGrid& grid, Token token) { return token.inner < grid.inner; }

// ----------------------------------------------------------------------------------------------
// The position of a token, from the source that POSITION_SOURCE names. No value in memory is
// trusted: whatever it is, nothing is read out of bounds, and sums wrap.

enum IntegerType { INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32 };

// Volatile, because a guess may be read before its writer is done; see dependent.cuh.
__device__ long long load_integer(const void* data, long long type, long long i) {
  switch (type) {
    case INT8: return static_cast<const volatile signed char*>(data)[i];
    case INT16: return static_cast<const volatile short*>(data)[i];
    case INT32: return static_cast<const volatile int*>(data)[i];
    case INT64: return static_cast<const volatile long long*>(data)[i];
    case UINT8: return static_cast<const volatile unsigned char*>(data)[i];
    case UINT16: return static_cast<const volatile unsigned short*>(data)[i];
    default: return static_cast<const volatile unsigned*>(data)[i];
  }
}

__device__ long long wrapping_sum(long long a, long long b) {
  return (long long)((unsigned long long)a + (unsigned long long)b);
}

// Position ids: (axes, outer, inner), any integer type, any strides; 0 where they broadcast.
struct Ids {
  const void* data;
  long long axis_stride, outer_stride, inner_stride;
  long long type;
};

__device__ long long load_position(const Ids& p, Token token, int axis) {
  const long long i =
      axis * p.axis_stride + token.outer * p.outer_stride + token.inner * p.inner_stride;
  return load_integer(p.data, p.type, i);
}

// Where sequences start: a number of the host, plus that of the device's memory, if there is any.
struct Offset {
  const void* data;
  long long type, number;
};

__device__ long long load_offset(const Offset& offset, long long i) {
  if (!offset.data) return offset.number;
  return wrapping_sum(offset.number, load_integer(offset.data, offset.type, i));
}

// The offset of the token's sequence, plus its place in it. Both are counted by strides along the
// two axes of tokens, as if they lay in memory: so no matter which of the axes is the sequence.
struct Consecutive {
  Offset offset;
  long long offset_outer, offset_inner;
  long long place_outer, place_inner;
};

__device__ long long load_position(const Consecutive& p, Token token, int) {
  const long long place = token.outer * p.place_outer + token.inner * p.place_inner;
  const long long sequence = token.outer * p.offset_outer + token.inner * p.offset_inner;
  return wrapping_sum(load_offset(p.offset, sequence), place);
}

// A pack's cumulative lengths, (sequences + 1), and one offset for all (stride 0) or each. Tokens
// lie along the inner axis. Those behind the last sequence have position 0.
struct Packed {
  const void* cu_seqlens;
  long long stride, type, sequences;
  Offset offset;
  long long offset_stride;
  long long cp_size, cp_rank;
};

// The first sequence that ends behind a token of the whole pack; `sequences` if none does.
__device__ long long find_sequence(const Packed& p, long long token) {
  long long low = 0, high = p.sequences;
  while (low < high) {
    const long long middle = (low + high) / 2;
    const bool is_behind = load_integer(p.cu_seqlens, p.type, (middle + 1) * p.stride) <= token;
    low = is_behind ? middle + 1 : low;
    high = is_behind ? high : middle;
  }
  return low;
}

// Of 2R pieces of each sequence, rank r of R holds numbers r and 2R - 1 - r. So before a token's
// place lie r pieces of other ranks, or 2R - 2 - r, and the tokens that its own rank holds.
__device__ long long load_position(const Packed& p, Token token, int) {
  using Wrapping = unsigned long long;
  const long long held = token.inner * p.cp_size;  // every token held stands for R of the whole
  const long long sequence = find_sequence(p, held);
  if (sequence == p.sequences) return 0;
  const Wrapping begin = load_integer(p.cu_seqlens, p.type, sequence * p.stride);
  Wrapping place = held - begin;
  if (p.cp_size > 1) {
    const Wrapping end = load_integer(p.cu_seqlens, p.type, (sequence + 1) * p.stride);
    const Wrapping length = end - begin, pieces = 2 * p.cp_size;
    const Wrapping others = 2 * place < length ? p.cp_rank : pieces - 2 - p.cp_rank;
    place = (others * length + 2 * place) / pieces;
  }
  return wrapping_sum(load_offset(p.offset, sequence * p.offset_stride), (long long)place);
}

#ifndef POSITION_SOURCE
#define POSITION_SOURCE Ids
#endif
using Positions = POSITION_SOURCE;

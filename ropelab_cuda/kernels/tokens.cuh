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
// Position ids: (axes, outer, inner), any integer type, any strides; 0 where they broadcast.

enum IntegerType { INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32 };

// Volatile, because a guess may be read before its writer is done; see dependent.cuh.
struct Positions {
  const void* data;
  long long axis_stride, outer_stride, inner_stride;
  long long type;
};

__device__ long long load_position(const Positions& p, Token token, int axis) {
  const long long i =
      axis * p.axis_stride + token.outer * p.outer_stride + token.inner * p.inner_stride;
  switch (p.type) {
    case INT8: return static_cast<const volatile signed char*>(p.data)[i];
    case INT16: return static_cast<const volatile short*>(p.data)[i];
    case INT32: return static_cast<const volatile int*>(p.data)[i];
    case INT64: return static_cast<const volatile long long*>(p.data)[i];
    case UINT8: return static_cast<const volatile unsigned char*>(p.data)[i];
    case UINT16: return static_cast<const volatile unsigned short*>(p.data)[i];
    default: return static_cast<const volatile unsigned*>(p.data)[i];
  }
}

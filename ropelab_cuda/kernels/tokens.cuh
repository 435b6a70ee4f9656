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
// Position ids: (axes, outer, inner), of type POSITION, any strides; 0 where they broadcast.
// Volatile, because a guess may be read before its writer is done; see dependent.cuh.

#ifdef POSITION  // given tables need none
struct Positions {
  const void* data;
  long long axis_stride, outer_stride, inner_stride;
};

__device__ long long load_position(const Positions& p, Token token, int axis) {
  const long long i =
      axis * p.axis_stride + token.outer * p.outer_stride + token.inner * p.inner_stride;
  return static_cast<const volatile POSITION*>(p.data)[i];
}
#endif

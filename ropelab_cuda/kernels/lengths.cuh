// The length that a call has come to: its largest position plus one.
//
//   position_ids   (axes, outer, inner), any integer type, any strides; every element counts

#pragma once

#include "tokens.cuh"

struct AllPositions {
  Positions positions;
  long long outer, inner, count;
};

// From 1 on, so that 0 can say that there is none; 2^63 - 1, the largest that rules take, at most.
__device__ long long length_at(long long position) {
  if (position < 0) return 1;
  return position < 0x7fffffffffffffffll ? position + 1 : position;
}

// The largest length among every `step`-th position.
__device__ long long longest_of_thread(const AllPositions& all, long long first, long long step) {
  long long longest = 0;
#pragma unroll 4
  for (long long i = first; i < all.count; i += step) {
    const unsigned long long row = (unsigned long long)i / (unsigned long long)all.inner;
    const long long inner = i - (long long)row * all.inner;
    const unsigned long long axis = row / (unsigned long long)all.outer;
    const long long outer = (long long)row - (long long)axis * all.outer;
    const long long length = length_at(load_position(all.positions, {outer, inner}, (int)axis));
    longest = length > longest ? length : longest;
  }
  return longest;
}

// The largest of a block's threads, of which there are a power of two; every thread learns it.
__device__ long long longest_of_block(long long own) {
  __shared__ long long longest[MAX_THREADS];
  longest[threadIdx.x] = own;
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) {
      const long long other = longest[threadIdx.x + half];
      if (other > longest[threadIdx.x]) longest[threadIdx.x] = other;
    }
  }
  __syncthreads();
  return longest[0];
}

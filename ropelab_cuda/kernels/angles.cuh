// The cosines and sines of one token, which its threads share, and a pair turned by them.

#pragma once

#include "arithmetic.cuh"
#include "operands.cuh"

// Cosines and sines of all pairs of a token, in shared memory.
struct alignas(16) Angles {
  Number cos[PAIRS], sin[PAIRS];
};

__device__ void look_up(const Angles& angles, int unit, Number* cos, Number* sin) {
#pragma unroll
  for (int i = 0; i < PAIRS_HELD; ++i) {
    cos[i] = angles.cos[unit * PAIRS_HELD + i];
    sin[i] = angles.sin[unit * PAIRS_HELD + i];
  }
}

// The threads of a token compute its angles, each a few pairs.
template <class Angle> __device__ void compute(Angles& angles, const Angle& angle) {
  constexpr int threads = ACROSS * LANES;
  for (int pair = threadIdx.y * ACROSS + threadIdx.x; pair < PAIRS; pair += threads) {
    const auto [cos, sin] = angle.of_pair(pair);
    angles.cos[pair] = cos;
    angles.sin[pair] = sin;
  }
}

// x' = x cos - y sin,  y' = y cos + x sin
__device__ void rotate_pair(Number& x, Number& y, Number cos, Number sin) {
  const Number turned = fma(x, cos, -product(y, sin));
  y = fma(y, cos, product(x, sin));
  x = turned;
}

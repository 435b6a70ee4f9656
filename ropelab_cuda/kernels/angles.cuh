// Cosines and sines of all pairs of a token, in shared memory; its threads compute them together.

#pragma once

#include "arithmetic.cuh"
#include "layouts.cuh"
#include "operands.cuh"

// x' = x cos - y sin,  y' = y cos + x sin
__device__ void rotate_pair(Number& x, Number& y, Number cos, Number sin) {
  const Number turned = fma(x, cos, -product(y, sin));
  y = fma(y, cos, product(x, sin));
  x = turned;
}

struct alignas(16) SharedAngles {
  Number cos[PAIRS], sin[PAIRS];

  template <class Angle> __device__ void compute(const Angle& angle) {
    constexpr int threads = ACROSS * LANES;
    for (int pair = threadIdx.y * ACROSS + threadIdx.x; pair < PAIRS; pair += threads) {
      const auto [c, s] = angle.of_pair(pair);
      cos[pair] = c;
      sin[pair] = s;
    }
  }
};

// What a thread takes from there; unless the token's angles were guessed wrong, for then it computes
// its own few anew. That needs no barrier, and may differ between threads.
template <class Angle> struct TokenAngles {
  const SharedAngles& shared;
  const Angle& angle;
  const bool outdated;

  __device__ void of_unit(int unit, Number* cos, Number* sin) const {
#pragma unroll
    for (int i = 0; i < PAIRS_HELD; ++i) {
      const int pair = unit * PAIRS_HELD + i;
      cos[i] = shared.cos[pair];
      sin[i] = shared.sin[pair];
    }
    if (!outdated) return;
#pragma unroll 1
    for (int i = 0; i < PAIRS_HELD; ++i) {
      const auto [c, s] = angle.of_pair(unit * PAIRS_HELD + i);
#pragma unroll
      for (int j = 0; j < PAIRS_HELD; ++j) {  // an index known to the compiler stays in registers
        if (j == i) cos[j] = c, sin[j] = s;
      }
    }
  }
};

// Cosines and sines of all pairs of a token, in shared memory; its threads compute them together.

#pragma once

#include "arithmetic.cuh"
#include "dependent.cuh"
#include "layouts.cuh"
#include "operands.cuh"

// x' = x cos - y sin,  y' = y cos + x sin
__device__ void rotate_pair(Number& x, Number& y, Number cos, Number sin) {
  const Number turned = fma(x, cos, -product(y, sin));
  y = fma(y, cos, product(x, sin));
  x = turned;
}

__device__ void rotate_pairs(Number* x, Number* y, const Number* cos, const Number* sin) {
#pragma unroll
  for (int i = 0; i < PAIRS_HELD; ++i) rotate_pair(x[i], y[i], cos[i], sin[i]);
}

struct alignas(16) SharedAngles {
  Number cos[PAIRS], sin[PAIRS];

  template <class CosSin> __device__ void put(int pair, const CosSin& angle) {
    cos[pair] = angle.cos;
    sin[pair] = angle.sin;
  }

  __device__ void take_unit(int unit, Number* own_cos, Number* own_sin) const {
#pragma unroll
    for (int i = 0; i < PAIRS_HELD; ++i) {
      const int pair = unit * PAIRS_HELD + i;
      own_cos[i] = cos[pair];
      own_sin[i] = sin[pair];
    }
  }
};

constexpr int THREADS_OF_TOKEN = ACROSS * LANES;
__device__ int first_pair() { return threadIdx.y * ACROSS + threadIdx.x; }

// Put a thread's share of the pairs into SharedAngles, or into what takes their place.
template <class Shared, class Angle>
__device__ void compute(Shared& shared, const Angle& angle, int first = first_pair()) {
  for (int pair = first; pair < PAIRS; pair += THREADS_OF_TOKEN) {
    shared.put(pair, angle.of_pair(pair));
  }
}

// Likewise, with the frequency of the thread's first pair at hand.
template <class Shared, class Angle, class Frequency>
__device__ void compute_from(Shared& shared, const Angle& angle, Frequency frequency) {
  const int first = first_pair();
  if (first < PAIRS) shared.put(first, angle.of_pair(first, frequency));
  compute(shared, angle, first + THREADS_OF_TOKEN);
}

// What a thread takes from there; unless the token's angles were guessed wrong, for then it computes
// its own few anew. That needs no barrier, and may differ between threads. Queries and keys turn alike.
template <class Angle> struct TokenAngles {
  static constexpr bool OVER_SCALES = false;  // whether rotated pairs are over the scale of results

  const SharedAngles& shared;
  const Angle angle;
  const bool outdated;

  __device__ void of_unit(int unit, bool is_key, Number* cos, Number* sin) const {
    shared.take_unit(unit, cos, sin);
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

  __device__ void rotate(Number* first, Number* second, bool is_key, const Number* cos,
                         const Number* sin) const {
    rotate_pairs(first, second, cos, sin);
  }
};

// More blocks than that are not resident at once.
constexpr int EARLY_BLOCKS = MULTIPROCESSORS * (2048 / (ACROSS * LANES * TOKENS));

template <class Angle>
__device__ TokenAngles<Angle> token_angles(SharedAngles& shared, Angle angle, bool outdated) {
  return {shared, angle, outdated};
}

// All that comes before the rotation, in the order that hides most of it.
//
//   GUESSES      positions may be read before the predecessors are done: for a guess, which is
//                looked at again
//   FEW_TOKENS   the device is not full, so that each kernel waits for the one before it to let it
//                start: that comes first, and the arithmetic hides behind the loads. Otherwise it
//                hides behind the predecessor, and in later blocks behind what is on its way to L2
//   LOADS_FIRST  later blocks, which have nothing to guess, load first: where rows are fetched in
//                parts, the loads hide the arithmetic better than the way to L2 does
// What cannot be guessed, as given tables, likewise hides behind what is on its way to L2.
template <class Shared, class AnglesOf, class Prefetch, class Load>
__device__ auto angles_and_loads(Shared& shared, const AnglesOf& angles_of,
                                 const Prefetch& prefetch, const Load& load) {
  const auto wait = [&] {
    wait_for_predecessors();
    let_successors_start();
  };
  const auto wait_and_load = [&] {
    wait();
    load();
  };
#if GUESSES && FEW_TOKENS
  auto angle = angles_of();
  prefetch();
  const int first = first_pair();
  const auto frequency = angle.frequency(first < PAIRS ? first : 0);
  wait_and_load();
  const auto guess = angle;
  const bool outdated = angle.was_outdated();
  compute_from(shared, guess, frequency);
  __syncthreads();
#elif GUESSES && LOADS_FIRST
  const bool is_early = blockIdx.x < EARLY_BLOCKS;
  if (!is_early) wait_and_load();
  auto angle = angles_of();
  if (is_early) prefetch();
  compute(shared, angle);
  __syncthreads();
  if (is_early) wait_and_load();
  const bool outdated = is_early && angle.was_outdated();
#elif GUESSES
  auto angle = angles_of();
  prefetch();
  compute(shared, angle);
  __syncthreads();
  wait_and_load();
  const bool outdated = angle.was_outdated();
#elif FEW_TOKENS
  prefetch();
  wait_and_load();
  const auto angle = angles_of();
  compute(shared, angle);
  __syncthreads();
  constexpr bool outdated = false;
#else
  prefetch();
  wait();
  const auto angle = angles_of();
  compute(shared, angle);
  __syncthreads();
  load();
  constexpr bool outdated = false;
#endif
  return token_angles(shared, angle, outdated);
}

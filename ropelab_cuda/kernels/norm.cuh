// A head spread over the threads of one warp or less, each holding some of its channels in
// registers: its mean square, and its channels normed, rotated and stored.
//
//   2 * PAIRS rotated channels, and TAIL others, OFFSET of them before those
//   thread x of ACROSS, a power of two, holds units x, x + ACROSS, ...
//
// Threads to spare, where a head has no power of two of units, hold nothing but take part in sums.

#pragma once

#include "angles.cuh"
#include "dependent.cuh"
#include "layouts.cuh"
#include "operands.cuh"

using WeightFormat = WEIGHT_FORMAT;
using WeightBits = WeightFormat::Bits;
using WeightNumber = decltype(WeightFormat::Number() + Number());  // double if either is
static_assert(ACROSS <= 32 && (ACROSS & (ACROSS - 1)) == 0, "a head must lie within a warp");

constexpr int ROUNDS = (ALL_UNITS + ACROSS - 1) / ACROSS;
__device__ int unit_of(int round) { return round * ACROSS + (int)threadIdx.x; }
__device__ bool has_unit(int round) { return unit_of(round) < ALL_UNITS; }

// The same sum, to the bit, in each of `width` neighbouring threads; all of a warp must call it.
__device__ Number sum_over(int width, Number mine) {
#pragma unroll
  for (int step = width / 2; step > 0; step /= 2) mine += __shfl_xor_sync(0xffffffff, mine, step);
  return mine;
}

template <int N> __device__ Number squares_of(const Number (&numbers)[N], Number sum) {
#pragma unroll
  for (int i = 0; i < N; ++i) sum = fma(numbers[i], numbers[i], sum);
  return sum;
}

// What multiplies a head: 1 / sqrt(mean + eps), and weight + offset where it has weights.
struct Scaling {
  Number factor;
  WeightNumber offset;
  bool weighted;

  template <int N>
  __device__ void apply(Number (&numbers)[N], const WeightNumber (&weights)[N]) const {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      numbers[i] = product(numbers[i], factor);
      if (weighted) numbers[i] = product(numbers[i], (Number)(weights[i] + offset));
    }
  }
};

// What one thread holds of the channels of a head, or of their weights, in a layout as it comes in.
template <class Unit> struct Held {
  using Bits = typename Unit::Bits;

  Unit units[ROUNDS];

  __device__ void load(const Bits* row) {
#pragma unroll
    for (int round = 0; round < ROUNDS; ++round) {
      if (has_unit(round)) units[round].load(row, unit_of(round));
    }
  }

  static __device__ void prefetch(const Bits* row) {
#pragma unroll
    for (int round = 0; round < ROUNDS; ++round) {
      if (has_unit(round)) prefetch_share(row, unit_of(round));
    }
  }
};

using Channels = Held<Source>;
using Weights = Held<LAYOUT<WEIGHT_FORMAT>>;

__device__ Number squares(const Channels& head) {
  Number sum = 0;
#pragma unroll
  for (int round = 0; round < ROUNDS; ++round) {
    if (!has_unit(round)) continue;
    Number first[PAIRS_HELD], second[PAIRS_HELD];
    head.units[round].decode(first, second);
    const Number of_first = squares_of(first, 0);
    sum += is_single(unit_of(round)) ? of_first : squares_of(second, of_first);
  }
  return sum;
}

template <class Angles>
__device__ void norm_rotate_and_store(const Channels& head, const Weights& weights,
                                      const Scaling& scaling, const Angles& angles,
                                      const Outlet<Output, SCALED>& outlet, Output::Bits* row) {
#pragma unroll
  for (int round = 0; round < ROUNDS; ++round) {
    if (!has_unit(round)) continue;
    const int unit = unit_of(round);
    Number first[PAIRS_HELD], second[PAIRS_HELD], cos[PAIRS_HELD], sin[PAIRS_HELD];
    WeightNumber first_weights[PAIRS_HELD] = {}, second_weights[PAIRS_HELD] = {};
    head.units[round].decode(first, second);
    if (scaling.weighted) weights.units[round].decode(first_weights, second_weights);
    scaling.apply(first, first_weights);
    scaling.apply(second, second_weights);
    const auto store = [&](auto normed) {
      outlet.apply(first);
      outlet.apply(second);
      normed.encode(first, second);
      normed.store(row, unit);
    };
    if (turns(unit)) {
      angles.of_unit(unit, false, cos, sin);
      rotate_pairs(first, second, cos, sin);
      store(OUTPUT_LAYOUT<Output>());
    } else {
      store(LAYOUT<Output>());
    }
  }
}

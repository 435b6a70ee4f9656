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
__device__ bool has_unit(int round) {
  return (round + 1) * ACROSS <= ALL_UNITS || unit_of(round) < ALL_UNITS;
}

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

// How a thread's pairs turn, each member with its weight; found once for all heads that share them:
//
//   x' = x (u cos) - y (v sin),  y' = y (v cos) + x (u sin)
//
// Where a unit does not turn, its channels are only weighted.
struct WeightedTurns {
  Number first_cos[ROUNDS][PAIRS_HELD], second_sin[ROUNDS][PAIRS_HELD];
  Number second_cos[ROUNDS][PAIRS_HELD], first_sin[ROUNDS][PAIRS_HELD];

  template <class Angles>
  __device__ WeightedTurns(const Angles& angles, const Weights& weights, bool is_weighted,
                           WeightNumber offset) {
#pragma unroll
    for (int round = 0; round < ROUNDS; ++round) {
      if (!has_unit(round)) continue;
      const int unit = unit_of(round);
      Number cos[PAIRS_HELD], sin[PAIRS_HELD];
      WeightNumber first[PAIRS_HELD], second[PAIRS_HELD];
      angles.of_unit(turns(unit) ? unit : 0, false, cos, sin);
      weights.units[round].decode(first, second);
#pragma unroll
      for (int i = 0; i < PAIRS_HELD; ++i) {
        const Number u = is_weighted ? (Number)(first[i] + offset) : 1;
        const Number v = is_weighted ? (Number)(second[i] + offset) : 1;
        first_cos[round][i] = turns(unit) ? product(u, cos[i]) : u;
        second_cos[round][i] = turns(unit) ? product(v, cos[i]) : v;
        first_sin[round][i] = product(u, sin[i]);
        second_sin[round][i] = product(v, sin[i]);
      }
    }
  }

  __device__ void apply(int round, Number* first, Number* second) const {
#pragma unroll
    for (int i = 0; i < PAIRS_HELD; ++i) {
      const Number x = first[i], y = second[i];
      if (turns(unit_of(round))) {
        first[i] = fma(x, first_cos[round][i], -product(y, second_sin[round][i]));
        second[i] = fma(y, second_cos[round][i], product(x, first_sin[round][i]));
      } else {
        first[i] = product(x, first_cos[round][i]);
        second[i] = product(y, second_cos[round][i]);
      }
    }
  }
};

// A head times 1 / sqrt(mean + eps), weighted and turned.
__device__ void norm_rotate_and_store(const Channels& head, Number factor,
                                      const WeightedTurns& weighted,
                                      const Outlet<Output, SCALED>& outlet, Output::Bits* row) {
#pragma unroll
  for (int round = 0; round < ROUNDS; ++round) {
    if (!has_unit(round)) continue;
    const int unit = unit_of(round);
    Number first[PAIRS_HELD], second[PAIRS_HELD];
    head.units[round].decode(first, second);
#pragma unroll
    for (int i = 0; i < PAIRS_HELD; ++i) {
      first[i] = product(first[i], factor), second[i] = product(second[i], factor);
    }
    weighted.apply(round, first, second);
    if (turns(unit)) {
      outlet.template stored<OUTPUT_LAYOUT, true>(first, second).store(row, unit);
    } else {
      outlet.template stored<LAYOUT, true>(first, second).store(row, unit);
    }
  }
}

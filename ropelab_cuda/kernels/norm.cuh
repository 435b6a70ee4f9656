// A head spread over the threads of one warp or less, each holding some of its channels in
// registers: its mean square, and its channels normed, rotated and stored.
//
//   2 * PAIRS rotated channels, and TAIL_VECTORS * TAIL_VECTOR others, OFFSET of them before those
//   thread x of ACROSS, a power of two, holds units x, x + ACROSS, ...; vectors of the others follow
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

constexpr int ROUNDS = (UNITS + ACROSS - 1) / ACROSS;
__device__ int unit_of(int round) { return round * ACROSS + (int)threadIdx.x; }
__device__ bool has_unit(int round) { return unit_of(round) < UNITS; }

#if TAIL_VECTORS > 0
constexpr int TAIL_START = UNITS / ACROSS;  // the round in which the first vector is held
constexpr int TAIL_ROUNDS = (UNITS + TAIL_VECTORS + ACROSS - 1) / ACROSS - TAIL_START;
__device__ int vector_of(int round) { return unit_of(TAIL_START + round) - UNITS; }
__device__ bool has_vector(int round) {
  return vector_of(round) >= 0 && vector_of(round) < TAIL_VECTORS;
}
__device__ int channel_of(int round) {  // from the first rotated one
  const int channel = vector_of(round) * TAIL_VECTOR - OFFSET;
  return channel < 0 ? channel : channel + 2 * PAIRS;
}
#endif

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
template <class Units, class Some> struct Held {
  using Bits = typename Some::Bits;

  Units units[ROUNDS];
#if TAIL_VECTORS > 0
  Vector<Some, TAIL_VECTOR> vectors[TAIL_ROUNDS];
#endif

  __device__ void load(const Bits* row) {
#pragma unroll
    for (int round = 0; round < ROUNDS; ++round) {
      if (has_unit(round)) units[round].load(row, unit_of(round));
    }
#if TAIL_VECTORS > 0
#pragma unroll
    for (int round = 0; round < TAIL_ROUNDS; ++round) {
      if (has_vector(round)) vectors[round].load(row + channel_of(round));
    }
#endif
  }

  static __device__ void prefetch(const Bits* row) {
#pragma unroll
    for (int round = 0; round < ROUNDS; ++round) {
      if (has_unit(round)) prefetch_share(row, unit_of(round));
    }
#if TAIL_VECTORS > 0
#pragma unroll
    for (int round = 0; round < TAIL_ROUNDS; ++round) {
      if (has_vector(round)) prefetch_to_l2(row + channel_of(round));
    }
#endif
  }
};

using Channels = Held<Source, Format>;
using Weights = Held<LAYOUT<WEIGHT_FORMAT>, WeightFormat>;

__device__ Number squares(const Channels& head) {
  Number sum = 0;
#pragma unroll
  for (int round = 0; round < ROUNDS; ++round) {
    if (!has_unit(round)) continue;
    Number first[PAIRS_HELD], second[PAIRS_HELD];
    head.units[round].decode(first, second);
    sum += squares_of(second, squares_of(first, 0));
  }
#if TAIL_VECTORS > 0
#pragma unroll
  for (int round = 0; round < TAIL_ROUNDS; ++round) {
    if (!has_vector(round)) continue;
    Number numbers[TAIL_VECTOR];
    head.vectors[round].decode(numbers);
    sum += squares_of(numbers, 0);
  }
#endif
  return sum;
}

template <class Angles>
__device__ void norm_rotate_and_store(const Channels& head, const Weights& weights,
                                      const Scaling& scaling, const Angles& angles,
                                      Output::Bits* row) {
#pragma unroll
  for (int round = 0; round < ROUNDS; ++round) {
    if (!has_unit(round)) continue;
    Number first[PAIRS_HELD], second[PAIRS_HELD], cos[PAIRS_HELD], sin[PAIRS_HELD];
    WeightNumber first_weights[PAIRS_HELD] = {}, second_weights[PAIRS_HELD] = {};
    head.units[round].decode(first, second);
    if (scaling.weighted) weights.units[round].decode(first_weights, second_weights);
    scaling.apply(first, first_weights);
    scaling.apply(second, second_weights);
    angles.of_unit(unit_of(round), cos, sin);
#pragma unroll
    for (int i = 0; i < PAIRS_HELD; ++i) rotate_pair(first[i], second[i], cos[i], sin[i]);
    OUTPUT_LAYOUT<Output> turned;
    turned.encode(first, second);
    turned.store(row, unit_of(round));
  }
#if TAIL_VECTORS > 0
#pragma unroll
  for (int round = 0; round < TAIL_ROUNDS; ++round) {
    if (!has_vector(round)) continue;
    Number numbers[TAIL_VECTOR];
    WeightNumber factors[TAIL_VECTOR] = {};
    head.vectors[round].decode(numbers);
    if (scaling.weighted) weights.vectors[round].decode(factors);
    scaling.apply(numbers, factors);
    Vector<Output, TAIL_VECTOR> normed;
    normed.encode(numbers);
    normed.store(row + channel_of(round));
  }
#endif
}

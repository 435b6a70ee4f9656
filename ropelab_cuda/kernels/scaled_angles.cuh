// The angles of xPos: cosines and sines of a token for its queries, and others for its keys. They hold
// all that multiplies a rotated pair: the decay or its inverse, and the inverse of the scale over
// which the result is stored.
//
// That factor is about 2^n, with an n that float may not bear where it bears what comes of a number. So
// where numbers are floats, cosines hold no more of n than MOST_HELD, either way. What is left of it,
// its rest, multiplies rotated pairs of the few tokens that are so far from the centre. A rest above 0
// makes them larger, so a pair that overflows before would after it; one below 0 makes them smaller,
// so what is subnormal before comes out smaller still.

#pragma once

#include "angles.cuh"
#include "decay.cuh"
#include "spectrum.cuh"

constexpr bool IN_FLOAT = sizeof(Number) == sizeof(float);
constexpr int MOST_HELD = 100;  // less than float bears, since there is the attention factor, too

__device__ int within(int most, int n) { return n < -most ? -most : n > most ? most : n; }

// What results are stored over. It may lie where a predecessor writes.
struct StorageScale {
  const Operand& t;
  float on_device;

  __device__ explicit StorageScale(const Operand& operand) : t(operand), on_device(loaded()) {}

  __device__ float loaded() const {
    return SCALED && t.scale ? *static_cast<const volatile float*>(t.scale) : 1.0f;
  }
  __device__ bool was_outdated() {
    const float guess = on_device;
    on_device = loaded();
    return on_device != guess;
  }
  __device__ double inverse() const {
    if constexpr (!SCALED) return 1.0;
    return t.scale ? 1.0 / (double)on_device : t.inverse_scale;
  }
  // Of the power of two in the inverse, or near it, which is enough to share n.
  __device__ int exponent() const {
    if constexpr (!SCALED) return 0;
    return within(800, (int)(__double_as_longlong(inverse()) >> 52 & 0x7ff) - 1023);
  }
};

struct ScaledCosSin { Number cos, sin; int rest; };
struct ScaledPair { ScaledCosSin q, k; };

// The angles of one token, from its position.
struct ScaledAngle {
  TokenPosition position;
  const Decay& decay;
  StorageScale q_scale, k_scale;

  __device__ ScaledAngle(TokenPosition token, const Decay& d, const Tensors& t)
      : position(token), decay(d), q_scale(t.q), k_scale(t.k) {}

  __device__ bool was_outdated() {
    const bool q_was = q_scale.was_outdated(), k_was = k_scale.was_outdated();
    return position.was_outdated() || q_was || k_was;
  }

  __device__ FREQUENCY frequency(int pair) const { return frequency_of(position.spectrum, pair); }
  __device__ ScaledPair of_pair(int pair) const { return of_pair(pair, frequency(pair)); }
  __device__ ScaledPair of_pair(int pair, FREQUENCY frequency) const {
    const CosSin<TRIG> unscaled = position.cos_sin_of(pair, frequency);
    const Exponent n = exponent_of(decay, distance_from_centre(decay, position.position), pair);
    return {scaled(unscaled, n, q_scale), scaled(unscaled, {-n.high, -n.low}, k_scale)};
  }

  static __device__ ScaledCosSin scaled(CosSin<TRIG> unscaled, Exponent n, const StorageScale& to) {
    const Power power = power_of_two(n);
    const int whole = power.whole + to.exponent();
    const int rest = IN_FLOAT ? whole - within(MOST_HELD, whole) : 0;
    const double fraction = SCALED ? product(power.fraction, to.inverse()) : power.fraction;
    const double factor = times_power_of_two(fraction, power.whole - rest);
    return {(Number)product((double)unscaled.cos, factor),
            (Number)product((double)unscaled.sin, factor), rest};
  }

  // Whether any pair leaves a rest; the first decays fastest.
  __device__ bool has_rests() const {
    if constexpr (!IN_FLOAT) return false;
    const double distance = distance_from_centre(decay, position.position);
    const double exponent = fabs(product(distance, decay.rate[0]));
    const double q = q_scale.exponent(), k = k_scale.exponent();
    return exponent + fmax(fabs(q), fabs(k)) > MOST_HELD;
  }
};

// Those of all its pairs, in shared memory.
struct SharedScaledAngles {
  static constexpr int MOST_REST = 252;  // beyond it, floats become 0 or infinite in any case

  SharedAngles q, k;
  short q_rest[IN_FLOAT ? PAIRS : 1], k_rest[IN_FLOAT ? PAIRS : 1];

  __device__ void put(int pair, const ScaledPair& angle) {
    q.put(pair, angle.q);
    k.put(pair, angle.k);
    if constexpr (IN_FLOAT) {
      q_rest[pair] = (short)within(MOST_REST, angle.q.rest);
      k_rest[pair] = (short)within(MOST_REST, angle.k.rest);
    }
  }
};

// 2^n for |n| <= 126.
__device__ float float_power_of_two(int n) { return __uint_as_float((unsigned)(127 + n) << 23); }

// What a thread takes from there: the cosines of queries, as long as its heads are queries, and then
// those of keys.
struct ScaledTokenAngles {
  static constexpr bool OVER_SCALES = true;

  const SharedScaledAngles& shared;
  const bool has_rests;
  int unit = 0;
  bool of_keys = false;

  __device__ void of_unit(int number, bool is_key, Number* cos, Number* sin) {
    unit = number;
    of_keys = is_key;
    (is_key ? shared.k : shared.q).take_unit(unit, cos, sin);
  }

  __device__ void rotate(Number* first, Number* second, bool is_key, Number* cos, Number* sin) {
    if (is_key != of_keys) of_unit(unit, is_key, cos, sin);
    rotate_pairs(first, second, cos, sin);
    if (IN_FLOAT && has_rests) multiply_by_rests(first, second);
  }

  // In two steps of normal powers, of which the last rounds or overflows.
  __device__ void multiply_by_rests(Number* first, Number* second) const {
    const short* rests = (of_keys ? shared.k_rest : shared.q_rest) + unit * PAIRS_HELD;
#pragma unroll
    for (int i = 0; i < PAIRS_HELD; ++i) {
      const int n = rests[i];
      const Number step = float_power_of_two(n / 2), other = float_power_of_two(n - n / 2);
      first[i] = product(product(first[i], step), other);
      second[i] = product(product(second[i], step), other);
    }
  }
};

// Where a guess was wrong, the block computes anew: its threads would have to do so twice, for queries
// and for keys, with registers that are better spent on heads.
__device__ ScaledTokenAngles token_angles(SharedScaledAngles& shared, const ScaledAngle& angle,
                                          bool outdated) {
  const bool is_early = blockIdx.x < EARLY_BLOCKS;  // others have nothing to guess
  if (is_early && __syncthreads_or(outdated)) {
    compute(shared, angle);
    __syncthreads();
  }
  return {shared, angle.has_rests()};
}

// The numbers of a spectrum, which travel by value in a kernel's parameters: no table to allocate,
// to cache, or to keep alive under a CUDA graph.
//
//   frequency    (PAIRS) turns per token in fixed point, or radians per token in float32
//   axis         (PAIRS) which position turns the pair; only where POSITION_AXES > 1
//   period       (PAIRS) tokens after which the pair repeats, 0 for never; only where PERIODS
//   cos_factor   the attention factor
//   sin_factor   the same, negative to rotate by minus the angle

#pragma once

#include "cos_sin.cuh"
#include "tokens.cuh"

struct Spectrum {
  TRIG cos_factor, sin_factor;
  FREQUENCY frequency[PAIRS];
#if POSITION_AXES > 1
  unsigned char axis[PAIRS];
#endif
#if PERIODS
  long long period[PAIRS];
#endif
};

// Cosine and sine of one pair, scaled.
__device__ CosSin<TRIG> cos_sin(const Spectrum& s, long long position, int pair) {
  const CosSin<TRIG> unit = cos_sin<TRIG>(position, s.frequency[pair]);
  return {product(unit.cos, s.cos_factor), product(unit.sin, s.sin_factor)};
}

// The position modulo the pair's period; C rounds the quotient towards zero.
__device__ long long within_period(const Spectrum& s, long long position, int pair) {
#if PERIODS
  const long long period = s.period[pair];
  if (period == 0) return position;
  const long long rest = position % period;
  return rest < 0 ? rest + period : rest;
#else
  return position;
#endif
}

// The position that turns each of one token's pairs.
struct TokenPosition {
  const Positions& positions;
  const Spectrum& spectrum;
  const Token token;
#if POSITION_AXES > 1
  __device__ TokenPosition(const Positions& p, const Spectrum& s, Token t)
      : positions(p), spectrum(s), token(t) {}
  __device__ bool was_outdated() { return true; }
  __device__ long long of_pair(int pair) const {
    const int axis = spectrum.axis[pair];
    return within_period(spectrum, load_position(positions, token, axis), pair);
  }
#else
  long long position;
  __device__ TokenPosition(const Positions& p, const Spectrum& s, Token t)
      : positions(p), spectrum(s), token(t), position(load_position(p, t, 0)) {}
  __device__ bool was_outdated() {
    const long long guess = position;
    position = load_position(positions, token, 0);
    return position != guess;
  }
  __device__ long long of_pair(int pair) const { return within_period(spectrum, position, pair); }
#endif
};

// The angles of one token, from its position.
struct Angle {
  TokenPosition position;
  __device__ bool was_outdated() { return position.was_outdated(); }
  __device__ CosSin<TRIG> of_pair(int pair) const {
    return cos_sin(position.spectrum, position.of_pair(pair), pair);
  }
};

// The numbers of a spectrum. They travel by value in a kernel's parameters: no table to allocate, to
// cache, or to keep alive under a CUDA graph. Where SPECTRUM_ON_DEVICE, they depend on the length of
// the call, and a kernel before this one has put them into device memory.
//
//   frequency   (PAIRS) turns per token in fixed point, or radians per token in float32
//   axis        (PAIRS) which position turns the pair; only where POSITION_AXES > 1
//   period      (PAIRS) tokens after which the pair repeats, 0 for never; only where PERIODS
//   factors     the attention factor, and the same negative to rotate by minus the angle

#pragma once

#include "cos_sin.cuh"
#include "spectrum_numbers.cuh"
#include "tokens.cuh"

#if SPECTRUM_ON_DEVICE && GUESSES
#error "a spectrum in device memory cannot be read before the kernel that writes it is done"
#endif

struct Spectrum {
#if SPECTRUM_ON_DEVICE
  const SpectrumNumbers* numbers;
  double direction;  // +1, or -1 for the inverse
#else
  TRIG cos_factor, sin_factor;
  FREQUENCY frequency[PAIRS];
#endif
#if POSITION_AXES > 1
  unsigned char axis[PAIRS];
#endif
#if PERIODS && !SPECTRUM_ON_DEVICE
  long long period[PAIRS];
#endif
};

#if SPECTRUM_ON_DEVICE
__device__ FREQUENCY frequency_of(const Spectrum& s, int pair) {
  if constexpr (sizeof(FREQUENCY) == sizeof(float)) {
    return s.numbers->inv_freq_float[pair];
  } else {
    return s.numbers->turns[pair];
  }
}
__device__ long long period_of(const Spectrum& s, int pair) { return s.numbers->period[pair]; }
__device__ CosSin<TRIG> factors_of(const Spectrum& s) {
  const TRIG factor = (TRIG)s.numbers->attention_factor;
  return {factor, product(factor, (TRIG)s.direction)};
}
#else
// Parameters are read by one address at a time: threads that want different ones wait for each, and
// longer where no block before has brought them near. By another kind of load they come at once.
__device__ FREQUENCY frequency_of(const Spectrum& s, int pair) {
  const FREQUENCY* frequency = s.frequency + pair;
#if FEW_TOKENS && defined(__CUDA_ARCH__)
  asm("" : "+l"(frequency));  // hides from the compiler that it points to parameters
#endif
  return *frequency;
}
#if PERIODS
__device__ long long period_of(const Spectrum& s, int pair) { return s.period[pair]; }
#endif
__device__ CosSin<TRIG> factors_of(const Spectrum& s) { return {s.cos_factor, s.sin_factor}; }
#endif

// Cosine and sine of one pair, scaled.
__device__ CosSin<TRIG> scaled_cos_sin(const Spectrum& s, long long position, FREQUENCY frequency) {
  const CosSin<TRIG> unit = cos_sin<TRIG>(position, frequency), factors = factors_of(s);
  return {product(unit.cos, factors.cos), product(unit.sin, factors.sin)};
}

// The position modulo the pair's period; C rounds the quotient towards zero.
__device__ long long within_period(const Spectrum& s, long long position, int pair) {
#if PERIODS
  const long long period = period_of(s, pair);
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
  __device__ CosSin<TRIG> cos_sin_of(int pair, FREQUENCY frequency) const {
    return scaled_cos_sin(spectrum, of_pair(pair), frequency);
  }
};

// The angles of one token, from its position.
struct Angle {
  TokenPosition position;
  __device__ bool was_outdated() { return position.was_outdated(); }
  __device__ FREQUENCY frequency(int pair) const { return frequency_of(position.spectrum, pair); }
  __device__ CosSin<TRIG> of_pair(int pair, FREQUENCY frequency) const {
    return position.cos_sin_of(pair, frequency);
  }
  __device__ CosSin<TRIG> of_pair(int pair) const { return of_pair(pair, frequency(pair)); }
};

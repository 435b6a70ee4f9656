// The frequency rules that depend on the length, as ropelab.scaling has them: the same operations in
// the same order, with powers and logarithms rounded to nearest, so that the doubles are the same.
//
// A rule is a structure of its parameters. What does not depend on the length is computed on the
// host: `unscaled`, for one, are the frequencies before the rule sets in. A length of 0 says that
// there is no position; each rule then takes the length that it is made for, as without a seq_len.

#pragma once

#include "double_double.cuh"

// How a pair turns: radians a token, and the tokens after which it repeats exactly, 0 for never.
struct Turning {
  double inv_freq;
  long long period;
};

// Of two spectra, the second past the limit: LongRoPE, and every rule that does not depend on it.
struct Chosen {
  long long limit;
  double factors[2];
  double inv_freq[2][PAIRS];
#if PERIODS
  long long period[2][PAIRS];
#endif

  __device__ Turning of_pair(int pair, long long length) const {
#if PERIODS
    return {inv_freq[length > limit][pair], period[length > limit][pair]};
#else
    return {inv_freq[length > limit][pair], 0};
#endif
  }
  __device__ double attention_factor(long long length) const { return factors[length > limit]; }
};

// w = b'^(-2i/d),  b' = b a^(d/(d-2)),  a = s L / Lmax - (s - 1)
struct DynamicNTK {
  long long limit;
  double factor, base;
  double unscaled[PAIRS];

  __device__ Turning of_pair(int pair, long long length) const {
    if (length <= limit) return {unscaled[pair], 0};
    const double alpha = product(factor, (double)length) / (double)limit - (factor - 1.0);
    const double larger = product(base, power(alpha, quotient(PAIRS, PAIRS - 1.0)));
    return {power(larger, quotient(-pair, PAIRS)), 0};
  }
  __device__ double attention_factor(long long) const { return 1.0; }
};

// w = b^(-2i/d) / f,  past the limit b^(-2i/d) / (L / Lp): TransformerEngineInterpolation, and with
// f = 1 and Lp = Lmax DynamicLinear
struct Interpolated {
  long long limit;
  double trained, factor;
  double unscaled[PAIRS];

  __device__ Turning of_pair(int pair, long long length) const {
    const double stretch = length > limit ? quotient(exactly(length), trained).hi : factor;
    return {unscaled[pair] / stretch, 0};
  }
  __device__ double attention_factor(long long) const { return 1.0; }
};

// w = (1 - kept) b^(-2i/d) / s + kept b^(-2i/d),  A = 0.1 ln s + 1,  s = max(L, Lmax) / L0; up to
// Lmax, unless the model is fine-tuned, s = 1
struct DynamicYaRN {
  long long limit, finetuned;
  double original;
  double unscaled[PAIRS], kept[PAIRS];

  __device__ double stretch(long long length) const {
    return quotient(exactly(length > limit ? length : limit), original).hi;
  }
  __device__ bool scales(long long length) const { return length > limit || finetuned; }
  __device__ Turning of_pair(int pair, long long length) const {
    const double w = unscaled[pair], share = kept[pair];
    if (!scales(length)) return {w, 0};
    return {product(1.0 - share, w / stretch(length)) + product(share, w), 0};
  }
  __device__ double attention_factor(long long length) const {
    const double s = stretch(length);
    if (!scales(length) || s <= 1.0) return 1.0;
    return (Wide{1.0, 0.0} + quotient(logarithm(s), 10.0)).hi;
  }
};

// ----------------------------------------------------------------------------------------------
// Rules around another

// w' = w / s
template <class Inner> struct Stretched {
  Inner inner;
  double factor;

  __device__ Turning of_pair(int pair, long long length) const {
    return {inner.of_pair(pair, length).inv_freq / factor, 0};
  }
  __device__ double attention_factor(long long length) const {
    return inner.attention_factor(length);
  }
};

// w' = w rounded to a format of so many significant bits, whose smallest number is 2^lowest; a
// frequency that moves has no period any more
template <class Inner> struct Rounded {
  Inner inner;
  long long significant, lowest;

  __device__ Turning of_pair(int pair, long long length) const {
    const Turning given = inner.of_pair(pair, length);
    const int last = exponent_of(given.inv_freq) - (int)significant + 1;
    const int unit = last > (int)lowest ? last : (int)lowest;
    const double moved = ldexp(rint(ldexp(given.inv_freq, -unit)), unit);
    return {moved, moved == given.inv_freq ? given.period : 0};
  }
  __device__ double attention_factor(long long length) const {
    return inner.attention_factor(length);
  }
};

// period = round(2 pi / w),  w' = 2 pi / period. No position reaches a period of 2^63 tokens, which
// no integer holds and ropelab refuses: such a pair turns as the others, and never repeats.
template <class Inner> struct Resonance {
  Inner inner;

  __device__ Turning of_pair(int pair, long long length) const {
    constexpr double TURN = 0x1.921fb54442d18p+2;
    const double w = inner.of_pair(pair, length).inv_freq;
    if (w == 0.0) return {0.0, 0};
    const double period = rint(TURN / fabs(w));
    return {copysign(TURN / period, w), period < 0x1p63 ? (long long)period : 0};
  }
  __device__ double attention_factor(long long length) const {
    return inner.attention_factor(length);
  }
};

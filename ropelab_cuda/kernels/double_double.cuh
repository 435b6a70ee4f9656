// Powers and logarithms of doubles, rounded to the nearest double as ropelab.scaling.power has them.
//
// A Wide is an unevaluated sum of two doubles, |lo| <= ulp(hi) / 2: about 106 bits. Sums and
// products of it err by about 2^-104 of themselves, a power by 2^-98 (measured: 1.1 times that, over
// 20,000 of bases and exponents of rules), before its only rounding; it would miss the nearest double
// once in 2^42. Every product is written as `product` or as fma, so that the GPU and the host compute
// the same bits.

#pragma once

#include "arithmetic.cuh"

struct Wide { double hi, lo; };

constexpr Wide LN2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};

// ----------------------------------------------------------------------------------------------
// Arithmetic

// a + b exactly, where |a| >= |b| or a = 0
__device__ Wide ordered_sum(double a, double b) {
  const double sum = a + b;
  return {sum, b - (sum - a)};
}

// a + b exactly
__device__ Wide exact_sum(double a, double b) {
  const double sum = a + b, from_b = sum - a;
  return {sum, (a - (sum - from_b)) + (b - from_b)};
}

__device__ Wide operator+(Wide a, Wide b) {
  const Wide high = exact_sum(a.hi, b.hi), low = exact_sum(a.lo, b.lo);
  const Wide sum = ordered_sum(high.hi, high.lo + low.hi);
  return ordered_sum(sum.hi, sum.lo + low.lo);
}

__device__ Wide operator*(Wide a, Wide b) {
  const double high = product(a.hi, b.hi);
  const double low = fma(a.hi, b.hi, -high) + fma(a.hi, b.lo, product(a.lo, b.hi));
  return ordered_sum(high, low);
}

__device__ Wide scaled(Wide a, double power_of_two) {
  return {product(a.hi, power_of_two), product(a.lo, power_of_two)};
}

__device__ Wide quotient(Wide a, double b) {
  const double first = a.hi / b;
  return ordered_sum(first, (fma(-first, b, a.hi) + a.lo) / b);
}

__device__ Wide quotient(double a, double b) { return quotient(Wide{a, 0.0}, b); }

__device__ Wide quotient(double a, Wide b) {
  const double first = a / b.hi;
  return ordered_sum(first, fma(-first, b.lo, fma(-first, b.hi, a)) / b.hi);
}

// A whole number of tokens: both halves are doubles.
__device__ Wide exactly(long long tokens) {
  return exact_sum(product((double)(tokens >> 32), 0x1p32), (double)(tokens & 0xffffffffll));
}

// ----------------------------------------------------------------------------------------------
// Functions

// floor(log2 |x|) of a normal number
__device__ int exponent_of(double x) {
  return (int)(__double_as_longlong(x) >> 52 & 0x7ff) - 1023;
}

// ln x = k ln 2 + ln m,  m in [sqrt 1/2, sqrt 2],  ln m = 2 s (1 + z/3 + z^2/5 + ...),
// s = (m - 1) / (m + 1),  z = s^2 < 0.0295; 21 terms of z, of which doubles hold the later ones.
__device__ Wide logarithm(double x) {
  int k = 0;
  if (x < 0x1p-1022) x = product(x, 0x1p54), k = -54;
  const int exponent = exponent_of(x);
  double m = ldexp(x, -exponent);
  k += exponent;
  if (m > 0x1.6a09e667f3bcdp+0) m = product(m, 0.5), ++k;

  const Wide s = quotient(m - 1.0, exact_sum(m, 1.0));
  const Wide z = s * s;
  double later = 1.0 / 43.0;
#pragma unroll
  for (int n = 41; n >= 23; n -= 2) later = fma(later, z.hi, 1.0 / n);
  Wide series = {later, 0.0};
#pragma unroll
  for (int n = 21; n >= 1; n -= 2) series = quotient(1.0, n) + z * series;
  return Wide{(double)k, 0.0} * LN2 + scaled(s * series, 2.0);
}

// A number that need not lie in the range of a double: value * 2^exponent.
struct Scaled { Wide value; int exponent; };

// e^x = 2^n (e^r)^16,  r = (x - n ln 2) / 16 within 0.0217: Taylor's series to r^14 / 14!, of which
// doubles hold the later terms.
__device__ Scaled exponential(Wide x) {
  const double n = rint(product(x.hi, 0x1.71547652b82fep+0));
  const Wide r = scaled(x + Wide{-n, 0.0} * LN2, 0.0625);
  double factorial = 87178291200.0;  // 14!
  double later = 1.0 / factorial;
#pragma unroll
  for (int k = 13; k >= 8; --k) {
    factorial = factorial / (k + 1);
    later = fma(later, r.hi, 1.0 / factorial);
  }
  Wide series = {later, 0.0};
#pragma unroll
  for (int k = 7; k >= 0; --k) {
    factorial = factorial / (k + 1);
    series = quotient(1.0, factorial) + r * series;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) series = series * series;
  return {series, (int)n};
}

// The nearest double, unless that is subnormal. Where `value`, which is near 1, is rounded to a
// multiple of 2^-95, what is a tie in truth is one in spite of its error.
__device__ double nearest(Scaled x) {
  const double low = (x.value.lo + 0x1.8p-43) - 0x1.8p-43;
  return ldexp(x.value.hi + low, x.exponent);
}

// base^exponent for a positive base. Inlined twice, it would take registers for its constants twice.
__device__ __noinline__ double power(double base, Wide exponent) {
  return nearest(exponential(exponent * logarithm(base)));
}

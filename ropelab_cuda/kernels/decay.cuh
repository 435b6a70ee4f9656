// The decay of xPos: 2^(distance * rate), in double for tensors of all formats.

#pragma once

#include "arithmetic.cuh"

struct Decay {
  double centre;                         // the position at which nothing is scaled
  unsigned long long centre_word;        // the same, modulo 2^64
  double rate[PAIRS], rate_rest[PAIRS];  // binary powers a token, and what their rounding lost
};

// From the centre to a position; exact, even where a double skips integers.
__device__ double distance_from_centre(const Decay& decay, long long position) {
  const double far = (double)position - decay.centre;
  const unsigned long long near = (unsigned long long)position - decay.centre_word;
  return fabs(far) < 0x1p62 ? (double)(long long)near : far;
}

// 2^n for |n| <= 1000.
__device__ double whole_power_of_two(int n) {
  const long long bits = (long long)(1023 + n) << 52;
  double power;
  memcpy(&power, &bits, sizeof power);
  return power;
}

// 2^(x + rest) for a rest below an ulp of x: within 0.9 ulp, but 0 or subnormal where it is too small,
// infinite where it is too large. Chebyshev's polynomial for (2^f - 1) / f on |f| <= 1/2.
__device__ double power_of_two(double x, double rest) {
  constexpr double most = 2000.0;  // far outside of double's range
  if (fabs(x) > most) x = x < 0.0 ? -most : most, rest = 0.0;
  const double nearest = rint(x);
  const double f = (x - nearest) + rest;
  double p = 0x1.e9d3fe3952179p-32;
  p = fma(p, f, 0x1.e6063f7217bc6p-28);
  p = fma(p, f, 0x1.b524fae627834p-24);
  p = fma(p, f, 0x1.62bfd47773353p-20);
  p = fma(p, f, 0x1.ffcbfc670dcd4p-17);
  p = fma(p, f, 0x1.430913096fd9fp-13);
  p = fma(p, f, 0x1.5d87fe78a5276p-10);
  p = fma(p, f, 0x1.3b2ab6fba1ddap-7);
  p = fma(p, f, 0x1.c6b08d704a0c2p-5);
  p = fma(p, f, 0x1.ebfbdff82c598p-3);
  p = fma(p, f, 0x1.62e42fefa39efp-1);
  p = fma(p, f, 1.0);
  // In two steps, of which each has a normal power, and the last rounds or overflows.
  const int n = (int)nearest, half = n / 2;
  return product(product(p, whole_power_of_two(half)), whole_power_of_two(n - half));
}

// What scales a pair at a distance from the centre. The exponent may be hundreds, and its error is
// multiplied by ln 2 in the result: so it is carried in two doubles.
__device__ double decay_of(const Decay& decay, double distance, int pair) {
  const double rate = decay.rate[pair];
  const double exponent = product(distance, rate);
  return power_of_two(exponent, fma(distance, decay.rate_rest[pair], fma(distance, rate, -exponent)));
}

// The decay of xPos: 2^(distance * rate), computed in double for tensors of all formats.

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

// An exponent of two, in two doubles: it may be hundreds, and its error is multiplied by ln 2 in the
// power. Beyond `most`, far outside of double's range, it need not be known.
struct Exponent { double high, low; };

__device__ Exponent exponent_of(const Decay& decay, double distance, int pair) {
  constexpr double most = 2000.0;
  const double rate = decay.rate[pair], high = product(distance, rate);
  if (fabs(high) > most) return {copysign(most, high), 0.0};
  return {high, fma(distance, decay.rate_rest[pair], fma(distance, rate, -high))};
}

// To the nearest integer, by the last bits of a sum that has no room for a fraction.
struct Nearest { double number; int integer; };

__device__ Nearest nearest_to(double x) {
  constexpr double room = 0x1.8p52;
  const double sum = x + room;
  return {sum - room, (int)__double_as_longlong(sum)};
}

// 2^n for |n| <= 1000.
__device__ double whole_power_of_two(int n) {
  const long long bits = (long long)(1023 + n) << 52;
  double power;
  memcpy(&power, &bits, sizeof power);
  return power;
}

// fraction * 2^whole, with a fraction between the roots of 1/2 and 2, within 0.9 ulp.
struct Power { double fraction; int whole; };

// Chebyshev's polynomial for (2^f - 1) / f on |f| <= 1/2.
__device__ Power power_of_two(Exponent x) {
  const Nearest whole = nearest_to(x.high);
  const double f = (x.high - whole.number) + x.low;
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
  return {fma(p, f, 1.0), whole.integer};
}

// x * 2^n for |n| <= 2000, in two steps of normal powers, of which the last rounds or overflows.
__device__ double times_power_of_two(double x, int n) {
  const int half = n / 2;
  return product(product(x, whole_power_of_two(half)), whole_power_of_two(n - half));
}

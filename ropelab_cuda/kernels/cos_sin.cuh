// Cosine and sine of an angle, by the two pipelines.
//
//   exact     phase = position * turns mod 2^64, a fraction of a turn in fixed point
//   float32   angle = fl(fl(position) * inv_freq) in radians, as Transformers computes it
//
// Either angle is first brought to x in [-pi/4, pi/4] beside the nearest quarter turn. There
//
//   sin x = x + x^3 S(x^2),    cos x = 1 + x^2 C(x^2)
//
// with minimax polynomials S and C. Over all floats x, sin errs by at most 0.68 ulp and cos by
// 0.88; over all phases, the float (cos, sin) is at most 1.05 eps away from where it should be.

#pragma once

#include "arithmetic.cuh"

template <class Number> struct CosSin { Number cos, sin; };

// The polynomials on |x| <= pi/4.

__device__ CosSin<float> cos_sin_near_zero(float x) {
  const float y = product(x, x);
  float s = -0x1.995408p-13f;
  s = fma(s, y, 0x1.110778p-7f);
  s = fma(s, y, -0x1.555546p-3f);
  float c = 0x1.99e0eep-16f;
  c = fma(c, y, -0x1.6c0c1ap-10f);
  c = fma(c, y, 0x1.55554ap-5f);
  c = fma(c, y, -0.5f);
  return {fma(c, y, 1.0f), fma(s, product(x, y), x)};
}

__device__ CosSin<double> cos_sin_near_zero(double x) {
  const double y = product(x, x);
  double s = 0x1.5d8b5597e684ep-33;
  s = fma(s, y, -0x1.ae5e4b83e9fe5p-26);
  s = fma(s, y, 0x1.71de35552b550p-19);
  s = fma(s, y, -0x1.a01a019be9217p-13);
  s = fma(s, y, 0x1.111111110f730p-7);
  s = fma(s, y, -0x1.5555555555548p-3);
  double c = -0x1.8fb1310ab31d9p-37;
  c = fma(c, y, 0x1.1ee9f152a6d4ep-29);
  c = fma(c, y, -0x1.27e4f812b682ap-22);
  c = fma(c, y, 0x1.a01a019cbf62ap-16);
  c = fma(c, y, -0x1.6c16c16c1521fp-10);
  c = fma(c, y, 0x1.555555555554cp-5);
  c = fma(c, y, -0.5);
  return {fma(c, y, 1.0), fma(s, product(x, y), x)};
}

// Turn (cos x, sin x) on by that many quarter turns, 0 to 3.
template <class Number>
__device__ CosSin<Number> add_quarters(CosSin<Number> near, unsigned quarters) {
  const Number cos = quarters & 1 ? near.sin : near.cos;
  const Number sin = quarters & 1 ? near.cos : near.sin;
  return {(quarters + 1) & 2 ? -cos : cos, quarters & 2 ? -sin : sin};
}

// ----------------------------------------------------------------------------------------------
// exact

__device__ unsigned long long exact_phase(long long position, unsigned long long turns) {
  return (unsigned long long)position * turns;
}

template <class Number> __device__ CosSin<Number> cos_sin_of_phase(unsigned long long phase);

template <> __device__ CosSin<float> cos_sin_of_phase(unsigned long long phase) {
  const unsigned turn = (unsigned)((phase + 0x80000000ull) >> 32);  // to the nearest 2^-32 turn
  const unsigned quarters = (turn + 0x20000000u) >> 30;
  const int rest = (int)(turn - (quarters << 30));
  const float x = product((float)rest, 0x1.921fb6p-30f);  // 2 pi / 2^32
  return add_quarters(cos_sin_near_zero(x), quarters);
}

template <> __device__ CosSin<double> cos_sin_of_phase(unsigned long long phase) {
  const unsigned long long quarters = (phase + 0x2000000000000000ull) >> 62;
  const long long rest = (long long)(phase - (quarters << 62));
  const double x = product((double)rest, 0x1.921fb54442d18p-62);  // 2 pi / 2^64
  return add_quarters(cos_sin_near_zero(x), (unsigned)quarters);
}

template <class Number>
__device__ CosSin<Number> cos_sin(long long position, unsigned long long turns) {
  return cos_sin_of_phase<Number>(exact_phase(position, turns));
}

// ----------------------------------------------------------------------------------------------
// float32

// In double and then rounded, which is the correctly rounded float but for rare double roundings:
// what NumPy computes here. pi/2 in two parts reduces |angle| < 2^50 with an error below 2^-53.
__device__ CosSin<float> cos_sin_of_radians(float angle) {
  const double quarters = rint(product((double)angle, 0x1.45f306dc9c883p-1));  // 2 / pi
  double x = fma(quarters, -0x1.921fb54442d18p+0, (double)angle);
  x = fma(quarters, -0x1.1a62633145c07p-54, x);
  const int residue = (int)fma(floor(product(quarters, 0.25)), -4.0, quarters);
  const CosSin<double> wide = add_quarters(cos_sin_near_zero(x), (unsigned)residue);
  return {(float)wide.cos, (float)wide.sin};
}

template <class Number> __device__ CosSin<Number> cos_sin(long long position, float inv_freq) {
  return cos_sin_of_radians(product((float)position, inv_freq));
}

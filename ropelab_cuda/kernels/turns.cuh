// Turns per token in 64-bit fixed point: round(inv_freq / 2 pi * 2^64) mod 2^64, as
// ropelab.Spectrum.turns has it, with the double taken as the rational number that it is.

#pragma once

// The bits of 1 / 2 pi behind its binary point: enough for the largest double.
__device__ const unsigned long long INVERSE_TURN[20] = {
    0x28be60db9391054aull, 0x7f09d5f47d4d3770ull, 0x36d8a5664f10e410ull, 0x7f9458eaf7aef158ull,
    0x6dc91b8e909374b8ull, 0x01924bba82746487ull, 0x3f877ac72c4a69cfull, 0xba208d7d4baed121ull,
    0x3a671c09ad17df90ull, 0x4e64758e60d4ce7dull, 0x272117e2ef7e4a0eull, 0xc7fe25fff7816603ull,
    0xfbcbc462d6829b47ull, 0xdb4d9fb3c9f2c26dull, 0xd3d18fd9a797fa8bull, 0x5d49eeb1faf97c5eull,
    0xcf41ce7de294a4baull, 0x9afed7ec47e35742ull, 0x1580cc11bf1edaeaull, 0xfc33ef0826bd0d87ull,
};

// 64 bits of 1 / 2 pi from the one at `place` on; those before the point are 0.
__device__ unsigned long long inverse_turn_from(int place) {
  if (place <= -64) return 0;
  if (place < 0) return INVERSE_TURN[0] >> -place;
  const int word = place / 64, shift = place % 64;
  if (shift == 0) return INVERSE_TURN[word];
  return INVERSE_TURN[word] << shift | INVERSE_TURN[word + 1] >> (64 - shift);
}

// inv_freq = m 2^e with a whole m < 2^53, so m times three words of 2^(e + 64) / 2 pi, the whole
// part modulo 2^64 and two of its fraction. What is cut off is below 2^-75 of a unit: 1 / 2 pi is
// irrational, so that no tie can hide there.
__device__ unsigned long long turns_of(double inv_freq) {
  const unsigned long long bits = (unsigned long long)__double_as_longlong(inv_freq);
  const int exponent = (int)(bits >> 52 & 0x7ff);
  const unsigned long long fraction = bits & 0xfffffffffffffull;
  const unsigned long long m = exponent ? fraction | 1ull << 52 : fraction;
  const int place = (exponent ? exponent : 1) - 1075;

  const unsigned long long whole = inverse_turn_from(place);
  const unsigned long long high = inverse_turn_from(place + 64);
  const unsigned long long low = inverse_turn_from(place + 128);
  const unsigned long long carried = __umul64hi(m, low);
  const unsigned long long rest = m * high + carried;  // the fraction
  const unsigned long long carry = __umul64hi(m, high) + (rest < carried);
  const unsigned long long turns = m * whole + carry + (rest >> 63);
  return bits >> 63 ? 0 - turns : turns;
}

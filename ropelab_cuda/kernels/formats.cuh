// Elements in memory, and the numbers they stand for.
//
// A format names its raw Bits and the Number that arithmetic on it runs in: double for float64,
// float for the others. decode is exact; encode rounds once, to nearest with ties to even.
// No CUDA header is included: narrow formats convert by PTX (sm_80 and later), on the host by
// plain C++. What is not computed with moves as Bits, so that NaNs and denormals pass untouched.

#pragma once

// A double on its way to a format much narrower than float, which rounds it as if there were no
// float in between: the last of the float's 24 bits says whether any of the double's was lost.
__device__ float before_rounding(double x) {
  constexpr unsigned long long lost = (1ull << 29) - 1;
  unsigned long long bits;
  memcpy(&bits, &x, sizeof bits);
  bits = bits & lost ? (bits & ~lost) | (lost + 1) : bits;
  memcpy(&x, &bits, sizeof bits);
  return (float)x;
}
__device__ float before_rounding(float x) { return x; }

struct Float64 {
  using Bits = double;
  using Number = double;
  static __device__ double decode(double x) { return x; }
  static __device__ double encode(double x) { return x; }
};

struct Float32 {
  using Bits = float;
  using Number = float;
  static __device__ float decode(float x) { return x; }
  static __device__ float encode(float x) { return x; }
  static __device__ float encode(double x) { return (float)x; }
};

struct Float16 {
  using Bits = unsigned short;
  using Number = float;
  using Two = unsigned;

  static __device__ float decode(Bits bits) {
#ifdef __CUDA_ARCH__
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
#else
    return host_half_to_float(bits);
#endif
  }

  // Two neighbours at once, the first in the low half.
  static __device__ float decode_first(Two two) { return decode((Bits)two); }
  static __device__ float decode_second(Two two) { return decode((Bits)(two >> 16)); }
  static __device__ Two encode_two(float first, float second) {
#ifdef __CUDA_ARCH__
    unsigned word;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(second), "f"(first));
    return word;
#else
    return host_float_to_half(first) | (unsigned)host_float_to_half(second) << 16;
#endif
  }
};

struct Bfloat16 {
  using Bits = unsigned short;
  using Number = float;
  using Two = unsigned;

  static __device__ float decode(Bits bits) { return __uint_as_float((unsigned)bits << 16); }

  static __device__ float decode_first(Two two) { return __uint_as_float(two << 16); }
  static __device__ float decode_second(Two two) { return __uint_as_float(two & 0xffff0000u); }
  static __device__ Two encode_two(float first, float second) {
#ifdef __CUDA_ARCH__
    unsigned word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(second), "f"(first));
    return word;
#else
    return host_float_to_bfloat16(first) | (unsigned)host_float_to_bfloat16(second) << 16;
#endif
  }
};

// ----------------------------------------------------------------------------------------------
// Eight bits, for what is stored and not computed with. What is too large, infinity too, becomes
// the largest finite number, as caches of keys and values want it; NaN stays NaN.

// The same bits by integers, where there is no instruction.
template <int FRACTION, int BIAS, unsigned LARGEST>
__device__ unsigned float8_by_hand(float x) {
  constexpr unsigned dropped = 23 - FRACTION, least_normal = (128u - BIAS) << 23;
  const unsigned bits = __float_as_uint(x), magnitude = bits & 0x7fffffff;
  unsigned rounded;
  if (magnitude > 0x7f800000) return 0x7f;
  if (magnitude < least_normal) {
    // The last place of 2^23 times the step of subnormals is that step.
    constexpr unsigned steps = (127u + 24 - BIAS - FRACTION) << 23;
    rounded = __float_as_uint(__uint_as_float(magnitude) + __uint_as_float(steps)) - steps;
  } else {
    const unsigned half = (1u << (dropped - 1)) - 1 + (magnitude >> dropped & 1);
    rounded = (magnitude - ((127u - BIAS) << 23) + half) >> dropped;
  }
  return (bits >> 24 & 0x80) | (rounded < LARGEST ? rounded : LARGEST);
}

struct Float8E4M3 {  // float8_e4m3fn
  using Bits = unsigned char;
  using Number = float;
  using Two = unsigned short;

  static __device__ Two encode_two(float first, float second) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    Two two;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(two) : "f"(second), "f"(first));
    return two;
#else
    return float8_by_hand<3, 7, 0x7e>(first) | float8_by_hand<3, 7, 0x7e>(second) << 8;
#endif
  }
};

struct Float8E5M2 {
  using Bits = unsigned char;
  using Number = float;
  using Two = unsigned short;

  static __device__ Two encode_two(float first, float second) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    Two two;
    asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(two) : "f"(second), "f"(first));
    return two;
#else
    return float8_by_hand<2, 15, 0x7b>(first) | float8_by_hand<2, 15, 0x7b>(second) << 8;
#endif
  }
};

template <class A, class B> constexpr bool SAME = false;
template <class A> constexpr bool SAME<A, A> = true;

// One element, of any format.
template <class Format, class Number>
__device__ typename Format::Bits encoded(Number x) {
  if constexpr (sizeof(typename Format::Bits) > 2) {
    return Format::encode(x);
  } else {
    return (typename Format::Bits)Format::encode_two(before_rounding(x), 0.0f);
  }
}

// ----------------------------------------------------------------------------------------------
// Vectors: N neighbouring elements, read or written by one instruction of at most 16 bytes.

template <int BYTES> struct WordOf;
template <> struct WordOf<1> { using Word = unsigned char; };
template <> struct WordOf<2> { using Word = unsigned short; };
template <> struct WordOf<4> { using Word = unsigned; };
template <> struct WordOf<8> { using Word = uint2; };
template <> struct WordOf<16> { using Word = uint4; };

#ifdef __CUDA_ARCH__
template <class Word> __device__ Word load_word(const Word* address) { return *address; }
template <class Word> __device__ void store_word(Word* address, Word word) { *address = word; }
#ifdef STORES_WHOLE
// Left to itself the compiler takes wide words for structures, and stores some of a norm in parts.
__device__ void store_word(uint2* address, uint2 word) {
  asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(address), "r"(word.x), "r"(word.y)
               : "memory");
}
__device__ void store_word(uint4* address, uint4 word) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(address), "r"(word.x),
               "r"(word.y), "r"(word.z), "r"(word.w)
               : "memory");
}
#endif
#endif  // the host's check the alignment, on which a GPU would trap

template <class Format, int N> struct Vector {
  using Bits = typename Format::Bits;
  using Word = typename WordOf<N * sizeof(Bits)>::Word;

  Word word;

  __device__ void load(const Bits* from) { word = load_word(reinterpret_cast<const Word*>(from)); }
  __device__ void store(Bits* to) const { store_word(reinterpret_cast<Word*>(to), word); }

  template <class Number> __device__ void decode(Number* numbers) const {
    if constexpr (sizeof(Bits) == 2 && N > 1) {
      unsigned twos[N / 2];
      memcpy(twos, &word, sizeof(word));
#pragma unroll
      for (int i = 0; i < N / 2; ++i) {
        numbers[2 * i] = Format::decode_first(twos[i]);
        numbers[2 * i + 1] = Format::decode_second(twos[i]);
      }
      return;
    }
    Bits bits[N];
    memcpy(bits, &word, sizeof(word));
#pragma unroll
    for (int i = 0; i < N; ++i) numbers[i] = Format::decode(bits[i]);
  }

  template <class Number> __device__ void encode(const Number* numbers) {
    if constexpr (sizeof(Bits) <= 2 && N > 1) {
      typename Format::Two pairs[N / 2];
#pragma unroll
      for (int i = 0; i < N / 2; ++i) {
        pairs[i] = Format::encode_two(before_rounding(numbers[2 * i]),
                                      before_rounding(numbers[2 * i + 1]));
      }
      memcpy(&word, pairs, sizeof(word));
    } else {
      Bits bits[N];
#pragma unroll
      for (int i = 0; i < N; ++i) bits[i] = encoded<Format>(numbers[i]);
      memcpy(&word, bits, sizeof(word));
    }
  }
};

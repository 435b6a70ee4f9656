// Elements in memory, and the numbers they stand for.
//
// A format names its raw Bits and the Number that arithmetic on it runs in: double for float64,
// float for the others. decode is exact; encode rounds once, to nearest with ties to even.
// No CUDA header is included: narrow formats convert by PTX (sm_80 and later), on the host by
// plain C++. What is not computed with moves as Bits, so that NaNs and denormals pass untouched.

#pragma once

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
};

struct Float16 {
  using Bits = unsigned short;
  using Number = float;

  static __device__ float decode(Bits bits) {
#ifdef __CUDA_ARCH__
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
#else
    return host_half_to_float(bits);
#endif
  }

  static __device__ Bits encode(float x) { return (Bits)encode_two(x, 0.0f); }

  // Two neighbours at once, the first in the low half.
  static __device__ unsigned encode_two(float first, float second) {
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

  static __device__ float decode(Bits bits) { return __uint_as_float((unsigned)bits << 16); }

  static __device__ Bits encode(float x) { return (Bits)encode_two(x, 0.0f); }

  static __device__ unsigned encode_two(float first, float second) {
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
// Vectors: N neighbouring elements, read or written by one instruction of at most 16 bytes.

template <int BYTES> struct WordOf;
template <> struct WordOf<2> { using Word = unsigned short; };
template <> struct WordOf<4> { using Word = unsigned; };
template <> struct WordOf<8> { using Word = uint2; };
template <> struct WordOf<16> { using Word = uint4; };

#ifdef __CUDA_ARCH__
template <class Word> __device__ Word load_word(const Word* address) { return *address; }
template <class Word> __device__ void store_word(Word* address, Word word) { *address = word; }
#endif  // the host's check the alignment, on which a GPU would trap

template <class Format, int N> struct Vector {
  using Bits = typename Format::Bits;
  using Number = typename Format::Number;
  using Word = typename WordOf<N * sizeof(Bits)>::Word;

  Word word;

  __device__ void load(const Bits* from) { word = load_word(reinterpret_cast<const Word*>(from)); }
  __device__ void store(Bits* to) const { store_word(reinterpret_cast<Word*>(to), word); }

  __device__ void decode(Number* numbers) const {
    Bits bits[N];
    memcpy(bits, &word, sizeof(word));
#pragma unroll
    for (int i = 0; i < N; ++i) numbers[i] = Format::decode(bits[i]);
  }

  __device__ void encode(const Number* numbers) {
    if constexpr (sizeof(Bits) == 2 && N > 1) {
      unsigned pairs[N / 2];
#pragma unroll
      for (int i = 0; i < N / 2; ++i) {
        pairs[i] = Format::encode_two(numbers[2 * i], numbers[2 * i + 1]);
      }
      memcpy(&word, pairs, sizeof(word));
    } else {
      Bits bits[N];
#pragma unroll
      for (int i = 0; i < N; ++i) bits[i] = Format::encode(numbers[i]);
      memcpy(&word, bits, sizeof(word));
    }
  }
};

// Queries and keys in memory, and the rows of one token in them.
//
//   q (tokens, heads_q, D) and k (tokens, heads_k, D): any strides, except that channels adjoin
//
// Numbers go out in a format of their own; where SCALED, over what multiplies them to read them back.

#pragma once

#include "arithmetic.cuh"
#include "formats.cuh"
#include "tokens.cuh"

using Format = FORMAT;
using Output = OUTPUT_FORMAT;
using Bits = Format::Bits;
using OutputBits = Output::Bits;
using Number = decltype(Format::Number() + Output::Number());  // double if either is

struct Operand {
  const void* x;
  void* out;
  long long x_outer, x_inner, x_head;  // strides
  long long out_outer, out_inner, out_head;
  long long heads;
  double inverse_scale;
  const float* scale;  // where it lies in device memory; null if the inverse above is given
};

struct Tensors {
  Operand q, k;
  TokenGrid grid;
  long long tail;  // channels to copy or to convert; 0 in place
};

// The rows of one token: heads of q, then of k.
struct Rows {
  const Bits *q, *k;
  OutputBits *q_out, *k_out;
  int q_heads, heads;
};

__device__ const Bits* token_in(const Operand& t, Token token) {
  return static_cast<const Bits*>(t.x) + token.outer * t.x_outer + token.inner * t.x_inner;
}

__device__ OutputBits* token_out(const Operand& t, Token token) {
  return static_cast<OutputBits*>(t.out) + token.outer * t.out_outer + token.inner * t.out_inner;
}

__device__ Rows rows_of(const Tensors& t, Token token) {
  return {token_in(t.q, token),  token_in(t.k, token), token_out(t.q, token),
          token_out(t.k, token), (int)t.q.heads,       (int)(t.q.heads + t.k.heads)};
}

__device__ const Bits* row_in(const Tensors& t, const Rows& rows, int head) {
  return head < rows.q_heads ? rows.q + head * t.q.x_head
                             : rows.k + (head - rows.q_heads) * t.k.x_head;
}

__device__ OutputBits* row_out(const Tensors& t, const Rows& rows, int head) {
  return head < rows.q_heads ? rows.q_out + head * t.q.out_head
                             : rows.k_out + (head - rows.q_heads) * t.k.out_head;
}

// What the numbers of queries and of keys are multiplied by before they are stored: not a quotient,
// which takes many more instructions, but within two roundings of it.
struct Factors {
#if SCALED
  Number q, k;
  __device__ explicit Factors(const Tensors& t) : q(inverse_of(t.q)), k(inverse_of(t.k)) {}
  static __device__ Number inverse_of(const Operand& t) {
    return t.scale ? 1 / (Number)*t.scale : (Number)t.inverse_scale;
  }
  template <int N> __device__ void apply(const Rows& rows, int head, Number (&numbers)[N]) const {
    const Number factor = head < rows.q_heads ? q : k;
#pragma unroll
    for (int i = 0; i < N; ++i) numbers[i] = product(numbers[i], factor);
  }
#else
  __device__ explicit Factors(const Tensors&) {}
  template <int N> __device__ void apply(const Rows&, int, Number (&)[N]) const {}
#endif
};

// Queries and keys in memory, and the rows of one token in them.
//
//   q (tokens, heads_q, D) and k (tokens, heads_k, D): any strides, except that channels adjoin

#pragma once

#include "formats.cuh"
#include "tokens.cuh"

using Format = FORMAT;
using Bits = Format::Bits;
using Number = Format::Number;

struct Operand {
  const void* x;
  void* out;
  long long x_outer, x_inner, x_head;  // strides
  long long out_outer, out_inner, out_head;
  long long heads;
};

struct Tensors {
  Operand q, k;
  TokenGrid grid;
  long long tail;  // channels to copy; 0 in place
};

// The rows of one token: heads of q, then of k.
struct Rows {
  const Bits *q, *k;
  Bits *q_out, *k_out;
  int q_heads, heads;
};

__device__ const Bits* token_in(const Operand& t, Token token) {
  return static_cast<const Bits*>(t.x) + token.outer * t.x_outer + token.inner * t.x_inner;
}

__device__ Bits* token_out(const Operand& t, Token token) {
  return static_cast<Bits*>(t.out) + token.outer * t.out_outer + token.inner * t.out_inner;
}

__device__ Rows rows_of(const Tensors& t, Token token) {
  return {token_in(t.q, token),  token_in(t.k, token), token_out(t.q, token),
          token_out(t.k, token), (int)t.q.heads,       (int)(t.q.heads + t.k.heads)};
}

__device__ const Bits* row_in(const Tensors& t, const Rows& rows, int head) {
  return head < rows.q_heads ? rows.q + head * t.q.x_head
                             : rows.k + (head - rows.q_heads) * t.k.x_head;
}

__device__ Bits* row_out(const Tensors& t, const Rows& rows, int head) {
  return head < rows.q_heads ? rows.q_out + head * t.q.out_head
                             : rows.k_out + (head - rows.q_heads) * t.k.out_head;
}

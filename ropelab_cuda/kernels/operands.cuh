// Queries and keys in memory, and the rows of one token in them.
//
//   q (tokens, heads_q, D) and k (tokens, heads_k, D): any strides, except that channels adjoin
//
// Numbers go out in a format of their own; where SCALED, over what multiplies them to read them back.
// Where KEYS_APART, those of keys go out in KEY_FORMAT, and over a scale if KEY_SCALED.

#pragma once

#include "arithmetic.cuh"
#include "formats.cuh"
#include "layouts.cuh"
#include "tokens.cuh"

using Format = FORMAT;
using Output = OUTPUT_FORMAT;
#if KEYS_APART
using KeyOutput = KEY_FORMAT;
#else
using KeyOutput = Output;
#define KEY_SCALED SCALED
#endif
using Bits = Format::Bits;
// double if any of them is
using Number = decltype(Format::Number() + Output::Number() + KeyOutput::Number());

constexpr int STRIDE = LANES * HEAD_BLOCKS;  // between the heads of one thread
__device__ int first_head() { return blockIdx.y * LANES + threadIdx.y; }

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
};

// The rows of one token: heads of q, then of k, which are numbered on.
struct Rows {
  const Bits *q, *k;
  Output::Bits* q_out;
  KeyOutput::Bits* k_out;
  int q_heads, heads;
  int stored;      // heads that go out, all or those of q
  int first_tail;  // the first head whose other channels do, too
};

__device__ const Bits* token_in(const Operand& t, Token token) {
  return static_cast<const Bits*>(t.x) + token.outer * t.x_outer + token.inner * t.x_inner;
}

template <class Format> __device__ typename Format::Bits* token_out(const Operand& t, Token token) {
  return static_cast<typename Format::Bits*>(t.out) + token.outer * t.out_outer +
         token.inner * t.out_inner;
}

// From head to head: HEAD_STEP and OUT_HEAD_STEP where they are the same for q and k, and known to
// the compiler, which saves most of the arithmetic of addresses; else 0.
__device__ long long step_in(const Operand& t) { return HEAD_STEP ? HEAD_STEP : t.x_head; }
__device__ long long step_out(const Operand& t) {
  return OUT_HEAD_STEP ? OUT_HEAD_STEP : t.out_head;
}

__device__ Rows rows_of(const Tensors& t, Token token) {
  const int q_heads = (int)t.q.heads, heads = (int)(t.q.heads + t.k.heads);
  return {token_in(t.q, token),
          token_in(t.k, token),
          token_out<Output>(t.q, token),
          token_out<KeyOutput>(t.k, token),
          q_heads,
          heads,
          heads,
          0};
}

__device__ bool is_key(const Rows& rows, int head) { return head >= rows.q_heads; }

__device__ const Bits* row_in(const Tensors& t, const Rows& rows, int head) {
  const bool is_q = head < rows.q_heads;
  const int number = is_q ? head : head - rows.q_heads;
  return (is_q ? rows.q : rows.k) + number * step_in(is_q ? t.q : t.k);
}

__device__ Output::Bits* q_row_out(const Tensors& t, const Rows& rows, int head) {
  return rows.q_out + head * step_out(t.q);
}

__device__ KeyOutput::Bits* k_row_out(const Tensors& t, const Rows& rows, int head) {
  return rows.k_out + (head - rows.q_heads) * step_out(t.k);
}

#if !KEYS_APART
__device__ Output::Bits* row_out(const Tensors& t, const Rows& rows, int head) {
  const bool is_q = head < rows.q_heads;
  const int number = is_q ? head : head - rows.q_heads;
  return (is_q ? rows.q_out : rows.k_out) + number * step_out(is_q ? t.q : t.k);
}
#endif

// How the numbers of one operand are stored: in which format, and what they are multiplied by
// before. That is no quotient, which takes many more instructions, but within two roundings of it.
template <class Output, bool IS_SCALED> struct Outlet {
  Number factor;

  __device__ explicit Outlet(const Operand& t) {
    if constexpr (IS_SCALED) factor = t.scale ? 1 / (Number)*t.scale : (Number)t.inverse_scale;
  }

  template <int N> __device__ void apply(Number (&numbers)[N]) const {
    if constexpr (IS_SCALED) {
#pragma unroll
      for (int i = 0; i < N; ++i) numbers[i] = product(numbers[i], factor);
    }
  }

  // Both members of some pairs; unless they are over a scale already.
  template <template <class> class Layout, bool APPLIES, int N>
  __device__ Layout<Output> stored(Number (&first)[N], Number (&second)[N]) const {
    if constexpr (APPLIES) {
      apply(first);
      apply(second);
    }
    Layout<Output> both;
    both.encode(first, second);
    return both;
  }

  // A unit of channels that are not rotated, each where it was.
  template <template <class> class Layout, class Source>
  __device__ Layout<Output> passed_on(const Source& held) const {
    Layout<Output> unit;
#pragma unroll
    for (int i = 0; i < ACCESSES; ++i) unit.part[i] = passed_on(held.part[i]);
    return unit;
  }

  // Of such channels their bits, or what is stored of their numbers.
  template <class Source, int N>
  __device__ Vector<Output, N> passed_on(const Vector<Source, N>& held) const {
    if constexpr (SAME<Source, Output> && !IS_SCALED) {
      return held;
    } else {
      Number numbers[N];
      held.decode(numbers);
      apply(numbers);
      Vector<Output, N> stored;
      stored.encode(numbers);
      return stored;
    }
  }
};

struct Outlets {
  Outlet<Output, SCALED> q;
  Outlet<KeyOutput, KEY_SCALED> k;
  __device__ explicit Outlets(const Tensors& t) : q(t.q), k(t.k) {}
};

#if !KEYS_APART
__device__ const Outlet<Output, SCALED>& outlet_of(const Outlets& outlets, const Rows& rows,
                                                   int head) {
  return head < rows.q_heads ? outlets.q : outlets.k;
}
#endif

// Store what a thread holds of a head: put(make(outlet), row).
template <class Make, class Put>
__device__ void store_head(const Tensors& t, const Rows& rows, const Outlets& outlets, int head,
                           const Make& make, const Put& put) {
#if KEYS_APART
  if (head < rows.q_heads) {
    put(make(outlets.q), q_row_out(t, rows, head));
  } else {
    put(make(outlets.k), k_row_out(t, rows, head));
  }
#else
  put(make(outlet_of(outlets, rows, head)), row_out(t, rows, head));
#endif
}

// Rotate every head of every token, given the cosines and sines of the token's pairs.
//
//   q (tokens, heads_q, D) and k (tokens, heads_k, D): any strides, except that channels adjoin
//   D = 2 * PAIRS rotated channels; `tail` channels pass through, OFFSET of them before the others,
//   as bits, or converted as the rotated ones are
//
//   threadIdx.x   of ACROSS, unit: a few pairs of one head, or one vector of the tail
//   threadIdx.y   of LANES, head lane: of the heads of q and then k, number y, y + LANES, ...
//   threadIdx.z   of TOKENS, token within the block, as in tokens.cuh
//
// The threads of a token share its angles: each computes a few pairs into shared memory, while the
// first UNROLL heads of every thread are already on their way to L2, or from there. What remains is
// a copy with a little arithmetic. Every element is read once and written once; by one thread, or,
// where the layouts differ, after all of its head has been read. So out may be x itself.

#pragma once

#include "angles.cuh"
#include "layouts.cuh"
#include "operands.cuh"
#include "tails.cuh"

// Some heads in flight, of each a unit: all are loaded before the first is used. Units from UNITS on
// are vectors of the tail.
struct Flight {
  Source held[UNROLL];
  Tails tails;

  __device__ void load(const Tensors& t, const Rows& rows, int start, int unit) {
    if (TAIL_VECTOR && unit >= UNITS) return tails.load(t, rows, start, unit - UNITS);
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + j * STRIDE;
      if (head < rows.heads) held[j].load(row_in(t, rows, head), unit);
    }
  }

  // Ask for them early; L2 stays true to what predecessors write, as L1 and registers would not.
  __device__ void prefetch(const Tensors& t, const Rows& rows, int start, int unit) const {
    if (TAIL_VECTOR && unit >= UNITS) return tails.prefetch(t, rows, start, unit - UNITS);
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + j * STRIDE;
      if (head < rows.heads) prefetch_share(row_in(t, rows, head), unit);
    }
  }

  __device__ void rotate_and_store(const Tensors& t, const Rows& rows, const Outlets& outlets,
                                   int start, int unit, const Number* cos, const Number* sin) {
    if (TAIL_VECTOR && unit >= UNITS) return tails.store(t, rows, outlets, start, unit - UNITS);
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + j * STRIDE;
      if (head < rows.stored) {
        Number first[PAIRS_HELD], second[PAIRS_HELD];
        held[j].decode(first, second);
#pragma unroll
        for (int i = 0; i < PAIRS_HELD; ++i) rotate_pair(first[i], second[i], cos[i], sin[i]);
        store_head(
            t, rows, outlets, head,
            [&](const auto& to) { return to.template stored<OUTPUT_LAYOUT>(first, second); },
            [&](const auto& both, auto* row) { both.store(row, unit); });
      }
    }
  }
};

// Rotate one token's heads; `flight` holds the first of the thread's first unit.
#if ONE_LAYOUT
template <class Angles>
__device__ void rotate_token(const Tensors& t, const Rows& rows, const Angles& angles,
                             Flight& flight, bool present) {
  if (!present) return;
  const Outlets outlets(t);
  const int units = UNITS + tail_vectors(t);
  for (int unit = threadIdx.x; unit < units; unit += ACROSS) {
    int head = first_head();
    if (unit >= ACROSS) flight.load(t, rows, head, unit);
    Number cos[PAIRS_HELD], sin[PAIRS_HELD];
    if (unit < UNITS) angles.of_unit(unit, cos, sin);
    while (true) {
      flight.rotate_and_store(t, rows, outlets, head, unit, cos, sin);
      head += UNROLL * STRIDE;
      if (head >= rows.heads) break;
      flight.load(t, rows, head, unit);
    }
  }
}
#else
// A unit goes where others came from: a barrier keeps each head's stores behind its loads. All
// threads must meet it, so their rounds are counted alike, and none has a second unit. Tails stay in
// their places, so they follow.
template <class Angles>
__device__ void rotate_token(const Tensors& t, const Rows& rows, const Angles& angles,
                             Flight& flight, bool present) {
  static_assert(UNITS <= ACROSS, "a head must be read whole before it is written");
  const int unit = threadIdx.x;
  const bool rotates = present && unit < UNITS;
  const Outlets outlets(t);
  Number cos[PAIRS_HELD], sin[PAIRS_HELD];
  if (rotates) angles.of_unit(unit, cos, sin);
  const int first = blockIdx.y * LANES;
  for (int start = first; start < rows.heads; start += UNROLL * STRIDE) {
    const int head = start + threadIdx.y;
    if (rotates && start > first) flight.load(t, rows, head, unit);
    __syncthreads();
    if (rotates) flight.rotate_and_store(t, rows, outlets, head, unit, cos, sin);
  }
  for (int vector = unit; present && vector < tail_vectors(t); vector += ACROSS) {
    for (int head = first_head(); head < rows.stored; head += UNROLL * STRIDE) {
      flight.tails.load(t, rows, head, vector);
      flight.tails.store(t, rows, outlets, head, vector);
    }
  }
}
#endif

// What else a kernel does with a token: load more; store that, and change the rows where its heads
// will go. By default nothing.
struct Nothing {
  __device__ void prefetch(Token) {}
  __device__ void load(Token) {}
  __device__ void store(Rows&) {}
};

// `angles_of(token)` knows a token's angles: of_pair(pair) is the cosine and sine of one pair, and
// was_outdated() reads again what they depend on, and says whether it has changed.
template <class AnglesOf, class Also = Nothing>
__device__ void rotate_tokens(const Tensors& t, const AnglesOf& angles_of, Also also = {}) {
  __shared__ SharedAngles shared[TOKENS];
  const Token token = token_of_thread(t.grid);
  const bool present = is_present(t.grid, token);
  const bool loads = present && (ONE_LAYOUT || threadIdx.x < UNITS);
  Rows rows = rows_of(t, token);
  const int head = first_head(), unit = threadIdx.x;
  Flight flight;
  const auto angles = angles_and_loads(
      shared[threadIdx.z], [&] { return angles_of(present ? token : Token{0, 0}); },
      [&] {
        if (loads) flight.prefetch(t, rows, head, unit);
        if (present) also.prefetch(token);
      },
      [&] {
        if (loads) flight.load(t, rows, head, unit);
        if (present) also.load(token);
      });
  also.store(rows);
  rotate_token(t, rows, angles, flight, present);
}

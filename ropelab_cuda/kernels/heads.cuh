// Rotate every head of every token, given the cosines and sines of the token's pairs.
//
//   q (tokens, heads_q, D) and k (tokens, heads_k, D): any strides, except that channels adjoin
//   D = 2 * PAIRS rotated channels; TAIL channels pass through, OFFSET of them before the others,
//   as bits, or converted as the rotated ones are
//
//   threadIdx.x   of ACROSS, unit: a few pairs of one head, or as many channels of the tail
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

// Some heads in flight, of each a unit: all are loaded before the first is used.
struct Flight {
  Source held[UNROLL];

  __device__ void load(const Tensors& t, const Rows& rows, int start, int unit) {
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + j * STRIDE;
      if (head < rows.heads) held[j].load(row_in(t, rows, head), unit);
    }
  }

  // Ask for them early; L2 stays true to what predecessors write, as L1 and registers would not.
  __device__ void prefetch(const Tensors& t, const Rows& rows, int start, int unit) const {
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + j * STRIDE;
      if (head < rows.heads) prefetch_share(row_in(t, rows, head), unit);
    }
  }

  // What does not turn is computed with its neighbours, by any angle, and then is what it was.
  template <class Angles>
  __device__ void rotate_and_store(const Tensors& t, const Rows& rows, const Outlets& outlets,
                                   int start, int unit, Angles& angles, Number* cos, Number* sin) {
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + j * STRIDE;
      if (head < rows.stored && (turns(unit) || head >= rows.first_tail)) {
        Number first[PAIRS_HELD], second[PAIRS_HELD];
        held[j].decode(first, second);
        angles.rotate(first, second, is_key(rows, head), cos, sin);
        store_head(
            t, rows, outlets, head,
            [&](const auto& to) {
              auto both = to.template stored<OUTPUT_LAYOUT, !Angles::OVER_SCALES>(first, second);
              if (!turns(unit)) both = to.template passed_on<OUTPUT_LAYOUT>(held[j]);
              return both;
            },
            [&](const auto& both, auto* row) { both.store(row, unit); });
      }
    }
  }
};

// Rotate one token's heads; `flight` holds the first of the thread's first unit.
#if ONE_LAYOUT
template <class Angles>
__device__ void rotate_token(const Tensors& t, const Rows& rows, Angles& angles, Flight& flight,
                             bool present) {
  if (!present) return;
  const Outlets outlets(t);
  for (int unit = threadIdx.x; unit < ALL_UNITS; unit += ACROSS) {
    int head = first_head();
    if (unit >= ACROSS) flight.load(t, rows, head, unit);
    Number cos[PAIRS_HELD], sin[PAIRS_HELD];
    angles.of_unit(turns(unit) ? unit : 0, is_key(rows, head), cos, sin);
    while (true) {
      flight.rotate_and_store(t, rows, outlets, head, unit, angles, cos, sin);
      head += UNROLL * STRIDE;
      if (head >= rows.heads) break;
      flight.load(t, rows, head, unit);
    }
  }
}
#else
// A unit goes where others came from: a barrier keeps each head's stores behind its loads. All
// threads must meet it, so their rounds are counted alike, and none has a second unit that turns.
// Those that do not stay in their places, so they may follow.
template <class Angles>
__device__ void rotate_token(const Tensors& t, const Rows& rows, Angles& angles, Flight& flight,
                             bool present) {
  static_assert(UNITS <= ACROSS, "a head must be read whole before it is written");
  const Outlets outlets(t);
  Number cos[PAIRS_HELD], sin[PAIRS_HELD];
  angles.of_unit(turns(threadIdx.x) ? threadIdx.x : 0, false, cos, sin);
  const int first = blockIdx.y * LANES;
  for (int start = first; start < rows.heads; start += UNROLL * STRIDE) {
    const int head = start + threadIdx.y;
    if (present && start > first) flight.load(t, rows, head, threadIdx.x);
    __syncthreads();
    if (present) flight.rotate_and_store(t, rows, outlets, head, threadIdx.x, angles, cos, sin);
  }
  for (int unit = threadIdx.x + ACROSS; present && unit < ALL_UNITS; unit += ACROSS) {
    for (int head = first_head(); head < rows.stored; head += UNROLL * STRIDE) {
      flight.load(t, rows, head, unit);
      flight.rotate_and_store(t, rows, outlets, head, unit, angles, cos, sin);
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

// `angles_of(token)` knows a token's angles: of_pair(pair) is the cosine and sine of one pair, as it is
// put into Shared, and was_outdated() reads again what they depend on, and says whether it has changed.
template <class Shared = SharedAngles, class AnglesOf, class Also = Nothing>
__device__ void rotate_tokens(const Tensors& t, const AnglesOf& angles_of, Also also = {}) {
  __shared__ Shared shared[TOKENS];
  const Token token = token_of_thread(t.grid);
  const bool present = is_present(t.grid, token);
  Rows rows = rows_of(t, token);
  const int head = first_head(), unit = threadIdx.x;
  Flight flight;
  auto angles = angles_and_loads(
      shared[threadIdx.z], [&] { return angles_of(present ? token : Token{0, 0}); },
      [&] {
        if (!present) return;
        flight.prefetch(t, rows, head, unit);
        also.prefetch(token);
      },
      [&] {
        if (!present) return;
        flight.load(t, rows, head, unit);
        also.load(token);
      });
  also.store(rows);
  rotate_token(t, rows, angles, flight, present);
}

// Left to itself the assembler holds more threads resident, by which kernels gain that compute their
// angles; where tails, or a format of keys, need more registers, it would spill some for that.
#if TAIL > 0 || KEYS_APART
#define BOUNDS ACROSS * LANES * TOKENS, 1
#else
#define BOUNDS ACROSS * LANES * TOKENS
#endif

// Layouts: which channels a unit of PAIRS_HELD pairs holds, in accesses of VECTOR elements, the
// widest that are aligned on the way in and on the way out.
//
// The TAIL channels that are not rotated make units too, which follow those that turn. Half of a
// tail lies between the vectors of such a unit, whatever the layout: so threads side by side touch
// bytes side by side, and load and store as their neighbours do, that hold pairs.

#pragma once

#include "dependent.cuh"
#include "formats.cuh"

constexpr int ACCESSES = 2 * PAIRS_HELD / VECTOR;  // of a unit, one or two
constexpr int UNITS = PAIRS / PAIRS_HELD;
constexpr int TAIL_UNITS = (TAIL + 2 * PAIRS_HELD - 1) / (2 * PAIRS_HELD);
constexpr int ALL_UNITS = UNITS + TAIL_UNITS;
static_assert(PAIRS % PAIRS_HELD == 0, "a unit must not cross the end of the rotated channels");
static_assert(TAIL % (2 * PAIRS_HELD) == 0 || PAIRS_HELD == 1, "nor that of the others");

__device__ bool turns(int unit) { return TAIL == 0 || unit < UNITS; }

// Where the accesses of a unit begin, counted from the first rotated channel.
struct Starts { int low, high; };

// Number i of the channels that are not rotated, of which OFFSET lie before the others.
__device__ int tail_channel(int i) { return i < OFFSET ? i - OFFSET : i - OFFSET + 2 * PAIRS; }

// An odd channel, at the end, is both members of its unit, for one thread to read and write.
__device__ bool is_single(int unit) { return TAIL % 2 == 1 && unit == ALL_UNITS - 1; }

__device__ Starts starts_in_tail(int unit) {
  const int low = (unit - UNITS) * VECTOR;
  return {tail_channel(low), tail_channel(is_single(unit) ? low : low + TAIL_UNITS * VECTOR)};
}

// Ask for a unit's share of the row: as many bytes as it holds, but side by side in either layout. That
// is one request a unit and at most a sector of 32 bytes; all units together ask for the whole row.
template <class Bits> __device__ void prefetch_share(const Bits* row, int unit) {
  const int share = unit * 2 * PAIRS_HELD;
  prefetch_to_l2(row + (turns(unit) ? share : tail_channel(share - 2 * PAIRS)));
}

// The accesses of a unit, where Layout::starts(unit) places them.
template <class Format, class Layout> struct Unit {
  using Bits = typename Format::Bits;

  Vector<Format, VECTOR> part[ACCESSES];

  static __device__ Starts starts(int unit) {
    return turns(unit) ? Layout::starts_of(unit) : starts_in_tail(unit);
  }
  __device__ void load(const Bits* row, int unit) {
    const Starts at = starts(unit);
    part[0].load(row + at.low);
    if constexpr (ACCESSES == 2) part[1].load(row + at.high);
  }
  __device__ void store(Bits* row, int unit) const {
    const Starts at = starts(unit);
    part[0].store(row + at.low);
    if constexpr (ACCESSES == 2) part[1].store(row + at.high);
  }
};

// Pair i = (i, i + PAIRS): one access of each half.
template <class Format> struct Half : Unit<Format, Half<Format>> {
  using Unit<Format, Half<Format>>::part;

  static __device__ Starts starts_of(int unit) {
    return {unit * VECTOR, unit * VECTOR + PAIRS};
  }
  template <class Number> __device__ void decode(Number* first, Number* second) const {
    part[0].decode(first);
    part[1].decode(second);
  }
  template <class Number> __device__ void encode(const Number* first, const Number* second) {
    part[0].encode(first);
    part[1].encode(second);
  }
};

// Pair i = (2i, 2i + 1): one access, so that neighbouring threads touch neighbouring bytes; two where
// only single elements are aligned, or where the other end of the rotation is Half.
template <class Format> struct Interleaved : Unit<Format, Interleaved<Format>> {
  using Unit<Format, Interleaved<Format>>::part;

  static __device__ Starts starts_of(int unit) {
    const int low = unit * 2 * PAIRS_HELD;
    return {low, low + VECTOR};
  }
  template <class Number> __device__ void decode(Number* first, Number* second) const {
    Number both[2 * PAIRS_HELD];
#pragma unroll
    for (int i = 0; i < ACCESSES; ++i) part[i].decode(both + i * VECTOR);
#pragma unroll
    for (int i = 0; i < PAIRS_HELD; ++i) first[i] = both[2 * i], second[i] = both[2 * i + 1];
  }
  template <class Number> __device__ void encode(const Number* first, const Number* second) {
    Number both[2 * PAIRS_HELD];
#pragma unroll
    for (int i = 0; i < PAIRS_HELD; ++i) both[2 * i] = first[i], both[2 * i + 1] = second[i];
#pragma unroll
    for (int i = 0; i < ACCESSES; ++i) part[i].encode(both + i * VECTOR);
  }
};

using Source = LAYOUT<FORMAT>;
static_assert(ACCESSES == 2 || SAME<Source, Interleaved<FORMAT>>, "these pairs lie apart");

// Layouts: which channels a unit of PAIRS_HELD pairs holds, in accesses of VECTOR elements, the
// widest that are aligned on the way in and on the way out.

#pragma once

#include "dependent.cuh"
#include "formats.cuh"

// Ask for a unit's share of the row: as many bytes as it holds, but side by side in either layout. That
// is one request a unit and at most a sector of 32 bytes; all units together ask for the whole row.
template <class Bits> __device__ void prefetch_share(const Bits* row, int unit) {
  prefetch_to_l2(row + unit * 2 * PAIRS_HELD);
}

// Pair i = (i, i + PAIRS). A unit is one vector of each half: PAIRS_HELD is VECTOR.
template <class Format> struct Half {
  using Bits = typename Format::Bits;

  Vector<Format, VECTOR> low, high;

  __device__ void load(const Bits* row, int unit) {
    low.load(row + unit * VECTOR);
    high.load(row + PAIRS + unit * VECTOR);
  }
  __device__ void store(Bits* row, int unit) const {
    low.store(row + unit * VECTOR);
    high.store(row + PAIRS + unit * VECTOR);
  }
  template <class Number> __device__ void decode(Number* first, Number* second) const {
    low.decode(first);
    high.decode(second);
  }
  template <class Number> __device__ void encode(const Number* first, const Number* second) {
    low.encode(first);
    high.encode(second);
  }
};

// Pair i = (2i, 2i + 1). A unit is one vector, so that neighbouring threads touch neighbouring
// bytes; two where only single elements are aligned, or where the other end of the rotation is Half.
template <class Format> struct Interleaved {
  using Bits = typename Format::Bits;

  static constexpr int ACCESSES = 2 * PAIRS_HELD / VECTOR;
  Vector<Format, VECTOR> part[ACCESSES];

  __device__ void load(const Bits* row, int unit) {
#pragma unroll
    for (int i = 0; i < ACCESSES; ++i) {
      part[i].load(row + (unit * ACCESSES + i) * VECTOR);
    }
  }
  __device__ void store(Bits* row, int unit) const {
#pragma unroll
    for (int i = 0; i < ACCESSES; ++i) {
      part[i].store(row + (unit * ACCESSES + i) * VECTOR);
    }
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
constexpr int UNITS = PAIRS / PAIRS_HELD;
static_assert(PAIRS % PAIRS_HELD == 0, "a unit must not cross the end of the rotated channels");

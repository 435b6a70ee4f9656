// Move the channels of each row from one layout of pairs to the other, as bits.
//
//   x, out   (rows, D): rows along any axes, with any strides; channels adjoin
//   D = 2 * PAIRS channels that change places, and then TAIL that do not; in place none of these
//
//   threadIdx.x   of ACROSS, unit: VECTOR pairs of a row, or VECTOR channels of its tail
//   threadIdx.y   of ROWS, row within the block
//
// Moved: each element in and out once. In place a barrier keeps a row's stores behind its loads.

#include "dependent.cuh"
#include "formats.cuh"

using Bits = BITS;

struct Permute {
  const Bits* x;
  Bits* out;
  long long rows;
  long long lengths[ROW_AXES], x_strides[ROW_AXES], out_strides[ROW_AXES];
};
static_assert(sizeof(Permute) == PARAMETER_BYTES, "parameters.py packs another structure");

// Neighbours that one instruction reads or writes.
struct alignas(VECTOR * sizeof(Bits)) Access {
  Bits at[VECTOR];
};
__device__ Access load(const Bits* from) { return load_word(reinterpret_cast<const Access*>(from)); }
__device__ void store(Bits* to, const Access& held) { store_word(reinterpret_cast<Access*>(to), held); }

enum Layout { HALF, INTERLEAVED };

// A unit: pair i of the row is element i % VECTOR of both.
struct Unit {
  Access first, second;

  template <Layout LAYOUT> __device__ void load_pairs(const Bits* row, int unit) {
    if constexpr (LAYOUT == HALF) {
      first = load(row + unit * VECTOR);
      second = load(row + PAIRS + unit * VECTOR);
    } else {
      Access both[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) both[i] = load(row + (2 * unit + i) * VECTOR);
#pragma unroll
      for (int i = 0; i < VECTOR; ++i) {
        first.at[i] = both[2 * i / VECTOR].at[2 * i % VECTOR];
        second.at[i] = both[(2 * i + 1) / VECTOR].at[(2 * i + 1) % VECTOR];
      }
    }
  }

  template <Layout LAYOUT> __device__ void store_pairs(Bits* row, int unit) const {
    if constexpr (LAYOUT == HALF) {
      store(row + unit * VECTOR, first);
      store(row + PAIRS + unit * VECTOR, second);
    } else {
      Access both[2];
#pragma unroll
      for (int i = 0; i < VECTOR; ++i) {
        both[2 * i / VECTOR].at[2 * i % VECTOR] = first.at[i];
        both[(2 * i + 1) / VECTOR].at[(2 * i + 1) % VECTOR] = second.at[i];
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) store(row + (2 * unit + i) * VECTOR, both[i]);
    }
  }
};

constexpr int UNITS = PAIRS / VECTOR, TAILS = TAIL / VECTOR;
static_assert(PAIRS % VECTOR == 0 && TAIL % VECTOR == 0, "an access must not cross an end");
static_assert(!IN_PLACE || (UNITS <= ACROSS && TAIL == 0), "a row must be read whole");

extern "C" __global__ void __launch_bounds__(ACROSS * ROWS)
permute(const __grid_constant__ Permute p) {
  wait_for_predecessors();
  let_successors_start();
  const long long row = (long long)blockIdx.x * ROWS + threadIdx.y;
  const bool present = row < p.rows;
  const Bits* from = p.x;
  Bits* to = p.out;
  long long rest = row;
#pragma unroll
  for (int axis = ROW_AXES - 1; axis >= 0; --axis) {
    long long index = rest;
    if (axis > 0) {
      rest = index / p.lengths[axis];
      index -= rest * p.lengths[axis];
    }
    from += index * p.x_strides[axis];
    to += index * p.out_strides[axis];
  }
  for (int start = 0; start < UNITS; start += ACROSS) {
    const int unit = start + threadIdx.x;
    const bool moves = present && unit < UNITS;
    Unit held;
    if (moves) held.load_pairs<FROM>(from, unit);
#if IN_PLACE
    __syncthreads();
#endif
    if (moves) held.store_pairs<TO>(to, unit);
  }
  for (int tail = threadIdx.x; present && tail < TAILS; tail += ACROSS) {
    const int channel = 2 * PAIRS + tail * VECTOR;
    store(to + channel, load(from + channel));
  }
}

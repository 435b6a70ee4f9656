// Norm queries and keys by their root mean square, then rotate them by their positions.
//
//   q (tokens, heads_q, D) and k (tokens, heads_k, D): any strides, except that channels adjoin
//   weights        (D), or where ACROSS_HEADS (heads, D); null for none
//   positions      of any source in tokens.cuh
//
//   threadIdx.x   of ACROSS, as in norm.cuh
//   threadIdx.y   of LANES, head lane: of the heads of q and then k, number y, y + LANES, ...
//   threadIdx.z   of TOKENS, token within the block, as in tokens.cuh; a warp has one token
//
// Moved: each element in and out once, a few bytes of position a token, and the weights, which
// stay in L1 or L2. Where the norm goes ACROSS_HEADS, a block has all heads of its token and reads
// them all before it writes: from registers, if UNROLL heads a thread are enough, else once more,
// from L2. Sums have one order whatever the block is. Every store comes after the sum to which all
// of its head has been read, so out may be x itself, whatever the layouts.

#include "dependent.cuh"
#include "norm.cuh"
#include "spectrum.cuh"

struct Norm {
  const void* weights;
  long long head_stride;
  double share;  // of one channel in the mean
};

struct NormRotary {
  Tensors tensors;
  Norm q, k;
  double eps, weight_offset;
  Positions positions;
  Spectrum spectrum;
};
static_assert(sizeof(NormRotary) == PARAMETER_BYTES, "parameters.py packs another structure");
static_assert(ACROSS * LANES % 32 == 0, "the threads of a token must fill their warps");

__device__ Scaling scaling_of(const NormRotary& p, bool is_q, Number squares) {
  const Norm& norm = is_q ? p.q : p.k;
  const Number factor = inverse_root(fma(squares, (Number)norm.share, (Number)p.eps));
  return {factor, (WeightNumber)p.weight_offset, norm.weights != nullptr};
}

// Some heads in flight: all are loaded before the first is used.
struct Flight {
  Channels held[UNROLL];
  Number squares_of_head[UNROLL];

  __device__ void load(const NormRotary& p, const Rows& rows, int start) {
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + j * STRIDE;
      if (head < rows.heads) held[j].load(row_in(p.tensors, rows, head));
    }
  }

  __device__ void prefetch(const NormRotary& p, const Rows& rows, int start) const {
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + j * STRIDE;
      if (head < rows.heads) Channels::prefetch(row_in(p.tensors, rows, head));
    }
  }

  // All threads of a warp must come here together, with heads or without.
  __device__ void sum(const Rows& rows, int start, bool present) {
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const bool is_there = present && start + j * STRIDE < rows.heads;
      squares_of_head[j] = sum_over(ACROSS, is_there ? squares(held[j]) : 0);
    }
#if !ONE_LAYOUT
    __syncwarp();  // a unit goes where others came from: no store may pass their loads
#endif
  }
};

// `flight` holds the thread's first heads already.
#if !ACROSS_HEADS
// Whether a thread keeps its weights of queries and of keys; else it reads them for each head.
constexpr bool KEEPS_WEIGHTS = sizeof(Weights) <= 16;

template <class Angles>
__device__ void norm_and_rotate(const NormRotary& p, const Rows& rows, const Angles& angles,
                                Flight& flight, bool present) {
  const auto* q_weights = static_cast<const WeightBits*>(p.q.weights);
  const auto* k_weights = static_cast<const WeightBits*>(p.k.weights);
  const Outlets outlets(p.tensors);
  Weights of_q, of_k;
  if (KEEPS_WEIGHTS && q_weights) of_q.load(q_weights);
  if (KEEPS_WEIGHTS && k_weights) of_k.load(k_weights);
  const int first = blockIdx.y * LANES;
  for (int start = first; start < rows.heads; start += UNROLL * STRIDE) {
    if (present && start > first) flight.load(p, rows, start + (int)threadIdx.y);
    flight.sum(rows, start + (int)threadIdx.y, present);
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + (int)threadIdx.y + j * STRIDE;
      if (!present || head >= rows.heads) continue;
      const bool is_q = head < rows.q_heads;
      const Scaling scaling = scaling_of(p, is_q, flight.squares_of_head[j]);
      Weights weights = is_q ? of_q : of_k;
      if (!KEEPS_WEIGHTS && scaling.weighted) weights.load(is_q ? q_weights : k_weights);
      norm_rotate_and_store(flight.held[j], weights, scaling, angles,
                            outlet_of(outlets, rows, head), row_out(p.tensors, rows, head));
    }
  }
}
#else
// The sum of squares of some heads, by every warp for itself.
__device__ Number sum_of_heads(const Number* squares_of_head, int heads) {
  Number sum = 0;
  for (int head = (threadIdx.y * ACROSS + threadIdx.x) % 32; head < heads; head += 32) {
    sum += squares_of_head[head];
  }
  return sum_over(32, sum);
}

__device__ const WeightBits* weights_of(const NormRotary& p, const Rows& rows, int head) {
  const bool is_q = head < rows.q_heads;
  const auto* weights = static_cast<const WeightBits*>(is_q ? p.q.weights : p.k.weights);
  if (!weights) return nullptr;
  return weights + (is_q ? head * p.q.head_stride : (head - rows.q_heads) * p.k.head_stride);
}

template <class Angles>
__device__ void norm_and_rotate(const NormRotary& p, const Rows& rows, const Angles& angles,
                                Flight& flight, bool present) {
  static_assert(HEAD_BLOCKS == 1, "a block must have all heads of its token");
  __shared__ Number shared[TOKENS][HEADS];
  Number* sums = shared[threadIdx.z];
  Weights weights[UNROLL];
  const auto load_weights = [&](int start) {
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + (int)threadIdx.y + j * LANES;
      const WeightBits* row = head < rows.heads ? weights_of(p, rows, head) : nullptr;
      if (row) weights[j].load(row);
    }
  };
  constexpr int step = UNROLL * LANES;
  int start = 0;
  while (true) {
    flight.sum(rows, start + (int)threadIdx.y, present);
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + (int)threadIdx.y + j * LANES;
      if (head < rows.heads && threadIdx.x == 0) sums[head] = flight.squares_of_head[j];
    }
    if (start + step >= rows.heads) break;
    start += step;
    if (present) flight.load(p, rows, start + (int)threadIdx.y);
  }
  load_weights(start);  // on their way while the threads meet
  __syncthreads();
  if (!present) return;
  const Outlets outlets(p.tensors);
  const Scaling of_q = scaling_of(p, true, sum_of_heads(sums, rows.q_heads));
  const Scaling of_k =
      scaling_of(p, false, sum_of_heads(sums + rows.q_heads, rows.heads - rows.q_heads));
  while (true) {  // from the last flight, which is still held, to the first
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
      const int head = start + (int)threadIdx.y + j * LANES;
      if (head >= rows.heads) continue;
      norm_rotate_and_store(flight.held[j], weights[j], head < rows.q_heads ? of_q : of_k, angles,
                            outlet_of(outlets, rows, head), row_out(p.tensors, rows, head));
    }
    if (start == 0) break;
    start -= step;
    flight.load(p, rows, start + (int)threadIdx.y);
    load_weights(start);
#if !ONE_LAYOUT
    __syncwarp();
#endif
  }
}
#endif

// Left to itself the assembler holds more threads resident, and would spill where heads have most.
// Over scales it does not, and would hold fewer if it were told.
#if ACROSS_HEADS && TAIL > 0 && !SCALED
#define BOUNDS ACROSS * LANES * TOKENS, 1
#else
#define BOUNDS ACROSS * LANES * TOKENS
#endif

extern "C" __global__ void __launch_bounds__(BOUNDS)
norm_rotary(const __grid_constant__ NormRotary p) {
  __shared__ SharedAngles shared[TOKENS];
  const Token token = token_of_thread(p.tensors.grid);
  const bool present = is_present(p.tensors.grid, token);
  const Rows rows = rows_of(p.tensors, token);
  const int head = first_head();
  const Token read = present ? token : Token{0, 0};
  Flight flight;
  const auto angles = angles_and_loads(
      shared[threadIdx.z], [&] { return Angle{TokenPosition(p.positions, p.spectrum, read)}; },
      [&] {
        if (present) flight.prefetch(p, rows, head);
      },
      [&] {
        if (present) flight.load(p, rows, head);
      });
  norm_and_rotate(p, rows, angles, flight, present);
}

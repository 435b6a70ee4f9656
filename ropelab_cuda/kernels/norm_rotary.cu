// Norm queries and keys by their root mean square, then rotate them by their positions.
//
//   q (tokens, heads_q, D) and k (tokens, heads_k, D): any strides, except that channels adjoin
//   weights        (D), or where ACROSS_HEADS (heads, D); null for none
//   positions      of any source in tokens.cuh
//
//   threadIdx.x   of ACROSS, as in norm.cuh
//   threadIdx.y   of LANES, head lane: of the heads of q number y, y + LANES, ... and of k likewise,
//                 counted from the lane behind the last head of q
//   threadIdx.z   of TOKENS, token within the block, as in tokens.cuh; a warp has one token
//
// Moved: each element in and out once, a few bytes of position a token, and the weights, which
// stay in L1 or L2. Where the norm goes ACROSS_HEADS, a block has all heads of its token and reads
// them all before it writes: from registers, if Q_UNROLL and K_UNROLL heads a thread are enough,
// else once more, from L2. Sums have one order whatever the block is. Every store comes after the
// sum to which all of its head has been read, so out may be x itself, whatever the layouts.

#define STORES_WHOLE

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

// One tensor of a token, and how it is normed.
struct Heads {
  const Operand& tensor;
  const Norm& norm;
  const Bits* in;
  Output::Bits* out;
  int count, lane;  // the thread's first head is number `lane`
  Number share, eps;

  __device__ Heads(const Operand& t, const Norm& n, double eps, Token token, int heads_before)
      : tensor(t), norm(n), in(token_in(t, token)), out(token_out<Output>(t, token)),
        count((int)t.heads), lane((first_head() + STRIDE - heads_before % STRIDE) % STRIDE),
        share((Number)n.share), eps((Number)eps) {}

  // The row of the thread's head number j in the flight that begins with head `start`. What lies
  // between them may be known to the compiler.
  __device__ const Bits* row_in(int start, int j) const {
    return in + (start + lane) * step_in(tensor) + j * (STRIDE * step_in(tensor));
  }
  __device__ Output::Bits* row_out(int start, int j) const {
    return out + (start + lane) * step_out(tensor) + j * (STRIDE * step_out(tensor));
  }
  __device__ const WeightBits* weights(int head) const {
    return static_cast<const WeightBits*>(norm.weights) + head * norm.head_stride;
  }
  // 1 / sqrt(mean + eps)
  __device__ Number factor(Number squares) const { return inverse_root(fma(squares, share, eps)); }
};

// Some heads of one tensor in flight, and their weights: all are loaded before the first is used.
template <int COUNT> struct Flight {
  static constexpr int STEP = COUNT * STRIDE;  // from one flight to the next

  Channels held[COUNT] = {};
  Weights weights[ACROSS_HEADS ? COUNT : 1];  // of each head, or one for all

  // act(head, j) for the heads of a flight that are there.
  template <class Act> static __device__ void each(const Heads& heads, int start, const Act& act) {
#pragma unroll
    for (int j = 0; j < COUNT; ++j) {
      const int head = start + heads.lane + j * STRIDE;
      if (head < heads.count) act(head, j);
    }
  }

  static __device__ void prefetch(const Heads& heads) {
    each(heads, 0, [&](int, int j) { Channels::prefetch(heads.row_in(0, j)); });
  }
  __device__ void load(const Heads& heads, int start) {
    each(heads, start, [&](int, int j) { held[j].load(heads.row_in(start, j)); });
  }
  __device__ void load_weights(const Heads& heads, int start) {
    if (!heads.norm.weights) return;
#if ACROSS_HEADS
    each(heads, start, [&](int head, int j) { weights[j].load(heads.weights(head)); });
#else
    weights[0].load(heads.weights(0));
#endif
  }

  // The sum of squares of each head; of nothing that counts where there is none. All threads of a
  // warp must come here together.
  __device__ void sum(Number* squares_of_head) const {
#pragma unroll
    for (int j = 0; j < COUNT; ++j) {
      squares_of_head[j] = sum_over(ACROSS, squares(held[j]));
    }
#if !ONE_LAYOUT
    __syncwarp();  // a unit goes where others came from: no store may pass their loads
#endif
  }
};

template <class Angles>
__device__ WeightedTurns turns_of(const NormRotary& p, const Heads& heads, const Angles& angles,
                                  const Weights& weights) {
  return {angles, weights, heads.norm.weights != nullptr, (WeightNumber)p.weight_offset};
}

// `flight` holds the thread's first heads already.
#if !ACROSS_HEADS
template <int COUNT, class Angles>
__device__ void norm_and_rotate(const NormRotary& p, const Heads& heads, const Angles& angles,
                                Flight<COUNT>& flight, bool present) {
  const Outlet<Output, SCALED> outlet(heads.tensor);
  const WeightedTurns weighted = turns_of(p, heads, angles, flight.weights[0]);
  for (int start = 0; start < heads.count; start += flight.STEP) {
    Number squares[COUNT];
    if (present && start > 0) flight.load(heads, start);
    flight.sum(squares);
    if (!present) continue;
    flight.each(heads, start, [&](int, int j) {
      norm_rotate_and_store(flight.held[j], heads.factor(squares[j]), weighted, outlet,
                            heads.row_out(start, j));
    });
  }
}

template <int Q, int K, class Angles>
__device__ void norm_and_rotate(const NormRotary& p, const Heads& q, const Heads& k,
                                const Angles& angles, Flight<Q>& of_q, Flight<K>& of_k,
                                bool present) {
  of_q.load_weights(q, 0);
  of_k.load_weights(k, 0);
  norm_and_rotate(p, q, angles, of_q, present);
  norm_and_rotate(p, k, angles, of_k, present);
}
#else
// The sums of squares of all heads, by those threads that hold them. The last flight stays held:
// where it starts is returned.
template <int COUNT>
__device__ int sum_heads(const Heads& heads, Flight<COUNT>& flight, Number* sums, bool present) {
  int start = 0;
  while (true) {
    Number squares[COUNT];
    flight.sum(squares);
    flight.each(heads, start, [&](int head, int j) {
      if (threadIdx.x == 0) sums[head] = squares[j];
    });
    if (start + flight.STEP >= heads.count) break;
    start += flight.STEP;
    if (present) flight.load(heads, start);
  }
  if (present) flight.load_weights(heads, start);  // on their way while the threads meet
  return start;
}

// Their sum, by every warp for itself.
__device__ Number sum_of_sums(const Number* sums, int heads) {
  Number sum = 0;
  for (int head = (threadIdx.y * ACROSS + threadIdx.x) % 32; head < heads; head += 32) {
    sum += sums[head];
  }
  return sum_over(32, sum);
}

// From the last flight, which is still held, to the first.
template <int COUNT, class Angles>
__device__ void norm_and_rotate(const NormRotary& p, const Heads& heads, const Angles& angles,
                                Flight<COUNT>& flight, const Number* sums, int start) {
  const Outlet<Output, SCALED> outlet(heads.tensor);
  const Number factor = heads.factor(sum_of_sums(sums, heads.count));
  while (true) {
    flight.each(heads, start, [&](int, int j) {
      const WeightedTurns weighted = turns_of(p, heads, angles, flight.weights[j]);
      norm_rotate_and_store(flight.held[j], factor, weighted, outlet, heads.row_out(start, j));
    });
    if (start == 0) break;
    start -= flight.STEP;
    flight.load(heads, start);
    flight.load_weights(heads, start);
#if !ONE_LAYOUT
    __syncwarp();
#endif
  }
}

template <int Q, int K, class Angles>
__device__ void norm_and_rotate(const NormRotary& p, const Heads& q, const Heads& k,
                                const Angles& angles, Flight<Q>& of_q, Flight<K>& of_k,
                                bool present) {
  static_assert(HEAD_BLOCKS == 1, "a block must have all heads of its token");
  __shared__ Number shared[TOKENS][HEADS];
  Number *q_sums = shared[threadIdx.z], *k_sums = q_sums + q.count;
  const int last_of_q = sum_heads(q, of_q, q_sums, present);
  const int last_of_k = sum_heads(k, of_k, k_sums, present);
  __syncthreads();
  if (!present) return;
  norm_and_rotate(p, q, angles, of_q, q_sums, last_of_q);
  norm_and_rotate(p, k, angles, of_k, k_sums, last_of_k);
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
  const Heads q(p.tensors.q, p.q, p.eps, token, 0);
  const Heads k(p.tensors.k, p.k, p.eps, token, q.count);
  const Token read = present ? token : Token{0, 0};
  Flight<Q_UNROLL> of_q;
  Flight<K_UNROLL> of_k;
  const auto angles = angles_and_loads(
      shared[threadIdx.z], [&] { return Angle{TokenPosition(p.positions, p.spectrum, read)}; },
      [&] {
        if (present) of_q.prefetch(q), of_k.prefetch(k);
      },
      [&] {
        if (present) of_q.load(q, 0), of_k.load(k, 0);
      });
  norm_and_rotate(p, q, k, angles, of_q, of_k, present);
}

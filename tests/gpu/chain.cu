// The parts of a chain: a number that advances, what depends on it, and who knows what becomes of that.
//
//   blockIdx.x    of some, token: number x, x + gridDim.x, ...
//   threadIdx.x   of HEAD_DIM, channel; of the consumer HEAD_DIM / 2, pair
//
// EARLY and DEPENDENT, and what chain.py calls a Kind, are macros. See chain.py.

constexpr int PAIRS = ROTARY_DIM / 2;

struct Chain {
  unsigned short *q, *k, *v, *q_out, *k_out, *v_out;
  long long *ids, *slots;
  unsigned long long *step, *wrong, *checked;
  long long tokens, q_heads, k_heads, delay;
};

__device__ unsigned mixed(unsigned x) {
  x = (x ^ x >> 16) * 0x7feb352du;
  x = (x ^ x >> 15) * 0x846ca68bu;
  return x ^ x >> 16;
}
__device__ float value(long long element, unsigned step) {
  const unsigned random = mixed((unsigned)element + mixed(step));
#if NORMED
  const float size = 1 + (mixed((unsigned)(element / HEAD_DIM) * 5 + mixed(step)) & 63);
  return random & 1 ? size : -size;
#else
  // Odd, for none may be 0: in double a quarter turn is a little off, which shows beside nothing.
  return (float)(2 * (int)(random & 127) - 127);
#endif
}
__device__ float normed(float x) { return NORMED ? copysignf(1.0f, x) : x; }
__device__ long long position(long long token, unsigned step) {
  return mixed((unsigned)token * 3 + mixed(~step)) & (POSITIONS - 1);
}
__device__ long long slot(long long token, unsigned step, long long tokens) {
  return (token + mixed(step * 7 + 1) % tokens) % tokens;
}
__device__ unsigned short encode(float x) { return __float_as_uint(x) >> 16; }
__device__ float decode(unsigned short bits) { return __uint_as_float((unsigned)bits << 16); }

// Heads of q, of k and, where there are caches, of v.
__device__ int heads_of(const Chain& p) { return p.q_heads + (CACHED ? 2 : 1) * p.k_heads; }

__device__ unsigned short* row(unsigned short* q, unsigned short* k, unsigned short* v,
                               const Chain& p, long long token, int head) {
  if (head < p.q_heads) return q + (token * p.q_heads + head) * HEAD_DIM;
  head -= p.q_heads;
  if (head < p.k_heads) return k + (token * p.k_heads + head) * HEAD_DIM;
  return v + (token * p.k_heads + head - p.k_heads) * HEAD_DIM;
}

// Two channels of a head: a pair, or neighbours that are not rotated.
struct Ends { int first, second; };
__device__ Ends ends(int pair, bool rotated, bool interleaved) {
  if (rotated && !interleaved) return {pair, pair + PAIRS};
  return {2 * pair, 2 * pair + 1};
}

extern "C" __global__ void begin_chain(const __grid_constant__ Chain p) { ++*p.step; }

extern "C" __global__ void produce(const __grid_constant__ Chain p) {
#if EARLY
  asm volatile("griddepcontrol.launch_dependents;");
#endif
  const unsigned step = *(volatile unsigned long long*)p.step;
  if (blockIdx.x == gridDim.x - 1) {
    const long long start = clock64();
    while (clock64() - start < p.delay) {}
  }
  const int heads = heads_of(p);
  for (long long token = blockIdx.x; token < p.tokens; token += gridDim.x) {
    if (threadIdx.x == 0) {
      p.ids[token] = position(token, step);
      p.slots[token] = slot(token, step, p.tokens);
    }
    for (int head = 0; head < heads; ++head) {
      const long long element = (token * heads + head) * HEAD_DIM + threadIdx.x;
      row(p.q, p.k, p.v, p, token, head)[threadIdx.x] = encode(value(element, step));
    }
  }
}

extern "C" __global__ void check(const __grid_constant__ Chain p) {
#if DEPENDENT
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
  const unsigned step = *(volatile unsigned long long*)p.step;
  const int heads = heads_of(p), pair = threadIdx.x;
  unsigned wrong = 0;
  for (long long token = blockIdx.x; token < p.tokens; token += gridDim.x) {
    const int turn = position(token, step) * (1 + pair % 3) & 3;
    for (int head = 0; head < heads; ++head) {
      const bool is_value = head >= p.q_heads + p.k_heads;
      const bool rotated = pair < PAIRS && !is_value;
      const int quarters = TURNS && rotated ? turn : 0;
      const Ends in = ends(pair, rotated, INTERLEAVED), to = ends(pair, rotated, TO_INTERLEAVED);
      const long long element = (token * heads + head) * HEAD_DIM;
      const float x = normed(value(element + in.first, step));
      const float y = normed(value(element + in.second, step));
      const float turned = quarters & 1 ? y : x, other = quarters & 1 ? x : y;
      const float first = quarters == 1 || quarters == 2 ? -turned : turned;
      const float second = quarters & 2 ? -other : other;
      const bool moves = CACHED && head >= p.q_heads;
      const long long place = moves ? slot(token, step, p.tokens) : token;
      unsigned short* out = row(p.q_out, p.k_out, p.v_out, p, place, head);
      wrong += !(decode(out[to.first]) == first) + !(decode(out[to.second]) == second);
      out[to.first] = out[to.second] = 0xffff;
    }
  }
  if (wrong) atomicAdd(p.wrong, (unsigned long long)wrong);
  if (blockIdx.x == 0 && pair == 0) atomicAdd(p.checked, 1ull);
}

// The CUDA words of the kernels, in C++ for the host, so that g++ compiles the very same text.
//
// Blocks run in turn. The threads of a block are fibers of one system thread: each runs until it
// waits for the others, of its block at __syncthreads() or of its warp at __syncwarp(), or ends;
// then the next one does. So `static` memory is shared memory, and a barrier that only some threads
// reach is found. Vector accesses check their alignment, on which a GPU would trap and a CPU would
// not.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>

using std::copysign, std::fabs, std::floor, std::fma, std::fmaf, std::fmax, std::ldexp, std::memcpy, std::rint;

#define __global__
#define __device__ inline
#define __grid_constant__
#define __noinline__
#define __launch_bounds__(...)
#define __shared__ static

struct uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
static dim3 gridDim, blockDim, blockIdx, threadIdx;

inline float __uint_as_float(unsigned bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
inline unsigned __float_as_uint(float x) {
  unsigned bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline long long __double_as_longlong(double x) {
  long long bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
  return (unsigned __int128)x * y >> 64;
}
inline float __fmul_rn(float x, float y) { return x * y; }
inline double __dmul_rn(double x, double y) { return x * y; }
inline double __ddiv_rn(double x, double y) { return x / y; }
inline float __frsqrt_rn(float x) { return (float)(1.0 / std::sqrt((double)x)); }
inline double __dsqrt_rn(double x) { return std::sqrt(x); }

template <class Word> inline void check_aligned(const Word* address) {
  if (reinterpret_cast<uintptr_t>(address) % sizeof(Word) != 0) {
    std::fprintf(stderr, "misaligned access of %zu bytes at %p\n", sizeof(Word), (const void*)address);
    std::abort();
  }
}
template <class Word> inline Word load_word(const Word* address) {
  check_aligned(address);
  Word word;
  memcpy(&word, address, sizeof word);
  return word;
}
template <class Word> inline void store_word(Word* address, Word word) {
  check_aligned(address);
  memcpy(address, &word, sizeof word);
}

// Narrow formats: to nearest, ties to even; every NaN becomes the one that the GPU makes.
inline float host_half_to_float(unsigned short bits) {
  _Float16 half;
  memcpy(&half, &bits, sizeof half);
  return half;
}
inline unsigned short host_float_to_half(float x) {
  if (x != x) return 0x7fff;
  const _Float16 half = x;
  unsigned short bits;
  memcpy(&bits, &half, sizeof bits);
  return bits;
}
inline unsigned short host_float_to_bfloat16(float x) {
  if (x != x) return 0x7fff;
  const unsigned bits = __float_as_uint(x);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// ----------------------------------------------------------------------------------------------
// A block: fibers that take turns between barriers.

constexpr unsigned MOST_THREADS = 1024, WARP = 32;
enum Waiting { FOR_NOTHING, FOR_WARP, FOR_BLOCK, ENDED };
struct Fiber {
  ucontext_t context;
  char stack[64 << 10];
  dim3 thread;
  Waiting waiting;
  unsigned long long given;  // to the others of the warp
};
static Fiber* fibers;
static Fiber* running;
static unsigned living;  // threads of the block
static ucontext_t scheduler;

inline void pause_for(Waiting what) {
  running->waiting = what;
  swapcontext(&running->context, &scheduler);
}
inline void __syncthreads() { pause_for(FOR_BLOCK); }
inline void __syncwarp() { pause_for(FOR_WARP); }

inline int __syncthreads_or(int vote) {
  running->given = vote != 0;
  __syncthreads();
  int any = 0;
  for (unsigned i = 0; i < living; ++i) any |= (int)fibers[i].given;
  __syncthreads();
  return any;
}

// All of a warp exchange; a mask of some of them has no meaning here.
template <class Value> inline Value __shfl_xor_sync(unsigned mask, Value value, int step) {
  static_assert(sizeof(Value) <= sizeof running->given);
  const unsigned other = (running - fibers) ^ step;
  if (mask != 0xffffffff || other >= living) {
    std::fprintf(stderr, "a shuffle of mask %x with thread %u of %u\n", mask, other, living);
    std::abort();
  }
  memcpy(&running->given, &value, sizeof value);
  __syncwarp();
  memcpy(&value, &fibers[other].given, sizeof value);
  __syncwarp();
  return value;
}

// Let all fibers from `first` to `end` go on if all wait for the same; say whether any does.
inline bool release(unsigned first, unsigned end, Waiting what) {
  unsigned there = 0;
  for (unsigned i = first; i < end; ++i) there += fibers[i].waiting == what;
  if (there == 0) return false;
  if (there != end - first) {
    const unsigned missed = end - first - there;
    std::fprintf(stderr, "%u of %u threads missed a barrier\n", missed, end - first);
    std::abort();
  }
  for (unsigned i = first; i < end; ++i) fibers[i].waiting = FOR_NOTHING;
  return true;
}

// Run a block whose threads all execute `body`.
inline void run_block(unsigned threads, void (*body)()) {
  living = threads;
  for (unsigned i = 0; i < threads; ++i) {
    Fiber& fiber = fibers[i];
    fiber.thread = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
    fiber.waiting = FOR_NOTHING;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack;
    fiber.context.uc_stack.ss_size = sizeof fiber.stack;
    makecontext(&fiber.context, body, 0);
  }
  for (bool goes_on = true; goes_on;) {
    for (unsigned i = 0; i < threads; ++i) {
      running = &fibers[i];
      threadIdx = running->thread;
      if (running->waiting == FOR_NOTHING) swapcontext(&scheduler, &running->context);
    }
    goes_on = false;
    for (unsigned first = 0; first < threads; first += WARP) {
      goes_on |= release(first, first + WARP < threads ? first + WARP : threads, FOR_WARP);
    }
    goes_on = goes_on || release(0, threads, FOR_BLOCK);
  }
}

// KERNEL takes one structure by value; its address comes from the plan.
template <class Parameters, void (*KERNEL)(Parameters)>
void launch_on_cpu(const unsigned* grid, const unsigned* block, const void* parameters) {
  static Parameters p;
  memcpy(&p, parameters, sizeof p);
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block[0], block[1], block[2]};
  const unsigned threads = block[0] * block[1] * block[2];
  if (threads > MOST_THREADS || block[2] > 64 || grid[0] >> 31 || (grid[1] | grid[2]) >> 16) {
    std::fprintf(stderr, "no GPU launches blocks of %u x %u x %u\n", block[0], block[1], block[2]);
    std::abort();
  }
  fibers = static_cast<Fiber*>(std::malloc(threads * sizeof(Fiber)));
  const auto body = [] {
    KERNEL(p);
    pause_for(ENDED);
  };
  for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) run_block(threads, body);
  std::free(fibers);
}

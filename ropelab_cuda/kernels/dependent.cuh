// Programmatic dependent launch: a kernel may start while its predecessors still run.
//
// Until wait_for_predecessors() returns, memory that they write must not be believed: what is read
// earlier is a guess, and is read again. Loads of guesses are volatile, so that no stale line stays
// in L1. After it their writes are visible, and those before them too; so successors are let
// start no earlier, lest one that waits for us alone should miss what we have not waited for.
// Both do nothing in a kernel that was launched in the plain way.

#pragma once

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
__device__ void wait_for_predecessors() { asm volatile("griddepcontrol.wait;" ::: "memory"); }
__device__ void let_successors_start() { asm volatile("griddepcontrol.launch_dependents;"); }
#else
__device__ void wait_for_predecessors() {}
__device__ void let_successors_start() {}
#endif

#ifdef __CUDA_ARCH__
__device__ void prefetch_to_l2(const void* address) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(address));
}
#else
__device__ void prefetch_to_l2(const void*) {}
#endif

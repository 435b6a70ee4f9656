// The largest of many positions, block by block: length_spectrum.cu reads these few instead.
//
//   position_ids   (axes, outer, inner), any integer type
//   largest        (blocks) int64, none of them negative
//
// Moved: 1 to 8 bytes a position in.

#include "dependent.cuh"
#include "lengths.cuh"

struct LargestPositions {
  AllPositions all;
  long long* largest;
};
static_assert(sizeof(LargestPositions) == PARAMETER_BYTES, "parameters.py packs another structure");

extern "C" __global__ void __launch_bounds__(MAX_THREADS)
largest_positions(const __grid_constant__ LargestPositions p) {
  wait_for_predecessors();
  let_successors_start();
  const long long first = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  const long long step = (long long)gridDim.x * blockDim.x;
  const long long length = longest_of_block(longest_of_thread(p.all, first, step));
  if (threadIdx.x == 0) p.largest[blockIdx.x] = length - 1;
}

// The exact phase of every pair at every position: position * turns mod 2^64.
//
//   position_ids   (axes, outer, inner), any integer type
//   phases         (outer, inner, PAIRS) uint64, contiguous
//
// Moved: 8 bytes a phase out. The integers are those of ropelab.exact_phases.

#include "dependent.cuh"
#include "spectrum.cuh"

struct Phases {
  unsigned long long* phases;
  TokenGrid grid;
  Positions positions;
  Spectrum spectrum;
};
static_assert(sizeof(Phases) == PARAMETER_BYTES, "parameters.py packs another structure");

extern "C" __global__ void __launch_bounds__(MAX_THREADS)
phases(const __grid_constant__ Phases p) {
  wait_for_predecessors();
  let_successors_start();
  const Token token = token_of_thread(p.grid);
  if (!is_present(p.grid, token)) return;
  const TokenPosition position(p.positions, p.spectrum, token);
  const long long row = (token.outer * p.grid.inner + token.inner) * PAIRS;
  for (int pair = threadIdx.x; pair < PAIRS; pair += blockDim.x) {
    p.phases[row + pair] = exact_phase(position.of_pair(pair), frequency_of(p.spectrum, pair));
  }
}

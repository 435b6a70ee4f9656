// Cosine and sine of every pair at every position, times the attention factor.
//
//   position_ids   (axes, outer, inner), any integer type
//   cos, sin       (outer, inner, PAIRS), contiguous
//
// Moved: two entries a pair out, 1 to 8 bytes of position a token in.

#include "dependent.cuh"
#include "formats.cuh"
#include "spectrum.cuh"

struct CosSinTable {
  FORMAT::Bits* cos;
  FORMAT::Bits* sin;
  TokenGrid grid;
  Positions positions;
  Spectrum spectrum;
};
static_assert(sizeof(CosSinTable) == PARAMETER_BYTES, "parameters.py packs another structure");

extern "C" __global__ void __launch_bounds__(MAX_THREADS)
cos_sin_table(const __grid_constant__ CosSinTable p) {
  wait_for_predecessors();
  let_successors_start();
  const Token token = token_of_thread(p.grid);
  if (!is_present(p.grid, token)) return;
  const TokenPosition position(p.positions, p.spectrum, token);
  const long long row = (token.outer * p.grid.inner + token.inner) * PAIRS;
  for (int pair = threadIdx.x; pair < PAIRS; pair += blockDim.x) {
    const CosSin<TRIG> angle = position.cos_sin_of(pair, frequency_of(p.spectrum, pair));
    p.cos[row + pair] = encoded<FORMAT>(angle.cos);
    p.sin[row + pair] = encoded<FORMAT>(angle.sin);
  }
}

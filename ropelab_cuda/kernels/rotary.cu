// Rotate queries and keys by their positions; the angles are computed here, without any table.
//
//   q, k        as in heads.cuh; k may have no heads
//   positions   of any source in tokens.cuh
//
// Moved: each element in and out once, and 1 to 8 bytes of position a token, or none that count.

#include "heads.cuh"
#include "spectrum.cuh"

struct Rotary {
  Tensors tensors;
  Positions positions;
  Spectrum spectrum;
};
static_assert(sizeof(Rotary) == PARAMETER_BYTES, "parameters.py packs another structure");

extern "C" __global__ void __launch_bounds__(BOUNDS)
rotary(const __grid_constant__ Rotary p) {
  rotate_tokens(p.tensors, [&](Token token) {
    return Angle{TokenPosition(p.positions, p.spectrum, token)};
  });
}

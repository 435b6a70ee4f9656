// Rotate queries and keys by their positions, and scale them by xPos: queries by the decay, keys by
// its inverse.
//
//   q, k, position_ids   as in rotary.cu, of one position axis
//
// Moved: as in rotary.cu. What scales a pair is computed in double, once a token, and rounded once
// with its cosine and sine; tensors of float64 are rotated in double, others in float.

#include "heads.cuh"
#include "scaled_angles.cuh"

struct RotaryXpos {
  Tensors tensors;
  Positions positions;
  Decay decay;
  Spectrum spectrum;
};
static_assert(sizeof(RotaryXpos) == PARAMETER_BYTES, "parameters.py packs another structure");

extern "C" __global__ void __launch_bounds__(BOUNDS)
rotary_xpos(const __grid_constant__ RotaryXpos p) {
  rotate_tokens<SharedScaledAngles>(p.tensors, [&](Token token) {
    return ScaledAngle(TokenPosition(p.positions, p.spectrum, token), p.decay, p.tensors);
  });
}

// Rotate queries and keys by their positions, and scale them by xPos: queries by the decay, keys by
// its inverse.
//
//   q, k, position_ids   as in rotary.cu, of one position axis
//   blockIdx.z           0 for queries, 1 for keys, which so have angles of their own
//
// Moved: as in rotary.cu. Arithmetic is double for all formats, as in the specification: a decay may
// leave float's range where what it makes of a number does not.

#define XPOS 1

#include "decay.cuh"
#include "heads.cuh"
#include "spectrum.cuh"

struct Rotary {
  Tensors tensors;
  Positions positions;
  Spectrum spectrum;
};

struct RotaryXpos {
  Rotary rotary;
  Decay decay;
};
static_assert(sizeof(RotaryXpos) == PARAMETER_BYTES, "parameters.py packs another structure");

// The angles of one token, scaled for queries (sign +1) or for keys (-1).
struct ScaledAngle {
  TokenPosition position;
  const Decay& decay;
  const double sign;
  __device__ bool was_outdated() { return position.was_outdated(); }
  __device__ FREQUENCY frequency(int pair) const { return frequency_of(position.spectrum, pair); }
  __device__ CosSin<double> of_pair(int pair) const { return of_pair(pair, frequency(pair)); }
  __device__ CosSin<double> of_pair(int pair, FREQUENCY frequency) const {
    const CosSin<TRIG> unscaled = position.cos_sin_of(pair, frequency);
    const double distance = distance_from_centre(decay, position.position);
    const double scale = decay_of(decay, product(sign, distance), pair);
    return {product((double)unscaled.cos, scale), product((double)unscaled.sin, scale)};
  }
};

extern "C" __global__ void __launch_bounds__(ACROSS * LANES * TOKENS, 1)
rotary_xpos(const __grid_constant__ RotaryXpos p) {
  const bool keys = blockIdx.z == 1;
  Tensors t = p.rotary.tensors;
  if (keys) t.q = t.k;
  t.k.heads = 0;
  rotate_tokens(t, [&](Token token) {
    return ScaledAngle{TokenPosition(p.rotary.positions, p.rotary.spectrum, token), p.decay,
                 keys ? -1.0 : 1.0};
  });
}

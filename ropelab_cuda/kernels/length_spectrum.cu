// The spectrum of a rule that depends on the length, at the length of these positions.
//
//   position_ids   (axes, outer, inner), any integer type; may be empty
//   numbers        as in spectrum_numbers.cuh
//
// One block. Moved: 1 to 8 bytes a position in, 28 bytes a pair out.

#include "dependent.cuh"
#include "length_rules.cuh"
#include "lengths.cuh"
#include "spectrum_numbers.cuh"
#include "turns.cuh"

using Rule = RULE;

struct LengthSpectrum {
  AllPositions all;
  SpectrumNumbers* numbers;
  Rule rule;
};
static_assert(sizeof(LengthSpectrum) == PARAMETER_BYTES, "parameters.py packs another structure");

extern "C" __global__ void __launch_bounds__(MAX_THREADS)
length_spectrum(const __grid_constant__ LengthSpectrum p) {
  wait_for_predecessors();
  let_successors_start();
  const long long length = longest_of_block(longest_of_thread(p.all, threadIdx.x, blockDim.x));
  for (int pair = threadIdx.x; pair < PAIRS; pair += blockDim.x) {
    const Turning turning = p.rule.of_pair(pair, length);
    p.numbers->inv_freq[pair] = turning.inv_freq;
    p.numbers->turns[pair] = turns_of(turning.inv_freq);
    p.numbers->period[pair] = turning.period;
    p.numbers->inv_freq_float[pair] = (float)turning.inv_freq;
  }
  if (threadIdx.x == 0) {
    p.numbers->attention_factor = p.rule.attention_factor(length);
    p.numbers->length = length;
  }
}

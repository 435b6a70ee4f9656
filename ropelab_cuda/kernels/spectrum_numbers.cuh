// The numbers of a spectrum in device memory: length_spectrum.cu writes them, once a call, and the
// kernels behind it read them.

#pragma once

struct SpectrumNumbers {
  double attention_factor;
  long long length;  // of which they are; 0 if there was no position
  double inv_freq[PAIRS];
  unsigned long long turns[PAIRS];
  long long period[PAIRS];  // 0 for never
  float inv_freq_float[PAIRS];
};

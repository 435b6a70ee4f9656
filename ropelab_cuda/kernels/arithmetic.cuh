// Products that round as written: the compiler may not contract them into a fused multiply-add.
// Where one is wanted, the kernels say fma. So the GPU and the host compute the same bits.

#pragma once

__device__ float product(float x, float y) { return __fmul_rn(x, y); }
__device__ double product(double x, double y) { return __dmul_rn(x, y); }

// 1 / sqrt(x): a float rounded to nearest, once; a double twice. Dearer than the hardware's
// estimate, but the same anywhere.
__device__ float inverse_root(float x) { return __frsqrt_rn(x); }
__device__ double inverse_root(double x) { return __ddiv_rn(1.0, __dsqrt_rn(x)); }

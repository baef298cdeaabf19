// The contract of gemm_f32 with operands rounded to bfloat16: f32 in memory outside, 2 bytes a weight in packed form, sums in f32.
#pragma once

#include "../gemm_f32/gemm_f32.h"

namespace cec {

/// Beyond gemm_f32's contract: each element is the chain that AVX512-BF16's vdpbf16ps computes (Intel SDM volume 2, VDPBF16PS), on every instruction set to
/// the bit. From residual + bias on, for each pair of depths 2p, 2p + 1 (of all taps, the last one filled up with 0):
///   acc = fma(a[2p + 1], b[2p + 1], acc), then acc = fma(a[2p], b[2p], acc),
/// each rounded to nearest even; subnormal operands count as 0 and subnormal results become 0. a and b are rounded to bfloat16 to nearest even, subnormal
/// ones to 0, NaN to a quiet NaN. k must be at least 1.
using GemmBf16Variant = GemmF32Variant;

#define CEC_KERNEL_VARIANT(isa, name) extern const GemmBf16Variant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec

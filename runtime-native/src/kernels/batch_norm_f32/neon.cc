// AArch64 Advanced SIMD, 8 lanes in two registers.
#include "../simd_neon.h"
#include "batch_norm_f32.h"

namespace cec {
namespace {

#include "../vec_f32_neon.inl"
#include "functions.inl"

}  // namespace

const BatchNormF32Variant batch_norm_f32__neon_x8 = {"batch_norm_f32__neon_x8", Isa::neon, moments<Vec>, normalize<Vec>, sums<Vec>, gradient<Vec>};

}  // namespace cec

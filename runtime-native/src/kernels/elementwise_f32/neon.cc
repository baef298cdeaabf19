// AArch64 Advanced SIMD, 8 lanes in two registers.
#include "../simd_neon.h"
#include "elementwise_f32.h"

namespace cec {
namespace {

#include "../vec_f32_neon.inl"
#include "../math_f32.inl"
#include "functions.inl"

}  // namespace

const ElementwiseF32Variant elementwise_f32__neon_x8 = {"elementwise_f32__neon_x8", Isa::neon, binary<Vec>, unary<Vec>};

}  // namespace cec

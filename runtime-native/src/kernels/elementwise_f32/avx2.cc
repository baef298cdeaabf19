// AVX2, 8 lanes.
#include "../simd.h"
#include "elementwise_f32.h"

namespace cec {
namespace {

#include "../vec_f32_avx2.inl"
#include "../math_f32.inl"
#include "functions.inl"

}  // namespace

const ElementwiseF32Variant elementwise_f32__avx2_x8 = {"elementwise_f32__avx2_x8", Isa::avx2, binary<Vec>, unary<Vec>};

}  // namespace cec

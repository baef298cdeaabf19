// AVX-512, 16 lanes; the last lanes by masks.
#include "../simd.h"
#include "elementwise_f32.h"

namespace cec {
namespace {

#include "../vec_f32_avx512.inl"
#include "../math_f32.inl"
#include "functions.inl"

}  // namespace

const ElementwiseF32Variant elementwise_f32__avx512_x16 = {"elementwise_f32__avx512_x16", Isa::avx512, binary<Vec>, unary<Vec>};

}  // namespace cec

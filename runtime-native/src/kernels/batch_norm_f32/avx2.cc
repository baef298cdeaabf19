// AVX2, 8 lanes.
#include "../simd.h"
#include "batch_norm_f32.h"

namespace cec {
namespace {

#include "../vec_f32_avx2.inl"
#include "functions.inl"

}  // namespace

const BatchNormF32Variant batch_norm_f32__avx2_x8 = {"batch_norm_f32__avx2_x8", Isa::avx2, moments<Vec>, normalize<Vec>, sums<Vec>, gradient<Vec>};

}  // namespace cec

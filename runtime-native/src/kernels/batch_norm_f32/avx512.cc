// AVX-512, 16 lanes.
#include "../simd.h"
#include "batch_norm_f32.h"

namespace cec {
namespace {

#include "../vec_f32_avx512.inl"
#include "functions.inl"

}  // namespace

const BatchNormF32Variant batch_norm_f32__avx512_x16 = {"batch_norm_f32__avx512_x16", Isa::avx512, moments<Vec>, normalize<Vec>, sums<Vec>, gradient<Vec>};

}  // namespace cec

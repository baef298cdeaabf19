// AVX2, 8 lanes.
#include "../simd.h"
#include "training_f32.h"

namespace cec {
namespace {

#include "../vec_f32_avx2.inl"
#include "functions.inl"

}  // namespace

const TrainingF32Variant training_f32__avx2_x8 = {"training_f32__avx2_x8", Isa::avx2, relu_backward<Vec>, dropout, fake_quantize<Vec>, fake_quantize_backward<Vec>, sgd<Vec>, adam<Vec>};

}  // namespace cec

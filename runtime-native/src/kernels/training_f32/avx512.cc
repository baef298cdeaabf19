// AVX-512, 16 lanes.
#include "../simd.h"
#include "training_f32.h"

namespace cec {
namespace {

#include "../vec_f32_avx512.inl"
#include "functions.inl"

}  // namespace

const TrainingF32Variant training_f32__avx512_x16 = {"training_f32__avx512_x16", Isa::avx512, relu_backward<Vec>, dropout, fake_quantize<Vec>, fake_quantize_backward<Vec>, sgd<Vec>, adam<Vec>};

}  // namespace cec

// AArch64 Advanced SIMD, 8 lanes in two registers.
#include "../simd_neon.h"
#include "training_f32.h"

namespace cec {
namespace {

#include "../vec_f32_neon.inl"
#include "functions.inl"

}  // namespace

const TrainingF32Variant training_f32__neon_x8 = {"training_f32__neon_x8", Isa::neon, relu_backward<Vec>, dropout, fake_quantize<Vec>, fake_quantize_backward<Vec>, sgd<Vec>, adam<Vec>};

}  // namespace cec

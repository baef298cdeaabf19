// The reference: the same steps as every other variant, one lane in plain C++.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "training_f32.h"

namespace cec {
namespace {

#include "../vec_f32_scalar.inl"
#include "functions.inl"

}  // namespace

const TrainingF32Variant training_f32__scalar = {"training_f32__scalar", Isa::scalar, relu_backward<Vec>, dropout, fake_quantize<Vec>, fake_quantize_backward<Vec>, sgd<Vec>, adam<Vec>};

}  // namespace cec

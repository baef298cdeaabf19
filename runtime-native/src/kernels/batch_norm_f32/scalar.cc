// The reference: the same steps as every other variant, one lane in plain C++.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "batch_norm_f32.h"

namespace cec {
namespace {

#include "../vec_f32_scalar.inl"
#include "functions.inl"

}  // namespace

const BatchNormF32Variant batch_norm_f32__scalar = {"batch_norm_f32__scalar", Isa::scalar, moments<Vec>, normalize<Vec>, sums<Vec>, gradient<Vec>};

}  // namespace cec

// The reference: the same steps as every other variant, one lane in plain C++.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "elementwise_f32.h"

namespace cec {
namespace {

#include "../vec_f32_scalar.inl"
#include "../math_f32.inl"
#include "functions.inl"

}  // namespace

const ElementwiseF32Variant elementwise_f32__scalar = {"elementwise_f32__scalar", Isa::scalar, binary<Vec>, unary<Vec>};

}  // namespace cec

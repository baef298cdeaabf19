// The reference: the same steps as every other variant, one lane in plain C++.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "conv_wgrad_f32.h"

namespace cec {
namespace {

#include "../vec_f32_scalar.inl"

template <int NV>
struct Outputs {
  static constexpr int kCount = NV == 1 ? 4 : 4;
};

#include "tiles.inl"

}  // namespace

const ConvWgradF32Variant conv_wgrad_f32__scalar = {"conv_wgrad_f32__scalar", Isa::scalar, accumulate<Vec>, accumulate_depthwise<Vec>};

}  // namespace cec

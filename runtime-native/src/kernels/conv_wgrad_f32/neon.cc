// AArch64 Advanced SIMD, 8 lanes in two registers.
#include "../simd_neon.h"
#include "conv_wgrad_f32.h"

namespace cec {
namespace {

#include "../vec_f32_neon.inl"

template <int NV>
struct Outputs {
  static constexpr int kCount = NV == 1 ? 8 : 4;
};

#include "tiles.inl"

}  // namespace

const ConvWgradF32Variant conv_wgrad_f32__neon_8x8 = {"conv_wgrad_f32__neon_8x8", Isa::neon, accumulate<Vec>, accumulate_depthwise<Vec>};

}  // namespace cec

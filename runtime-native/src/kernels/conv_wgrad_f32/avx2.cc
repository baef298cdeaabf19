// AVX2, 8 lanes.
#include "../simd.h"
#include "conv_wgrad_f32.h"

namespace cec {
namespace {

#include "../vec_f32_avx2.inl"

template <int NV>
struct Outputs {
  static constexpr int kCount = NV == 1 ? 8 : 6;
};

#include "tiles.inl"

}  // namespace

const ConvWgradF32Variant conv_wgrad_f32__avx2_8x8 = {"conv_wgrad_f32__avx2_8x8", Isa::avx2, accumulate<Vec>, accumulate_depthwise<Vec>};

}  // namespace cec

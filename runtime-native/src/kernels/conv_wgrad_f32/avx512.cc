// AVX-512, 16 lanes.
#include "../simd.h"
#include "conv_wgrad_f32.h"

namespace cec {
namespace {

#include "../vec_f32_avx512.inl"

template <int NV>
struct Outputs {
  static constexpr int kCount = NV == 1 ? 16 : 8;
};

#include "tiles.inl"

}  // namespace

const ConvWgradF32Variant conv_wgrad_f32__avx512_16x16 = {"conv_wgrad_f32__avx512_16x16", Isa::avx512, accumulate<Vec>, accumulate_depthwise<Vec>};

}  // namespace cec

// AVX2: 8 channels at a time.
#include "../simd.h"
#include "winograd_f32.h"

namespace cec {
namespace {

#include "../vec_f32_avx2.inl"
#include "tiles.inl"

}  // namespace

const WinogradF32Variant winograd_f32__avx2_x8 = {"winograd_f32__avx2_x8", Isa::avx2, input<Vec>, output<Vec>};

}  // namespace cec

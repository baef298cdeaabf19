// AVX-512: 16 channels at a time.
#include "../simd.h"
#include "winograd_f32.h"

namespace cec {
namespace {

#include "../vec_f32_avx512.inl"
#include "tiles.inl"

}  // namespace

const WinogradF32Variant winograd_f32__avx512_x16 = {"winograd_f32__avx512_x16", Isa::avx512, input<Vec>, output<Vec>};

}  // namespace cec

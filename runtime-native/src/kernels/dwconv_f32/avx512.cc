// AVX-512: 4 pixels x 2 vectors of channels.
#include "../simd.h"
#include "../gemm_f32/pack.h"
#include "dwconv_f32.h"

namespace cec {
namespace {

#include "../vec_f32_avx512.inl"
#include "tiles.inl"

size_t packed_bytes(size_t channels, size_t taps) { return packed_floats(channels, taps, 2 * Vec::kWidth, Vec::kWidth) * sizeof(float); }

void pack(size_t channels, size_t taps, const float* w, void* dst) {
  pack_panels_f32(channels, taps, w, taps, 1, 2 * Vec::kWidth, Vec::kWidth, static_cast<float*>(dst));
}

}  // namespace

const DwconvF32Variant dwconv_f32__avx512_4x32 = {"dwconv_f32__avx512_4x32", Isa::avx512, packed_bytes, pack, dwconv<Vec>};

}  // namespace cec

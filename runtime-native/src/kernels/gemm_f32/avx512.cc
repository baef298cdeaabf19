// AVX-512: 14 rows x 2 vectors.
#include "../simd.h"
#include "gemm_f32.h"
#include "pack.h"

namespace cec {
namespace {

#include "../vec_f32_avx512.inl"
#include "tiles.inl"

constexpr int kRows = 14;

size_t packed_bytes(size_t n, size_t k) { return packed_floats(n, k, 2 * Vec::kWidth, Vec::kWidth) * sizeof(float); }

void pack(size_t n, size_t k, const float* w, size_t stride_n, size_t stride_k, void* dst) {
  pack_panels_f32(n, k, w, stride_n, stride_k, 2 * Vec::kWidth, Vec::kWidth, static_cast<float*>(dst));
}

}  // namespace

const GemmF32Variant gemm_f32__avx512_14x32 = {
    "gemm_f32__avx512_14x32", Isa::avx512, kRows, 2 * Vec::kWidth, packed_bytes, pack, gemm<Vec, kRows>, conv<Vec, kRows>};

}  // namespace cec

// AVX-512: 12 rows x 2 vectors; a pair costs two fused steps, so this is no faster than f32, and gives the bits of AVX512-BF16.
#include "../simd.h"
#include "gemm_bf16.h"

namespace cec {
namespace {

#include "../vec_f32_avx512.inl"
#include "../gemm_f32/tiles.inl"
#include "pairs.inl"
#include "emulated_pairs.inl"
#include "tiles.inl"

constexpr int kRows = 12;
constexpr size_t kPanel = 2 * Vec::kWidth;

size_t packed_bytes(size_t n, size_t k) { return packed_pairs(n, k, kPanel, Vec::kWidth) * sizeof(uint32_t); }
void pack(size_t n, size_t k, const float* w, size_t stride_n, size_t stride_k, void* dst) { pack_pairs(n, k, w, stride_n, stride_k, kPanel, Vec::kWidth, dst); }

}  // namespace

const GemmBf16Variant gemm_bf16__avx512_12x32 = {"gemm_bf16__avx512_12x32", Isa::avx512, kRows, kPanel, packed_bytes, pack, gemm_pairs<PairVec, kRows>, conv_pairs<PairVec, kRows>};

}  // namespace cec

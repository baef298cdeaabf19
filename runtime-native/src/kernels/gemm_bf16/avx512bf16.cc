// AVX512-BF16: 14 rows x 2 vectors, one vdpbf16ps a pair. Under emulation (tests) that instruction is two fused steps, as its operation is written.
#include "../simd.h"
#include "gemm_bf16.h"

namespace cec {
namespace {

#include "../vec_f32_avx512.inl"
#include "../gemm_f32/tiles.inl"
#include "pairs.inl"
#ifdef CEC_EMULATE_AVX512
#include "emulated_pairs.inl"
#else
struct PairVec : Vec {
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_dpbf16_ps(c, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b)); }
};
#endif
#include "tiles.inl"

constexpr int kRows = 14;
constexpr size_t kPanel = 2 * Vec::kWidth;

size_t packed_bytes(size_t n, size_t k) { return packed_pairs(n, k, kPanel, Vec::kWidth) * sizeof(uint32_t); }
void pack(size_t n, size_t k, const float* w, size_t stride_n, size_t stride_k, void* dst) { pack_pairs(n, k, w, stride_n, stride_k, kPanel, Vec::kWidth, dst); }

}  // namespace

const GemmBf16Variant gemm_bf16__avx512bf16_14x32 = {
    "gemm_bf16__avx512bf16_14x32", Isa::avx512bf16, kRows, kPanel, packed_bytes, pack, gemm_pairs<PairVec, kRows>, conv_pairs<PairVec, kRows>};

}  // namespace cec

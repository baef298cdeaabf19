// AVX-VNNI: vpdpbusd on 256 bits, as client CPUs without AVX-512 have it.
#include "../simd.h"
#include "gemm_u8s8_s32.h"
#include "pack.h"

namespace cec {
namespace {

#include "../epilogue_q_avx2.inl"

struct Vec {
  using Reg = __m256i;
  using Element = uint8_t;
  static constexpr size_t kWidth = 8, kGranule = 4;
  static constexpr int kRows = 6;
  static constexpr bool kSubtractsZeroPoint = false;
  static Reg zero() { return _mm256_setzero_si256(); }
  static Reg load(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store(int32_t* p, Reg v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static Reg load_b(const int8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static Reg broadcast_a(const uint8_t* p) {
    int32_t four;
    std::memcpy(&four, p, sizeof(four));
    return _mm256_set1_epi32(four);
  }
  static Reg dot(Reg acc, Reg a, Reg b) { return _mm256_dpbusd_avx_epi32(acc, a, b); }
  // vpdpbusd takes unsigned activations: s8 moves up by 128, which the correction term knows.
  static void fill(const uint8_t* source, Q8 type, int32_t, size_t n, uint8_t* dst) {
    if (type == Q8::u8) {
      std::memcpy(dst, source, n);
      return;
    }
    for (size_t i = 0; i < n; ++i) dst[i] = static_cast<uint8_t>(source[i] ^ 0x80u);
  }
  template <class... Arguments>
  static void finish_rows(const Arguments&... a) {
    cec::finish_rows(a...);
  }
  template <int MR>
  static __attribute__((always_inline)) void finish_tile(const Reg (&acc)[MR][2], const NarrowTile& t) {
    cec::finish_tile<MR>(acc, t);
  }
};

#include "tiles.inl"

}  // namespace

const GemmQVariant gemm_u8s8_s32__avxvnni_6x16 = {
    "gemm_u8s8_s32__avxvnni_6x16", Isa::avxvnni, Vec::kRows, 2 * Vec::kWidth, packed_bytes<Vec>, pack<Vec>, gemm<Vec>, conv<Vec>};

}  // namespace cec

// AVX-512 VNNI: vpdpbusd, four products a lane, no saturation (the form without s).
#include "../simd.h"
#include "gemm_u8s8_s32.h"
#include "pack.h"

namespace cec {
namespace {

#include "../epilogue_q_avx2.inl"
#include "../epilogue_q_avx512.inl"

struct Vec {
  using Reg = __m512i;
  using Element = uint8_t;
  static constexpr size_t kWidth = 16, kGranule = 4;
  static constexpr int kRows = 12;
  static constexpr bool kSubtractsZeroPoint = false;
  static Reg zero() { return _mm512_setzero_si512(); }
  static Reg load(const int32_t* p) { return _mm512_loadu_si512(p); }
  static void store(int32_t* p, Reg v) { _mm512_storeu_si512(p, v); }
  static Reg load_b(const int8_t* p) { return _mm512_loadu_si512(p); }
  static Reg broadcast_a(const uint8_t* p) {
    int32_t four;
    std::memcpy(&four, p, sizeof(four));
    return _mm512_set1_epi32(four);
  }
  static Reg dot(Reg acc, Reg a, Reg b) { return _mm512_dpbusd_epi32(acc, a, b); }
  // vpdpbusd takes unsigned activations: s8 moves up by 128, which the correction term knows.
  static void fill(const uint8_t* source, Q8 type, int32_t, size_t n, uint8_t* dst) {
    if (type == Q8::u8) {
      std::memcpy(dst, source, n);
      return;
    }
    const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
      const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source + i));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + i), _mm256_xor_si256(x, flip));
    }
    for (; i < n; ++i) dst[i] = static_cast<uint8_t>(source[i] ^ 0x80u);
  }
  template <class... Arguments>
  static void finish_rows(const Arguments&... a) {
    finish_rows_512(a...);
  }
  template <int MR>
  static __attribute__((always_inline)) void finish_tile(const Reg (&acc)[MR][2], const NarrowTile& t) {
    finish_tile_512<MR>(acc, t);
  }
};

#include "tiles.inl"

}  // namespace

const GemmQVariant gemm_u8s8_s32__avx512vnni_12x32 = {
    "gemm_u8s8_s32__avx512vnni_12x32", Isa::avx512vnni, Vec::kRows, 2 * Vec::kWidth, packed_bytes<Vec>, pack<Vec>, gemm<Vec>, conv<Vec>};

}  // namespace cec

// AVX-512 without VNNI: as AVX2, twice as wide.
#include "../simd.h"
#include "gemm_u8s8_s32.h"
#include "pack.h"

namespace cec {
namespace {

#include "../epilogue_q_avx2.inl"
#include "../epilogue_q_avx512.inl"
#include "../widen_q_avx2.inl"

struct Vec {
  using Reg = __m512i;
  using Element = int16_t;
  static constexpr size_t kWidth = 16, kGranule = 2;
  static constexpr int kRows = 12;
  static constexpr bool kSubtractsZeroPoint = true;
  static Reg zero() { return _mm512_setzero_si512(); }
  static Reg load(const int32_t* p) { return _mm512_loadu_si512(p); }
  static void store(int32_t* p, Reg v) { _mm512_storeu_si512(p, v); }
  static Reg load_b(const int8_t* p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
  static Reg broadcast_a(const int16_t* p) {
    int32_t pair;
    std::memcpy(&pair, p, sizeof(pair));
    return _mm512_set1_epi32(pair);
  }
  static Reg dot(Reg acc, Reg a, Reg b) { return _mm512_add_epi32(acc, _mm512_madd_epi16(a, b)); }
  static void fill(const uint8_t* source, Q8 type, int32_t zp, size_t n, int16_t* dst) {
    widen_minus_zero_point(source, type, zp, n, dst);
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

const GemmQVariant gemm_u8s8_s32__avx512_12x32 = {
    "gemm_u8s8_s32__avx512_12x32", Isa::avx512, Vec::kRows, 2 * Vec::kWidth, packed_bytes<Vec>, pack<Vec>, gemm<Vec>, conv<Vec>};

}  // namespace cec

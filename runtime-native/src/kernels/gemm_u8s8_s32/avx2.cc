// AVX2: both factors widened to s16, vpmaddwd. vpmaddubsw would saturate at 255 * 127 * 2 and is not used.
#include "../simd.h"
#include "gemm_u8s8_s32.h"
#include "pack.h"

namespace cec {
namespace {

#include "../epilogue_q_avx2.inl"
#include "../widen_q_avx2.inl"

struct Vec {
  using Reg = __m256i;
  using Element = int16_t;
  static constexpr size_t kWidth = 8, kGranule = 2;
  static constexpr int kRows = 6;
  static constexpr bool kSubtractsZeroPoint = true;
  static Reg zero() { return _mm256_setzero_si256(); }
  static Reg load(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store(int32_t* p, Reg v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static Reg load_b(const int8_t* p) { return _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(p))); }
  static Reg broadcast_a(const int16_t* p) {
    int32_t pair;
    std::memcpy(&pair, p, sizeof(pair));
    return _mm256_set1_epi32(pair);
  }
  static Reg dot(Reg acc, Reg a, Reg b) { return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b)); }
  static void fill(const uint8_t* source, Q8 type, int32_t zp, size_t n, int16_t* dst) {
    widen_minus_zero_point(source, type, zp, n, dst);
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

const GemmQVariant gemm_u8s8_s32__avx2_6x16 = {
    "gemm_u8s8_s32__avx2_6x16", Isa::avx2, Vec::kRows, 2 * Vec::kWidth, packed_bytes<Vec>, pack<Vec>, gemm<Vec>, conv<Vec>};

}  // namespace cec

// AVX-512, 16 lanes.
#include "../simd.h"
#include "half_f32.h"

namespace cec {
namespace {

constexpr size_t kWidth = 16;

inline __mmask16 lanes(size_t left) { return static_cast<__mmask16>(left >= kWidth ? 0xffff : (1u << left) - 1); }

// One NaN for all: its payload would tell the lanes of machines apart.
inline __m256i narrow16(__m512 v) {
  const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  return _mm512_cvtps_ph(_mm512_mask_blend_ps(nan, v, _mm512_set1_ps(__builtin_nanf(""))), _MM_FROUND_TO_NEAREST_INT);
}

void narrow(size_t n, const float* x, uint16_t* y) {
  for (size_t i = 0; i < n; i += kWidth) _mm256_mask_storeu_epi16(y + i, lanes(n - i), narrow16(_mm512_maskz_loadu_ps(lanes(n - i), x + i)));
}
void widen(size_t n, const uint16_t* x, float* y) {
  for (size_t i = 0; i < n; i += kWidth) _mm512_mask_storeu_ps(y + i, lanes(n - i), _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes(n - i), x + i)));
}
HalfCounts round(size_t n, const float* x, float* y) {
  HalfCounts counts;
  const __m512 zero = _mm512_setzero_ps();
  for (size_t i = 0; i < n; i += kWidth) {
    const __mmask16 m = lanes(n - i);
    const __m512 v = _mm512_maskz_loadu_ps(m, x + i);
    const __m512 r = _mm512_cvtph_ps(narrow16(v));
    const unsigned nonzero = _mm512_mask_cmp_ps_mask(m, v, zero, _CMP_NEQ_UQ);
    const unsigned lost = _mm512_mask_cmp_ps_mask(m, r, zero, _CMP_EQ_OQ);
    counts.nonzero += static_cast<unsigned>(__builtin_popcount(nonzero));
    counts.flushed += static_cast<unsigned>(__builtin_popcount(nonzero & lost));
    _mm512_mask_storeu_ps(y + i, m, r);
  }
  return counts;
}

}  // namespace

const HalfF32Variant half_f32__avx512_x16 = {"half_f32__avx512_x16", Isa::avx512, narrow, widen, round};

}  // namespace cec

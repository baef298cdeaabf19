// AVX2 with F16C, 8 lanes.
#include <cstring>

#include "../simd.h"
#include "half_f32.h"

namespace cec {
namespace {

constexpr size_t kWidth = 8;

// One NaN for all: its payload would tell the lanes of machines apart.
inline __m128i narrow8(__m256 v) {
  const __m256 nan = _mm256_set1_ps(__builtin_nanf(""));
  return _mm256_cvtps_ph(_mm256_blendv_ps(v, nan, _mm256_cmp_ps(v, v, _CMP_UNORD_Q)), _MM_FROUND_TO_NEAREST_INT);
}

/// f(operand, result) on full vectors, and on a copy of what is left.
template <class In, class Out, class F>
inline void each(size_t n, const In* x, Out* y, const F& f) {
  size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) f(x + i, y + i);
  if (i == n) return;
  In in[kWidth] = {};
  Out out[kWidth];
  std::memcpy(in, x + i, (n - i) * sizeof(In));
  f(in, out);
  std::memcpy(y + i, out, (n - i) * sizeof(Out));
}

void narrow(size_t n, const float* x, uint16_t* y) {
  each(n, x, y, [](const float* in, uint16_t* out) { _mm_storeu_si128(reinterpret_cast<__m128i*>(out), narrow8(_mm256_loadu_ps(in))); });
}
void widen(size_t n, const uint16_t* x, float* y) {
  each(n, x, y, [](const uint16_t* in, float* out) { _mm256_storeu_ps(out, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)))); });
}
HalfCounts round(size_t n, const float* x, float* y) {
  HalfCounts counts;
  const __m256 zero = _mm256_setzero_ps();
  each(n, x, y, [&](const float* in, float* out) {
    const __m256 v = _mm256_loadu_ps(in);
    const __m256 r = _mm256_cvtph_ps(narrow8(v));
    const unsigned nonzero = static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(v, zero, _CMP_NEQ_UQ)));
    const unsigned lost = static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(r, zero, _CMP_EQ_OQ)));
    counts.nonzero += static_cast<unsigned>(__builtin_popcount(nonzero));
    counts.flushed += static_cast<unsigned>(__builtin_popcount(nonzero & lost));
    _mm256_storeu_ps(out, r);
  });
  return counts;
}

}  // namespace

const HalfF32Variant half_f32__avx2_x8 = {"half_f32__avx2_x8", Isa::avx2, narrow, widen, round};

}  // namespace cec

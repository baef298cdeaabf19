// AVX-512, 16 lanes; sums in double.
#include <math.h>

#include "../simd.h"
#include "rows_f32.h"

namespace cec {
namespace {

#include "../vec_f32_avx512.inl"
#include "../math_f32.inl"

// Squares of f32 are exact in double, so that a sum of them is rounded once with or without FMA.
struct Sum {
  __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
  static __m512d lower(__m512 x) { return _mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
  static __m512d upper(__m512 x) { return _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1))); }
  void add(size_t, __m512 x) {
    low = _mm512_add_pd(low, lower(x));
    high = _mm512_add_pd(high, upper(x));
  }
  void add_square(size_t, __m512 x) {
    low = _mm512_fmadd_pd(lower(x), lower(x), low);
    high = _mm512_fmadd_pd(upper(x), upper(x), high);
  }
  double total() const;
};

#include "functions.inl"

inline double Sum::total() const {
  double all[16];
  _mm512_storeu_pd(all, low);
  _mm512_storeu_pd(all + 8, high);
  return fold(all);
}

}  // namespace

const RowsF32Variant rows_f32__avx512_x16 = {"rows_f32__avx512_x16", Isa::avx512, softmax<Vec>, log_softmax<Vec>, layer_norm<Vec>};

}  // namespace cec

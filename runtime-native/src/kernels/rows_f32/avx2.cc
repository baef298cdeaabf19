// AVX2, 8 lanes; sums in double.
#include <math.h>

#include "../simd.h"
#include "rows_f32.h"

namespace cec {
namespace {

#include "../vec_f32_avx2.inl"
#include "../math_f32.inl"

// Squares of f32 are exact in double, so that a sum of them is rounded once with or without FMA.
struct Sum {
  __m256d lanes[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};
  void add(size_t v, __m256 x) {
    lanes[2 * v] = _mm256_add_pd(lanes[2 * v], _mm256_cvtps_pd(_mm256_castps256_ps128(x)));
    lanes[2 * v + 1] = _mm256_add_pd(lanes[2 * v + 1], _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)));
  }
  void add_square(size_t v, __m256 x) {
    const __m256d a = _mm256_cvtps_pd(_mm256_castps256_ps128(x)), b = _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
    lanes[2 * v] = _mm256_fmadd_pd(a, a, lanes[2 * v]);
    lanes[2 * v + 1] = _mm256_fmadd_pd(b, b, lanes[2 * v + 1]);
  }
  double total() const;
};

#include "functions.inl"

inline double Sum::total() const {
  double all[16];
  for (int i = 0; i < 4; ++i) _mm256_storeu_pd(all + 4 * i, lanes[i]);
  return fold(all);
}

}  // namespace

const RowsF32Variant rows_f32__avx2_x8 = {"rows_f32__avx2_x8", Isa::avx2, softmax<Vec>, log_softmax<Vec>, layer_norm<Vec>};

}  // namespace cec

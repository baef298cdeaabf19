// AVX2, 8 lanes; sums in double. Lanes beyond a row's end hold a neutral value.
#include <math.h>

#include "../simd.h"
#include "rows_f32.h"

namespace cec {
namespace {

#include "../math_f32_avx2.inl"

// 8 elements from x, or the `count` that are left with `rest` in the other lanes.
inline __m256 load(const float* x, size_t count, float rest) {
  if (count >= 8) return _mm256_loadu_ps(x);
  alignas(32) float lanes[8];
  for (size_t i = 0; i < 8; ++i) lanes[i] = i < count ? x[i] : rest;
  return _mm256_load_ps(lanes);
}

inline void store(float* y, size_t count, __m256 v) {
  if (count >= 8) {
    _mm256_storeu_ps(y, v);
    return;
  }
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, v);
  std::memcpy(y, lanes, count * sizeof(float));
}

struct Sum {
  __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
  void add(__m256 v) {
    low = _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_castps256_ps128(v)));
    high = _mm256_add_pd(high, _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)));
  }
  double total() const {
    alignas(32) double lanes[4];
    _mm256_store_pd(lanes, _mm256_add_pd(low, high));
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
  }
};

inline float row_max(size_t n, const float* x) {
  __m256 most = splat(-kInfinity), unordered = _mm256_setzero_ps();
  for (size_t i = 0; i < n; i += 8) {
    const __m256 v = load(x + i, n - i, -kInfinity);
    unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    most = _mm256_max_ps(most, v);
  }
  if (_mm256_movemask_ps(unordered) != 0) return __builtin_nanf("");
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, most);
  float result = lanes[0];
  for (size_t i = 1; i < 8; ++i) result = lanes[i] > result ? lanes[i] : result;
  return result;
}

void softmax(size_t rows, size_t n, const float* x, float* y) {
  for (size_t r = 0; r < rows; ++r, x += n, y += n) {
    const __m256 most = splat(row_max(n, x));
    Sum sum;
    for (size_t i = 0; i < n; i += 8) {
      const __m256 e = exp_8(_mm256_sub_ps(load(x + i, n - i, -kInfinity), most));
      // Lanes beyond the end hold -inf, whose exponential is 0.
      sum.add(e);
      store(y + i, n - i, e);
    }
    const __m256 scale = splat(static_cast<float>(1.0 / sum.total()));
    for (size_t i = 0; i < n; i += 8) store(y + i, n - i, _mm256_mul_ps(load(y + i, n - i, 0.0f), scale));
  }
}

void log_softmax(size_t rows, size_t n, const float* x, float* y) {
  for (size_t r = 0; r < rows; ++r, x += n, y += n) {
    const __m256 most = splat(row_max(n, x));
    Sum sum;
    for (size_t i = 0; i < n; i += 8) sum.add(exp_8(_mm256_sub_ps(load(x + i, n - i, -kInfinity), most)));
    const __m256 log_sum = splat(static_cast<float>(::log(sum.total())));
    for (size_t i = 0; i < n; i += 8) store(y + i, n - i, _mm256_sub_ps(_mm256_sub_ps(load(x + i, n - i, 0.0f), most), log_sum));
  }
}

void layer_norm(size_t rows, size_t n, const float* x, const float* gamma, const float* beta, float epsilon, float* y, float* mean_out,
                float* inv_std_out) {
  for (size_t r = 0; r < rows; ++r, x += n, y += n) {
    Sum sum;
    for (size_t i = 0; i < n; i += 8) sum.add(load(x + i, n - i, 0.0f));
    const double mean = sum.total() / static_cast<double>(n);
    const __m256d center = _mm256_set1_pd(mean);
    Sum squares;
    double rest = 0;  // of the last, partial vector
    for (size_t i = 0; i < n; i += 8) {
      const __m256 v = load(x + i, n - i, 0.0f);
      if (n - i < 8) {
        for (size_t j = i; j < n; ++j) rest += (static_cast<double>(x[j]) - mean) * (static_cast<double>(x[j]) - mean);
        break;
      }
      const __m256d a = _mm256_sub_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(v)), center);
      const __m256d b = _mm256_sub_pd(_mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)), center);
      squares.low = _mm256_fmadd_pd(a, a, squares.low);
      squares.high = _mm256_fmadd_pd(b, b, squares.high);
    }
    const float inv_std = static_cast<float>(1.0 / ::sqrt((squares.total() + rest) / static_cast<double>(n) + static_cast<double>(epsilon)));
    const __m256 middle = splat(static_cast<float>(mean)), scale = splat(inv_std);
    for (size_t i = 0; i < n; i += 8) {
      __m256 v = _mm256_mul_ps(_mm256_sub_ps(load(x + i, n - i, 0.0f), middle), scale);
      if (gamma != nullptr) v = _mm256_mul_ps(v, load(gamma + i, n - i, 0.0f));
      if (beta != nullptr) v = _mm256_add_ps(v, load(beta + i, n - i, 0.0f));
      store(y + i, n - i, v);
    }
    if (mean_out != nullptr) mean_out[r] = static_cast<float>(mean);
    if (inv_std_out != nullptr) inv_std_out[r] = inv_std;
  }
}

}  // namespace

const RowsF32Variant rows_f32__avx2_x8 = {"rows_f32__avx2_x8", Isa::avx2, softmax, log_softmax, layer_norm};

}  // namespace cec

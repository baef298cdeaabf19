// The reference.
#include <cmath>

#include "rows_f32.h"

namespace cec {
namespace {

float row_max(size_t n, const float* x) {
  float most = -kInfinity;
  for (size_t i = 0; i < n; ++i) most = x[i] > most || x[i] != x[i] ? x[i] : most;
  return most;
}

void softmax(size_t rows, size_t n, const float* x, float* y) {
  for (size_t r = 0; r < rows; ++r, x += n, y += n) {
    const float most = row_max(n, x);
    double sum = 0;
    for (size_t i = 0; i < n; ++i) {
      y[i] = std::exp(x[i] - most);
      sum += static_cast<double>(y[i]);
    }
    const float scale = static_cast<float>(1.0 / sum);
    for (size_t i = 0; i < n; ++i) y[i] *= scale;
  }
}

void log_softmax(size_t rows, size_t n, const float* x, float* y) {
  for (size_t r = 0; r < rows; ++r, x += n, y += n) {
    const float most = row_max(n, x);
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += static_cast<double>(std::exp(x[i] - most));
    const float log_sum = static_cast<float>(std::log(sum));
    for (size_t i = 0; i < n; ++i) y[i] = x[i] - most - log_sum;
  }
}

void layer_norm(size_t rows, size_t n, const float* x, const float* gamma, const float* beta, float epsilon, float* y, float* mean_out,
                float* inv_std_out) {
  for (size_t r = 0; r < rows; ++r, x += n, y += n) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]);
    const double mean = sum / static_cast<double>(n);
    for (size_t i = 0; i < n; ++i) squares += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean);
    const float inv_std = static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(epsilon)));
    const float middle = static_cast<float>(mean);
    for (size_t i = 0; i < n; ++i) {
      float v = (x[i] - middle) * inv_std;
      if (gamma != nullptr) v *= gamma[i];
      if (beta != nullptr) v += beta[i];
      y[i] = v;
    }
    if (mean_out != nullptr) mean_out[r] = middle;
    if (inv_std_out != nullptr) inv_std_out[r] = inv_std;
  }
}

}  // namespace

const RowsF32Variant rows_f32__scalar = {"rows_f32__scalar", Isa::scalar, softmax, log_softmax, layer_norm};

}  // namespace cec

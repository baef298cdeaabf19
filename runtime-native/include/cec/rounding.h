// Learned rounding of weights: second moments of a layer's inputs, and the integers that keep its results.
//
// A layer computes y = W x. With integers Q in steps of the channel's scale and d = q - w / scale for one output channel, the expected squared error of that
// channel is scale^2 * d^T H d with H = E[x x^T]: what is minimized here, for each channel on its own. Everything is exact for any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cec/thread_pool.h"

namespace cec {

/// The columns x that a layer's weights multiply, as picked rows of its input.
struct Columns {
  const float* x = nullptr;  ///< images [n][channels][height][width], or a matrix [rows][channels] where `matrix`
  bool matrix = false;
  size_t images = 1, channels = 0, height = 1, width = 1;
  size_t kernel_h = 1, kernel_w = 1, out_h = 1, out_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  ptrdiff_t pad_top = 0, pad_left = 0;
  size_t groups = 1;
  const int32_t* rows = nullptr;  ///< rows of the matrix, or output pixels numbered over all images
  size_t row_count = 0;

  /// Elements of one column: inputs of the group times kernel positions.
  size_t depth() const { return channels / groups * kernel_h * kernel_w; }
};

/// Adds x x^T of the picked columns to `moments` [groups][depth][depth] (upper triangles only; see mirror_moments) and x to `sums` [groups][depth].
/// Products are summed in f32 over short runs of rows and in f64 over these.
/// @return how many of the values read are NaN or infinite; the sums are of no use then
size_t add_moments(const Columns& columns, double* moments, double* sums, ThreadPool& pool);

enum class RoundingMethod : uint8_t { gptq, adaround };

struct RoundingOptions {
  RoundingMethod method = RoundingMethod::gptq;
  /// gptq: columns with large moments first.
  bool act_order = true;
  /// adaround: steps of Adam.
  size_t iterations = 500;
  /// adaround: weight of the term that drives choices to 0 or 1.
  double regularization = 0.5;
  /// Sweeps that change pairs of weights together, after changes of single weights help no more.
  size_t pair_sweeps = 1;
};

struct RoundingProblem {
  size_t channels = 0, depth = 0;
  const double* steps = nullptr;    ///< [channels][depth] weights in steps of their scale
  const double* moments = nullptr;  ///< [depth][depth] symmetric and positive definite (a damped H)
  int32_t lo = -127, hi = 127;
};

/// Chooses integers in [lo, hi] for all weights, and the error d^T H d of each channel, also for rounding to nearest. AdaRound stays within one step of the weight.
/// The error is never above that of rounding to nearest, and no change of one integer (within what the method allows) lowers it.
/// Sources: gptq: Frantar et al. 2022, "GPTQ", as the triangular form of Chen et al. 2025, "The Geometry of LLM Quantization"; adaround: Nagel et al. 2020,
/// "Up or Down? Adaptive Rounding for Post-Training Quantization".
/// Throws Error(CEC6007) where the moments are not positive definite.
void round_weights(const RoundingProblem& problem, const RoundingOptions& options, int8_t* integers, double* nearest_error, double* error, ThreadPool& pool);

}  // namespace cec

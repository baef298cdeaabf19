#include "rounding/adaround.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "exec/aligned.h"
#include "kernels/kernels.h"

namespace cec {
namespace {

/// Stretch of the sigmoid, and moments of Adam: as in the papers.
constexpr float kGamma = -0.1f, kZeta = 1.1f;
constexpr float kBeta1 = 0.9f, kBeta2 = 0.999f, kEpsilon = 1e-8f;
/// Share of the steps without the term that drives h to 0 or 1.
constexpr double kWarmUp = 0.2;
/// Distance in logits that all steps together can go: from one end of the sigmoid to the other.
constexpr double kReach = 10;

/// x^n for odd n.
float power(float x, int n) {
  float result = 1;
  for (; n > 0; n >>= 1, x *= x) {
    if (n & 1) result *= x;
  }
  return result;
}

}  // namespace

AdaRound::AdaRound(const RoundingProblem& problem, const RoundingOptions& options) : problem_(problem), options_(options), unit_(0) {
  const size_t n = problem.depth;
  for (size_t i = 0; i < n; ++i) unit_ += problem.moments[i * n + i] / static_cast<double>(n);
  std::vector<float> scaled(n * n);
  for (size_t i = 0; i < n * n; ++i) scaled[i] = static_cast<float>(problem.moments[i] / unit_);
  const GemmF32Variant& gemm = *kernels().gemm_f32;
  packed_ = allocate_aligned(gemm.packed_bytes(n, n));
  gemm.pack(n, n, scaled.data(), n, 1, packed_.get());
}

void AdaRound::solve(size_t begin, size_t end, const int32_t* lower, const int32_t* upper, int32_t* integers) const {
  const size_t depth = problem_.depth;
  const size_t n = (end - begin) * depth;
  const double* steps = problem_.steps + begin * depth;
  lower += begin * depth, upper += begin * depth, integers += begin * depth;
  std::vector<float> logit(n), first(n, 0.0f), second(n, 0.0f), sigmoid(n), d(n), slope(n), rest(n), width(n);
  for (size_t i = 0; i < n; ++i) {
    rest[i] = static_cast<float>(lower[i] - steps[i]);
    width[i] = static_cast<float>(upper[i] - lower[i]);
    const double h = std::min(0.99, std::max(0.01, steps[i] - lower[i]));
    const double s = (h - kGamma) / (kZeta - kGamma);
    logit[i] = static_cast<float>(std::log(s / (1 - s)));
  }
  const KernelTable& table = kernels();
  const size_t iterations = options_.iterations;
  const float rate = static_cast<float>(kReach / static_cast<double>(std::max<size_t>(iterations, 1)));
  const auto warm = static_cast<size_t>(kWarmUp * static_cast<double>(iterations));
  double power1 = 1, power2 = 1;
  for (size_t t = 0; t < iterations; ++t) {
    table.elementwise->unary(UnaryF32::sigmoid, n, logit.data(), sigmoid.data(), 0, 0);
    for (size_t i = 0; i < n; ++i) d[i] = rest[i] + width[i] * std::min(1.0f, std::max(0.0f, sigmoid[i] * (kZeta - kGamma) + kGamma));
    GemmF32Args args;
    args.m = end - begin, args.n = depth, args.k = depth;
    args.a = d.data(), args.lda = depth;
    args.packed_b = packed_.get();
    args.c = slope.data(), args.ldc = depth;
    table.gemm_f32->gemm(args, 0, args.m, 0, depth);
    // Even exponents: their derivative is an odd power, which keeps the sign by itself.
    const double left = t < warm ? 1.0 : static_cast<double>(iterations - t) / static_cast<double>(iterations - warm);
    const int beta = 2 + 2 * static_cast<int>(std::lround(9 * left));
    const float pull = t < warm ? 0.0f : static_cast<float>(options_.regularization) * static_cast<float>(2 * beta);
    power1 *= kBeta1, power2 *= kBeta2;
    const float unbias1 = static_cast<float>(1 / (1 - power1)), unbias2 = static_cast<float>(1 / (1 - power2));
    for (size_t i = 0; i < n; ++i) {
      const float h = std::min(1.0f, std::max(0.0f, sigmoid[i] * (kZeta - kGamma) + kGamma));
      const float inside = h > 0 && h < 1 ? (kZeta - kGamma) * sigmoid[i] * (1 - sigmoid[i]) : 0.0f;
      const float g = (2 * width[i] * slope[i] - pull * power(2 * h - 1, beta - 1)) * inside;
      first[i] = kBeta1 * first[i] + (1 - kBeta1) * g;
      second[i] = kBeta2 * second[i] + (1 - kBeta2) * g * g;
      logit[i] -= rate * (first[i] * unbias1) / (std::sqrt(second[i] * unbias2) + kEpsilon);
    }
  }
  for (size_t i = 0; i < n; ++i) integers[i] = logit[i] > 0 ? upper[i] : lower[i];
}

}  // namespace cec

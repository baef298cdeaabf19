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

/// Elements that are worked on at a time: a few arrays of them stay in the first-level cache, and loops over them become vectors.
constexpr size_t kBlock = 1024;

/// y = x^n, n > 0; x is used up.
void powers(float* x, int exponent, float* y, size_t n) {
  for (size_t i = 0; i < n; ++i) y[i] = 1;
  for (int left = exponent;; left >>= 1) {
    if (left & 1) {
      for (size_t i = 0; i < n; ++i) y[i] *= x[i];
    }
    if (left <= 1) return;
    for (size_t i = 0; i < n; ++i) x[i] *= x[i];
  }
}

float rectified(float sigmoid) {
  const float h = sigmoid * (kZeta - kGamma) + kGamma;
  const float low = h > 0.0f ? h : 0.0f;
  return low < 1.0f ? low : 1.0f;
}

/// The variables of one task, as parallel arrays.
struct State {
  std::vector<float> logit, first, second, sigmoid, d, slope, rest, width;
  explicit State(size_t n) : logit(n), first(n, 0.0f), second(n, 0.0f), sigmoid(n), d(n), slope(n), rest(n), width(n) {}
};

struct Step {
  float rate, unbias1, unbias2;
  float pull;  // regularization * beta * 2
  int beta;
};

/// One step of Adam on elements [from, from + n).
void step(State& s, const Step& t, const ElementwiseF32Variant& elementwise, size_t from, size_t n) {
  float side[kBlock], power[kBlock], g[kBlock], root[kBlock] = {};
  const float *sigmoid = s.sigmoid.data() + from, *width = s.width.data() + from, *slope = s.slope.data() + from;
  float *first = s.first.data() + from, *second = s.second.data() + from, *logit = s.logit.data() + from;
  for (size_t i = 0; i < n; ++i) side[i] = 2 * rectified(sigmoid[i]) - 1, power[i] = 0;
  if (t.pull != 0) powers(side, t.beta - 1, power, n);
  for (size_t i = 0; i < n; ++i) {
    const float h = rectified(sigmoid[i]);
    const float inside = (kZeta - kGamma) * sigmoid[i] * (1 - sigmoid[i]) * (h > 0.0f ? 1.0f : 0.0f) * (h < 1.0f ? 1.0f : 0.0f);
    g[i] = (2 * width[i] * slope[i] - t.pull * power[i]) * inside;
  }
  for (size_t i = 0; i < n; ++i) {
    first[i] = kBeta1 * first[i] + (1 - kBeta1) * g[i];
    second[i] = kBeta2 * second[i] + (1 - kBeta2) * g[i] * g[i];
    root[i] = second[i] * t.unbias2;
  }
  elementwise.unary(UnaryF32::sqrt, n, root, root, 0, 0);
  for (size_t i = 0; i < n; ++i) logit[i] -= t.rate * (first[i] * t.unbias1) / (root[i] + kEpsilon);
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
  State s(n);
  for (size_t i = 0; i < n; ++i) {
    s.rest[i] = static_cast<float>(lower[i] - steps[i]);
    s.width[i] = static_cast<float>(upper[i] - lower[i]);
    const double h = std::min(0.99, std::max(0.01, steps[i] - lower[i]));
    const double sigmoid = (h - kGamma) / (kZeta - kGamma);
    s.logit[i] = static_cast<float>(std::log(sigmoid / (1 - sigmoid)));
  }
  const KernelTable& table = kernels();
  const size_t iterations = options_.iterations;
  const auto warm = static_cast<size_t>(kWarmUp * static_cast<double>(iterations));
  double power1 = 1, power2 = 1;
  for (size_t t = 0; t < iterations; ++t) {
    table.elementwise->unary(UnaryF32::sigmoid, n, s.logit.data(), s.sigmoid.data(), 0, 0);
    for (size_t i = 0; i < n; ++i) s.d[i] = s.rest[i] + s.width[i] * rectified(s.sigmoid[i]);
    GemmF32Args args;
    args.m = end - begin, args.n = depth, args.k = depth;
    args.a = s.d.data(), args.lda = depth;
    args.packed_b = packed_.get();
    args.c = s.slope.data(), args.ldc = depth;
    table.gemm_f32->gemm(args, 0, args.m, 0, depth);
    // Even exponents: their derivative is an odd power, which keeps the sign by itself.
    const double left = t < warm ? 1.0 : static_cast<double>(iterations - t) / static_cast<double>(iterations - warm);
    power1 *= kBeta1, power2 *= kBeta2;
    Step now;
    now.beta = 2 + 2 * static_cast<int>(std::lround(9 * left));
    now.pull = t < warm ? 0.0f : static_cast<float>(options_.regularization) * static_cast<float>(2 * now.beta);
    now.rate = static_cast<float>(kReach / static_cast<double>(iterations));
    now.unbias1 = static_cast<float>(1 / (1 - power1)), now.unbias2 = static_cast<float>(1 / (1 - power2));
    for (size_t from = 0; from < n; from += kBlock) step(s, now, *table.elementwise, from, std::min(kBlock, n - from));
  }
  for (size_t i = 0; i < n; ++i) integers[i] = s.logit[i] > 0 ? upper[i] : lower[i];
}

}  // namespace cec

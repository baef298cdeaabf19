#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "cec/error.h"
#include "cec/rounding.h"
#include "exec/op.h"
#include "rounding/adaround.h"
#include "rounding/cholesky.h"
#include "rounding/descent.h"

namespace cec {
namespace {

/// Channels that one task handles: enough for a matrix product, few enough for small memory.
constexpr size_t kChannels = 64;

double clamped(double v, int32_t lo, int32_t hi) { return std::min(static_cast<double>(hi), std::max(static_cast<double>(lo), v)); }

/// Half to even, as rounding to nearest does elsewhere.
int32_t nearest(double v, int32_t lo, int32_t hi) { return static_cast<int32_t>(clamped(std::nearbyint(v), lo, hi)); }

[[noreturn]] void refuse() { throw Error(codes::kArgument, "the second moments of a layer are not positive definite: raise the damping"); }

/// Order in which weights are rounded.
std::vector<size_t> order_of(const RoundingProblem& p, bool by_moment) {
  std::vector<size_t> order(p.depth);
  std::iota(order.begin(), order.end(), size_t{0});
  if (by_moment) std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p.moments[a * p.depth + a] > p.moments[b * p.depth + b]; });
  return order;
}

/// GPTQ in its triangular form. With H = U^T U, indices in reverse of the order of rounding, the error is |U d|^2; component a of U d holds d_a and those
/// rounded before it, so each integer can cancel what they left: the nearest plane of Babai, which equals the updates by the inverse's factor.
class Gptq {
 public:
  Gptq(const RoundingProblem& p, bool act_order, ThreadPool& pool) : problem_(p), index_(order_of(p, act_order)), factor_(p.depth * p.depth) {
    std::reverse(index_.begin(), index_.end());
    const size_t n = p.depth;
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = i; j < n; ++j) factor_[i * n + j] = p.moments[index_[i] * n + index_[j]];
    }
    if (!cholesky(factor_.data(), n, pool)) refuse();
  }

  void solve(size_t begin, size_t end, int32_t* integers) const {
    const size_t n = problem_.depth;
    const size_t width = end - begin;
    std::vector<double> d(n * width), left(width);
    for (size_t a = n; a-- > 0;) {
      const double* row = factor_.data() + a * n;
      std::fill(left.begin(), left.end(), 0.0);
      for (size_t b = a + 1; b < n; ++b) {
        const double factor = row[b] / row[a];
        const double* from = d.data() + b * width;
        for (size_t c = 0; c < width; ++c) left[c] += factor * from[c];
      }
      for (size_t c = 0; c < width; ++c) {
        const size_t at = (begin + c) * n + index_[a];
        integers[at] = nearest(problem_.steps[at] - left[c], problem_.lo, problem_.hi);
        d[a * width + c] = integers[at] - problem_.steps[at];
      }
    }
  }

 private:
  const RoundingProblem& problem_;
  std::vector<size_t> index_;
  std::vector<double> factor_;
};

}  // namespace

void round_weights(const RoundingProblem& p, const RoundingOptions& options, int8_t* integers, double* nearest_error, double* error, ThreadPool& pool) {
  const size_t n = p.channels * p.depth;
  if (n == 0) return;
  for (size_t i = 0; i < p.depth; ++i) {
    const double square = p.moments[i * p.depth + i];
    if (!(square > 0) || !std::isfinite(square)) refuse();
  }
  std::vector<int32_t> near(n), chosen(n), lower(n, p.lo), upper(n, p.hi);
  for (size_t i = 0; i < n; ++i) near[i] = nearest(p.steps[i], p.lo, p.hi);
  const size_t tasks = (p.channels + kChannels - 1) / kChannels;
  const auto each = [&](auto&& body) {
    parallel(pool, tasks, 1, [&](size_t begin, size_t end, int) {
      for (size_t t = begin; t < end; ++t) body(t * kChannels, std::min(p.channels, (t + 1) * kChannels));
    });
  };
  if (options.method == RoundingMethod::adaround) {
    for (size_t i = 0; i < n; ++i) {
      lower[i] = static_cast<int32_t>(clamped(std::floor(p.steps[i]), p.lo, p.hi));
      upper[i] = static_cast<int32_t>(clamped(std::floor(p.steps[i]) + 1, p.lo, p.hi));
    }
    const AdaRound solver(p, options);
    each([&](size_t begin, size_t end) { solver.solve(begin, end, lower.data(), upper.data(), chosen.data()); });
  } else {
    const Gptq solver(p, options.act_order, pool);
    each([&](size_t begin, size_t end) { solver.solve(begin, end, chosen.data()); });
  }
  parallel(pool, p.channels, 1, [&](size_t begin, size_t end, int) {
    Descent descent(p.moments, p.depth);
    for (size_t c = begin; c < end; ++c) {
      const size_t at = c * p.depth;
      descent.start(p.steps + at, near.data() + at, lower.data() + at, upper.data() + at);
      nearest_error[c] = descent.error();
      descent.singles();
      const double from_nearest = descent.error();
      const std::vector<int32_t> fallen = descent.integers();
      descent.start(p.steps + at, chosen.data() + at, lower.data() + at, upper.data() + at);
      descent.singles();
      if (from_nearest < descent.error()) descent.start(p.steps + at, fallen.data(), lower.data() + at, upper.data() + at);
      for (size_t s = 0; s < options.pair_sweeps; ++s) descent.pairs();
      error[c] = descent.error();
      for (size_t k = 0; k < p.depth; ++k) integers[at + k] = static_cast<int8_t>(descent.integers()[k]);
    }
  });
}

}  // namespace cec

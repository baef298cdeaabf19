// The continuous relaxation of rounding up or down.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "cec/rounding.h"

namespace cec {

/// AdaRound on the quadratic form of one layer: rectified sigmoids h in [0, 1] say how far each weight goes from its lower to its upper integer; Adam lowers
/// d^T H d + regularization * sum(1 - |2 h - 1|^beta), with beta falling from 20 to 2 after a warm-up without the second term. Deterministic.
class AdaRound {
 public:
  AdaRound(const RoundingProblem& problem, const RoundingOptions& options);
  /// Integers of the channels [begin, end): lower or upper [channels][depth] for each weight. Channels do not depend on each other.
  void solve(size_t begin, size_t end, const int32_t* lower, const int32_t* upper, int32_t* integers) const;

 private:
  const RoundingProblem& problem_;
  const RoundingOptions& options_;
  double unit_;                   // mean of the moments' diagonal
  std::shared_ptr<void> packed_;  // H / unit
};

}  // namespace cec

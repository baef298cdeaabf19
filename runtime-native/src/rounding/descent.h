// Coordinate descent on the integers of one output channel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cec {

/// Integers q of one channel under the error d^T H d, d = q - steps, each within its own bounds.
class Descent {
 public:
  /// @param moments [depth][depth] symmetric
  Descent(const double* moments, size_t depth);

  /// Starts at q.
  void start(const double* steps, const int32_t* q, const int32_t* lo, const int32_t* hi);
  /// Changes the integer that helps most by one, until no change helps.
  void singles();
  /// For each weight the partner with which a change of both helps most; singles after each change.
  void pairs();
  double error() const;
  const std::vector<int32_t>& integers() const { return q_; }

 private:
  void move(size_t i, int by);
  void bound(size_t i);

  const double* moments_;
  size_t depth_;
  std::vector<double> largest_;  // greatest |H_ij| of each row beside the diagonal
  std::vector<double> diagonal_;
  std::vector<double> d_, slope_;              // slope = H d
  std::vector<double> can_fall_, can_rise_;  // 1 where the bounds allow a step, else 0
  std::vector<int32_t> q_;
  const int32_t* lo_ = nullptr;
  const int32_t* hi_ = nullptr;
};

}  // namespace cec

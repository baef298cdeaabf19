#include "rounding/descent.h"

#include <algorithm>
#include <cmath>

namespace cec {
namespace {

/// Gains below this share of the moments are rounding noise of f64 sums: following them might never end.
constexpr double kLeastGain = 1e-9;

/// What changing the integer by one, in the better direction, takes off the error: 2 |t| - h with t the slope.
double gain(double t, double h, double can_fall, double can_rise) {
  const double down = t * can_fall;
  const double up = -t * can_rise;
  return 2 * (down > up ? down : up) - h;
}

}  // namespace

Descent::Descent(const double* moments, size_t depth)
    : moments_(moments), depth_(depth), largest_(depth, 0), diagonal_(depth), d_(depth), slope_(depth), can_fall_(depth), can_rise_(depth), q_(depth) {
  for (size_t i = 0; i < depth; ++i) {
    diagonal_[i] = moments[i * depth + i];
    for (size_t j = 0; j < depth; ++j) {
      if (i != j) largest_[i] = std::max(largest_[i], std::fabs(moments[i * depth + j]));
    }
  }
}

void Descent::start(const double* steps, const int32_t* q, const int32_t* lo, const int32_t* hi) {
  lo_ = lo, hi_ = hi;
  std::copy(q, q + depth_, q_.begin());
  std::fill(slope_.begin(), slope_.end(), 0.0);
  for (size_t i = 0; i < depth_; ++i) {
    d_[i] = q_[i] - steps[i];
    bound(i);
    const double* row = moments_ + i * depth_;
    for (size_t j = 0; j < depth_; ++j) slope_[j] += d_[i] * row[j];
  }
}

double Descent::error() const {
  double sum = 0;
  for (size_t i = 0; i < depth_; ++i) sum += d_[i] * slope_[i];
  return sum;
}

void Descent::bound(size_t i) {
  can_fall_[i] = q_[i] > lo_[i] ? 1 : 0;
  can_rise_[i] = q_[i] < hi_[i] ? 1 : 0;
}

void Descent::move(size_t i, int by) {
  q_[i] += by;
  d_[i] += by;
  bound(i);
  const double* row = moments_ + i * depth_;
  for (size_t j = 0; j < depth_; ++j) slope_[j] += by * row[j];
}

void Descent::singles() {
  for (;;) {
    size_t best = depth_;
    double most = 0;
    for (size_t j = 0; j < depth_; ++j) {
      const double g = gain(slope_[j], diagonal_[j], can_fall_[j], can_rise_[j]);
      if (g > most && g > kLeastGain * diagonal_[j]) most = g, best = j;
    }
    if (best == depth_) return;
    move(best, slope_[best] > 0 ? -1 : 1);
  }
}

void Descent::pairs() {
  constexpr size_t kLanes = 4;
  for (size_t i = 0; i < depth_; ++i) {
    const double* row = moments_ + i * depth_;
    for (const int by : {-1, 1}) {
      if (by < 0 ? can_fall_[i] == 0 : can_rise_[i] == 0) continue;
      // The partner's gain is at most 2 |H_ij|, as no single change helps.
      const double cost = 2 * by * slope_[i] + diagonal_[i];
      if (cost >= 2 * largest_[i]) continue;
      const double least = cost + kLeastGain * diagonal_[i];
      double lanes[kLanes] = {least, least, least, least};
      const auto with = [&](size_t j) { return gain(slope_[j] + by * row[j], diagonal_[j], can_fall_[j], can_rise_[j]); };
      const auto scan = [&](size_t from, size_t to) {
        size_t j = from;
        for (; j + kLanes <= to; j += kLanes) {
          for (size_t l = 0; l < kLanes; ++l) {
            const double g = with(j + l);
            lanes[l] = g > lanes[l] ? g : lanes[l];
          }
        }
        for (; j < to; ++j) lanes[0] = std::max(lanes[0], with(j));
      };
      scan(0, i);
      scan(i + 1, depth_);
      const double most = std::max(std::max(lanes[0], lanes[1]), std::max(lanes[2], lanes[3]));
      if (most <= least) continue;
      for (size_t j = 0; j < depth_; ++j) {
        if (j == i || with(j) != most) continue;
        const int other = slope_[j] + by * row[j] > 0 ? -1 : 1;
        move(i, by);
        move(j, other);
        singles();
        break;
      }
      break;
    }
  }
}

}  // namespace cec

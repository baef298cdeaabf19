// Streaming statistics of tensors: constant memory, whatever the number of samples.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "cec/program.h"
#include "cec/tensor.h"
#include "cec/thread_pool.h"

namespace cec {

/// A histogram of finite values over bins of width 2^k whose edges are multiples of the width.
///
/// k is the smallest for which all values so far fall in `bins` neighbouring bins (and for which bin numbers stay below 2^30);
/// when a value falls outside, k grows and bins merge in pairs. Since floor(v / 2^(k+1)) = floor(floor(v / 2^k) / 2), merging gives
/// exactly the counts of a direct histogram with the final width: the result depends neither on order nor on how samples were batched.
class StreamingHistogram {
 public:
  /// @param bins 2..1048576
  explicit StreamingHistogram(int bins);

  /// Makes room for [lo, hi]. Call it before `bin` and `add` with values of that range. lo and hi finite, lo <= hi.
  void cover(float lo, float hi);
  /// Whether `cover` would leave the bins where they are.
  bool covers(float lo, float hi) const;
  /// Counts values that `cover` has made room for; NaN and infinities are left out.
  void add(const float* values, size_t n, uint64_t* into) const;
  uint64_t* counts() { return counts_.data(); }

  int bins() const { return static_cast<int>(counts_.size()); }
  bool empty() const { return empty_; }
  /// Exponent k of the bin width 2^k.
  int exponent() const { return exponent_; }
  /// Number of the first bin: it begins at first() * 2^k.
  int64_t first() const { return first_; }
  double lo() const;
  double hi() const;
  const std::vector<uint64_t>& read() const { return counts_; }

 private:
  std::vector<uint64_t> counts_;
  bool empty_ = true;
  int exponent_ = 0;
  int64_t first_ = 0;
  int64_t last_ = 0;  // last bin number that holds a value
};

/// Weight of an update's extremes in their moving averages; the first update counts in full.
constexpr double kAverageWeight = 0.1;

struct ObserverOptions {
  /// Bins of the histograms, from 2; 0 keeps none: extremes and moments only.
  int bins = 2048;
  /// Also keep extremes and moments per index of the last axis (channels-last images, features).
  bool per_channel = false;
};

struct TensorStatistics {
  std::string name;
  uint64_t count = 0;  ///< finite values
  uint64_t nan_count = 0;
  uint64_t inf_count = 0;
  double min = 0, max = 0, mean = 0, std = 0;  ///< over finite values; 0 when there are none
  double average_min = 0, average_max = 0;  ///< moving averages of the extremes of each update, see kAverageWeight
  double histogram_lo = 0, histogram_hi = 0;
  std::vector<uint64_t> histogram;
  /// With per_channel, per index of the last axis: extremes, mean, and mean of squares of finite values; 0 where there are none.
  std::vector<float> channel_min, channel_max;
  std::vector<double> channel_mean, channel_mean_square;
};

/// Watches named tensors of a program. f32, u8, i8 and i32 tensors are counted (integers by their stored value); others are refused when met.
class Observer {
 public:
  /// Throws Error(CEC6007) for an unknown name or bins out of range.
  Observer(std::shared_ptr<const Program> program, const std::vector<std::string>& names, ObserverOptions options);
  ~Observer();

  const Program& program() const { return *program_; }
  bool watches(int32_t tensor) const { return watched_[static_cast<size_t>(tensor)] >= 0; }
  /// Adds one tensor's elements. Called by sessions between ops.
  void update(int32_t tensor, const TensorType& type, const void* data, ThreadPool& pool);
  std::vector<TensorStatistics> read() const;

 private:
  struct Slot;
  std::shared_ptr<const Program> program_;
  ObserverOptions options_;
  std::vector<int32_t> watched_;  // tensor id -> slot, -1 for not watched
  std::vector<std::unique_ptr<Slot>> slots_;
  mutable std::mutex mutex_;
};

}  // namespace cec

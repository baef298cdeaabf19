#include "cec/observer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "cec/error.h"
#include "exec/op.h"

namespace cec {
namespace {

/// Bin numbers stay below 2^30, so that they are exact in f32 arithmetic scaled by powers of two and never overflow.
constexpr int kIndexBits = 30;
/// No bin is narrower than the least f32 step.
constexpr int kLeastExponent = -149;
/// Elements that are counted while they are in the cache.
constexpr size_t kChunk = 1 << 15;

/// floor(v * 2^-k) for finite v with |v| < 2^(k + 31): exact.
int64_t bin_of(double v, int exponent) { return static_cast<int64_t>(std::floor(std::ldexp(v, -exponent))); }

}  // namespace

StreamingHistogram::StreamingHistogram(int bins) {
  if (bins < 2 || bins > (1 << 20)) throw Error(codes::kArgument, "bins is " + std::to_string(bins) + "; it must be from 2 to 1048576");
  counts_.assign(static_cast<size_t>(bins), 0);
}

double StreamingHistogram::lo() const { return empty_ ? 0 : std::ldexp(static_cast<double>(first_), exponent_); }
double StreamingHistogram::hi() const { return empty_ ? 0 : std::ldexp(static_cast<double>(first_ + bins()), exponent_); }

void StreamingHistogram::cover(float lo, float hi) {
  const double magnitude = std::max(std::fabs(static_cast<double>(lo)), std::fabs(static_cast<double>(hi)));
  int needed = kLeastExponent;
  if (magnitude > 0) needed = std::max(needed, std::ilogb(magnitude) + 1 - kIndexBits);
  int exponent = empty_ ? needed : std::max(exponent_, needed);
  int64_t first = 0;
  int64_t last = 0;
  for (;; ++exponent) {
    first = bin_of(lo, exponent);
    last = bin_of(hi, exponent);
    if (!empty_) {
      // Arithmetic shift of the old numbers: floor division by a power of two.
      const int shift = std::min(exponent - exponent_, 62);
      first = std::min(first, first_ >> shift);
      last = std::max(last, last_ >> shift);
    }
    if (last - first < bins()) break;
  }
  if (!empty_ && (exponent != exponent_ || first != first_)) {
    const int shift = std::min(exponent - exponent_, 62);
    std::vector<uint64_t> moved(counts_.size(), 0);
    for (int64_t b = first_; b <= last_; ++b) moved[static_cast<size_t>((b >> shift) - first)] += counts_[static_cast<size_t>(b - first_)];
    counts_ = std::move(moved);
  }
  exponent_ = exponent;
  first_ = first;
  last_ = last;
  empty_ = false;
}

bool StreamingHistogram::covers(float lo, float hi) const {
  const double magnitude = std::max(std::fabs(static_cast<double>(lo)), std::fabs(static_cast<double>(hi)));
  if (empty_ || (magnitude > 0 && std::ilogb(magnitude) + 1 - kIndexBits > exponent_)) return false;
  return bin_of(lo, exponent_) >= first_ && bin_of(hi, exponent_) < first_ + bins();
}

void StreamingHistogram::add(const float* values, size_t n, uint64_t* into) const {
  // The kernel's scale 2^-k must be a normal f32.
  if (exponent_ >= -120 && exponent_ <= 120) {
    kernels().stats->histogram(n, values, std::ldexp(1.0f, -exponent_), static_cast<int32_t>(first_), counts_.size(), into);
    return;
  }
  for (size_t i = 0; i < n; ++i) {
    if (std::isfinite(values[i])) ++into[bin_of(values[i], exponent_) - first_];
  }
}

namespace {

/// Extremes and sums of finite values per index of the last axis.
struct ChannelMoments {
  std::vector<float> min, max;
  std::vector<double> sum, sum_squares, count;

  void reset(size_t channels) {
    min.assign(channels, std::numeric_limits<float>::infinity());
    max.assign(channels, -std::numeric_limits<float>::infinity());
    sum.assign(channels, 0);
    sum_squares.assign(channels, 0);
    count.assign(channels, 0);
  }
  void add(const float* v) {
    for (size_t c = 0; c < min.size(); ++c) {
      const bool finite = std::fabs(v[c]) <= std::numeric_limits<float>::max();
      const double x = finite ? static_cast<double>(v[c]) : 0;
      min[c] = finite && v[c] < min[c] ? v[c] : min[c];
      max[c] = finite && v[c] > max[c] ? v[c] : max[c];
      sum[c] += x;
      sum_squares[c] += x * x;
      count[c] += finite ? 1 : 0;
    }
  }
  void merge(const ChannelMoments& o) {
    for (size_t c = 0; c < min.size(); ++c) {
      min[c] = std::min(min[c], o.min[c]);
      max[c] = std::max(max[c], o.max[c]);
      sum[c] += o.sum[c];
      sum_squares[c] += o.sum_squares[c];
      count[c] += o.count[c];
    }
  }
};

}  // namespace

struct Observer::Slot {
  std::string name;
  StreamingHistogram histogram;
  MomentsF32 moments;
  double average_min = 0, average_max = 0;
  ChannelMoments channels;
  bool ragged = false;
  // Reused between calls: constant once the largest tensor was seen.
  std::vector<MomentsF32> chunks;
  std::vector<uint8_t> late;
  /// Counts of the threads after the first, in the bins of `histogram`, until they are merged into it.
  std::vector<std::vector<uint64_t>> partial;
  std::vector<float> converted;
  std::vector<ChannelMoments> rows;
  explicit Slot(int bins) : histogram(std::max(bins, 2)) {}

  void grow(int threads) { partial.resize(std::max(partial.size(), static_cast<size_t>(threads - 1)), std::vector<uint64_t>(static_cast<size_t>(histogram.bins()))); }
  uint64_t* counts(int worker) { return worker == 0 ? histogram.counts() : partial[static_cast<size_t>(worker - 1)].data(); }
  /// Before bins move, and before they are read.
  void merge() {
    for (std::vector<uint64_t>& counts : partial) {
      for (size_t b = 0; b < counts.size(); ++b) histogram.counts()[b] += counts[b];
      std::fill(counts.begin(), counts.end(), 0);
    }
  }
};

Observer::Observer(std::shared_ptr<const Program> program, const std::vector<std::string>& names, ObserverOptions options)
    : program_(std::move(program)), options_(options) {
  watched_.assign(program_->tensors().size(), -1);
  for (const std::string& name : names) {
    const int32_t tensor = program_->find_tensor(name);
    if (tensor < 0) throw Error(codes::kArgument, "the program has no tensor \"" + name + "\" to observe");
    if (watched_[static_cast<size_t>(tensor)] >= 0) continue;
    watched_[static_cast<size_t>(tensor)] = static_cast<int32_t>(slots_.size());
    slots_.push_back(std::make_unique<Slot>(options.bins));
    slots_.back()->name = name;
  }
  if (options.bins != 0) StreamingHistogram check(options.bins);  // rejects wrong bins though nothing is watched
}

Observer::~Observer() = default;

void Observer::update(int32_t tensor, const TensorType& type, const void* data, ThreadPool& pool) {
  std::lock_guard<std::mutex> lock(mutex_);
  Slot& slot = *slots_[static_cast<size_t>(watched_[static_cast<size_t>(tensor)])];
  const size_t n = static_cast<size_t>(type.count());
  if (n == 0) return;
  const float* values = nullptr;
  const auto convert = [&](const auto* source) {
    slot.converted.resize(n);
    for (size_t i = 0; i < n; ++i) slot.converted[i] = static_cast<float>(source[i]);
    values = slot.converted.data();
  };
  switch (type.dtype) {
    case DType::f32: values = static_cast<const float*>(data); break;
    case DType::u8: convert(static_cast<const uint8_t*>(data)); break;
    case DType::i8: convert(static_cast<const int8_t*>(data)); break;
    case DType::i32: convert(static_cast<const int32_t*>(data)); break;
    default: throw Error(codes::kArgument, "the tensor \"" + slot.name + "\" is " + type.to_string() + "; only f32, u8, i8 and i32 can be observed");
  }

  // Fixed chunks, merged in order: sums do not depend on the number of threads. What fits the bins as they stand is counted in the same visit; in the first
  // samples, whose ranges grow, the rest is counted after.
  const StatsF32Variant& stats = *kernels().stats;
  const size_t chunks = (n + kChunk - 1) / kChunk;
  const auto length = [&](size_t c) { return std::min(kChunk, n - c * kChunk); };
  const bool counting = options_.bins != 0;
  if (counting) slot.grow(pool.size());
  slot.chunks.assign(chunks, MomentsF32());
  slot.late.assign(chunks, 0);
  parallel(pool, chunks, 1, [&](size_t begin, size_t end, int worker) {
    for (size_t c = begin; c < end; ++c) {
      MomentsF32& m = slot.chunks[c];
      stats.moments(length(c), values + c * kChunk, &m);
      if (!counting || m.count == 0) continue;
      if (slot.histogram.covers(m.min, m.max)) slot.histogram.add(values + c * kChunk, length(c), slot.counts(worker));
      else slot.late[c] = 1;
    }
  });
  MomentsF32 now;
  for (const MomentsF32& part : slot.chunks) {
    now.count += part.count;
    now.nan_count += part.nan_count;
    now.inf_count += part.inf_count;
    now.min = std::min(now.min, part.min);
    now.max = std::max(now.max, part.max);
    now.sum += part.sum;
    now.sum_squares += part.sum_squares;
  }
  if (now.count != 0) {
    const double weight = slot.moments.count == 0 ? 1 : kAverageWeight;
    slot.average_min += weight * (now.min - slot.average_min);
    slot.average_max += weight * (now.max - slot.average_max);
  }
  slot.moments.count += now.count;
  slot.moments.nan_count += now.nan_count;
  slot.moments.inf_count += now.inf_count;
  slot.moments.min = std::min(slot.moments.min, now.min);
  slot.moments.max = std::max(slot.moments.max, now.max);
  slot.moments.sum += now.sum;
  slot.moments.sum_squares += now.sum_squares;

  if (counting && now.count != 0) {
    const bool late = std::find(slot.late.begin(), slot.late.end(), 1) != slot.late.end();
    if (late) slot.merge();
    slot.histogram.cover(now.min, now.max);
    if (late) {
      parallel(pool, chunks, 1, [&](size_t begin, size_t end, int worker) {
        for (size_t c = begin; c < end; ++c) {
          if (slot.late[c] != 0) slot.histogram.add(values + c * kChunk, length(c), slot.counts(worker));
        }
      });
    }
  }

  if (options_.per_channel && type.shape.rank() > 0) {
    const size_t channels = static_cast<size_t>(type.shape[type.shape.rank() - 1]);
    if (slot.channels.min.empty()) slot.channels.reset(channels);
    // A last axis whose length varies (attention scores) has no channels: nothing is given for it.
    if (slot.channels.min.size() != channels) slot.ragged = true;
    if (slot.ragged) return;
    // Fixed blocks of rows, merged in order, as above.
    const size_t rows = n / channels;
    const size_t block = std::max<size_t>(1, kChunk / channels);
    const size_t blocks = (rows + block - 1) / block;
    slot.rows.resize(blocks);
    parallel(pool, blocks, 1, [&](size_t begin, size_t end, int) {
      for (size_t b = begin; b < end; ++b) {
        slot.rows[b].reset(channels);
        for (size_t row = b * block; row < std::min(rows, (b + 1) * block); ++row) slot.rows[b].add(values + row * channels);
      }
    });
    for (const ChannelMoments& part : slot.rows) slot.channels.merge(part);
  }
}

std::vector<TensorStatistics> Observer::read() const {
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<TensorStatistics> rows;
  for (const std::unique_ptr<Slot>& slot : slots_) {
    slot->merge();
    const MomentsF32& m = slot->moments;
    TensorStatistics row;
    row.name = slot->name;
    row.count = m.count;
    row.nan_count = m.nan_count;
    row.inf_count = m.inf_count;
    if (m.count != 0) {
      row.min = m.min;
      row.max = m.max;
      row.mean = m.sum / static_cast<double>(m.count);
      row.std = std::sqrt(std::max(0.0, m.sum_squares / static_cast<double>(m.count) - row.mean * row.mean));
    }
    row.average_min = slot->average_min;
    row.average_max = slot->average_max;
    row.histogram_lo = slot->histogram.lo();
    row.histogram_hi = slot->histogram.hi();
    if (options_.bins != 0) row.histogram = slot->histogram.read();
    const ChannelMoments c = slot->ragged ? ChannelMoments() : slot->channels;
    row.channel_min = c.min;
    row.channel_max = c.max;
    for (size_t i = 0; i < c.min.size(); ++i) {
      const bool seen = c.count[i] > 0;
      if (!seen) row.channel_min[i] = row.channel_max[i] = 0;
      row.channel_mean.push_back(seen ? c.sum[i] / c.count[i] : 0);
      row.channel_mean_square.push_back(seen ? c.sum_squares[i] / c.count[i] : 0);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace cec

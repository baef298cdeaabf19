// What several op files share: windows, activations, quantization attributes, partitioning of tiled kernels, broadcasting.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "exec/aligned.h"
#include "exec/op.h"

namespace cec {

/// `axis` as an index into `rank` dimensions; negative counts from the end. Rejects what is out of range.
int normalize_axis(int64_t axis, int rank, const char* what = "axis");

/// Bounds of the fused `activation` attribute.
struct Clamp {
  float lo = -std::numeric_limits<float>::infinity();
  float hi = std::numeric_limits<float>::infinity();
  bool none() const { return lo == -std::numeric_limits<float>::infinity() && hi == std::numeric_limits<float>::infinity(); }
};
Clamp read_activation(const Attrs& attrs);

/// Attributes of a two-dimensional window: kernel, strides, dilations, pads (top, left, bottom, right).
struct Window2d {
  std::array<int64_t, 2> kernel{1, 1}, stride{1, 1}, dilation{1, 1};
  std::array<int64_t, 4> pads{0, 0, 0, 0};
};
/// Reads strides, dilations and pads; `kernel` is set by the caller.
Window2d read_window(const Attrs& attrs);
/// Output size along one axis. Rejects windows that are larger than the padded input.
int64_t window_output(int64_t input, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad_begin, int64_t pad_end, bool ceil_mode);

/// Offsets of Taps for one image shape; kept in a plan.
struct TapTable {
  std::vector<int32_t> offsets;
  size_t pixels = 0, taps = 0;
  TapGeometry geometry;
  Taps taps_for(size_t channels, size_t batch_stride) const { return Taps{offsets.data(), pixels, taps, channels, batch_stride}; }
};
/// Rejects tables of too many offsets, and images that offsets do not reach.
void check_taps(int64_t taps, int64_t pixels, int64_t image_elements);
TapGeometry geometry_of(const Window2d& window, int64_t in_h, int64_t in_w, int64_t out_h, int64_t out_w, int64_t channels);
TapTable make_taps(const Window2d& window, int64_t in_h, int64_t in_w, int64_t out_h, int64_t out_w, int64_t channels);

/// Products of f32 tensors, in the precision that attribute `precision` names: f32 (the default) or bf16.
bool wants_bf16(const Attrs& attrs);
inline const GemmF32Variant& float_gemm(const CreateContext& ctx) { return wants_bf16(ctx.attrs()) ? *ctx.kernels().gemm_bf16 : *ctx.kernels().gemm_f32; }

/// A scale attribute: finite, positive f32.
float read_scale(const Attrs& attrs, const char* key);
bool is_8bit(DType type);
Q8 q8_of(DType type);
/// A zero point attribute that lies in an 8-bit type.
int32_t read_zero_point(const Attrs& attrs, const char* key, DType type);
/// `name`_scale and `name`_zp of a tensor of `type`.
QParams read_params(const Attrs& attrs, const std::string& name, DType type);
/// `prefix`_min and `prefix`_max, by default and at most the range of `type`.
void read_q_range(const Attrs& attrs, DType type, int32_t* q_min, int32_t* q_max, const std::string& prefix = "q");
/// The element type that attribute `key` names, else `otherwise`; u8, i8 and, where allowed, f32.
DType read_y_type(const Attrs& attrs, DType otherwise, bool allow_f32, const char* key = "y_type");

/// Multiply-accumulates below which waking other threads costs more than it brings.
constexpr size_t kLeastWork = 1 << 15;

/// Runs a tiled kernel over [0, m) x [0, n) on the pool: split by rows or by column panels, whichever loads the threads more evenly and then reads less of
/// the larger operand twice; by tiles where both are uneven. Every split is at multiples of the steps, so that results do not depend on it.
template <typename F>
void run_tiles(ThreadPool& pool, size_t m, size_t n, size_t m_step, size_t n_step, size_t work, F&& kernel) {
  if (m == 0 || n == 0) return;
  const size_t threads = static_cast<size_t>(pool.size());
  if (threads == 1 || work < kLeastWork) {
    kernel(size_t{0}, m, size_t{0}, n);
    return;
  }
  const size_t rows = (m + m_step - 1) / m_step;
  const size_t panels = (n + n_step - 1) / n_step;
  // The busiest thread's share of the work, as a multiple of an even one.
  const auto unevenness = [&](size_t parts, size_t step, size_t all) {
    const size_t most = std::min((parts + threads - 1) / threads * step, all);
    return static_cast<double>(most * threads) / static_cast<double>(all);
  };
  const double by_rows = unevenness(rows, m_step, m), by_panels = unevenness(panels, n_step, n), by_tiles = unevenness(rows * panels, m_step * n_step, m * n);
  constexpr double kEven = 1.1;
  if (std::min(by_rows, by_panels) > std::max(kEven, by_tiles)) {
    pool.parallel_for(rows * panels, [&](size_t begin, size_t end, int) {
      for (size_t tile = begin; tile < end; ++tile) {
        const size_t r = tile / panels, p = tile % panels;
        kernel(r * m_step, std::min((r + 1) * m_step, m), p * n_step, std::min((p + 1) * n_step, n));
      }
    });
  } else if (by_rows <= kEven && by_panels <= kEven ? m >= n : by_rows <= by_panels) {
    pool.parallel_for(rows, [&](size_t begin, size_t end, int) { kernel(begin * m_step, std::min(end * m_step, m), size_t{0}, n); });
  } else {
    pool.parallel_for(panels, [&](size_t begin, size_t end, int) { kernel(size_t{0}, m, begin * n_step, std::min(end * n_step, n)); });
  }
}

/// Rows of a product without terms: bias and residual, clamped.
void fill_rows(ThreadPool& pool, const EpilogueF32& epilogue, size_t rows, size_t columns, float* c);

/// Floats to integers truncate toward zero and wrap; NaN and infinities give 0 (as compiler/core/ir/ops/cast.ts).
template <typename T>
T to_integer(double v) {
  if (!std::isfinite(v)) return 0;
  v = std::trunc(v);
  if (v >= -9223372036854775808.0 && v < 9223372036854775808.0) return static_cast<T>(static_cast<int64_t>(v));
  v = std::fmod(v, 18446744073709551616.0);
  if (v < 0) v += 18446744073709551616.0;
  return v >= 18446744073709551616.0 ? T{0} : static_cast<T>(static_cast<uint64_t>(v));
}
/// A computed value as an element: floats are rounded, integers as to_integer.
template <typename T>
T from_double(double v) {
  if constexpr (std::is_integral_v<T>) return to_integer<T>(v);
  else return static_cast<T>(v);
}

/// Sum of two elements; integers wrap.
template <typename T>
T wrapping_add(T a, T b) {
  if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  else return a + b;
}

/// NumPy broadcasting of two shapes; rejects shapes that do not fit.
Shape broadcast(const Shape& a, const Shape& b);

/// A broadcast of up to kOperands operands to one result, reduced to as few axes as possible: neighbouring axes that all operands either walk
/// or repeat together are merged.
struct BroadcastPlan {
  static constexpr int kOperands = 3;
  int rank = 0;                                             // merged axes, at least 1
  std::array<int64_t, kMaxRank> dims{};                     // result
  std::array<std::array<int64_t, kMaxRank>, kOperands> strides{};  // in elements; 0 where repeated
};
BroadcastPlan plan_broadcast(const Shape& result, const Shape* const* operands, int count);

/// Calls body(result_offset, offsets, length) for each run along the last merged axis of [begin_row, end_row) rows.
template <typename F>
void for_each_row(const BroadcastPlan& plan, int operands, size_t begin_row, size_t end_row, F&& body) {
  const int outer = plan.rank - 1;
  const int64_t length = plan.dims[static_cast<size_t>(outer)];
  std::array<int64_t, kMaxRank> index{};
  std::array<int64_t, BroadcastPlan::kOperands> offsets{};
  size_t rest = begin_row;
  for (int axis = outer - 1; axis >= 0; --axis) {
    const size_t a = static_cast<size_t>(axis);
    index[a] = static_cast<int64_t>(rest % static_cast<size_t>(plan.dims[a]));
    rest /= static_cast<size_t>(plan.dims[a]);
    for (int o = 0; o < operands; ++o) offsets[static_cast<size_t>(o)] += index[a] * plan.strides[static_cast<size_t>(o)][a];
  }
  for (size_t row = begin_row; row < end_row; ++row) {
    body(static_cast<int64_t>(row) * length, offsets, length);
    for (int axis = outer - 1; axis >= 0; --axis) {
      const size_t a = static_cast<size_t>(axis);
      for (int o = 0; o < operands; ++o) offsets[static_cast<size_t>(o)] += plan.strides[static_cast<size_t>(o)][a];
      if (++index[a] < plan.dims[a]) break;
      for (int o = 0; o < operands; ++o) offsets[static_cast<size_t>(o)] -= plan.strides[static_cast<size_t>(o)][a] * plan.dims[a];
      index[a] = 0;
    }
  }
}

}  // namespace cec

// resize of ONNX: nearest, linear, cubic; separable along each axis.
#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

class Resize final : public Op {
 public:
  explicit Resize(CreateContext& ctx) {
    const Attrs& attrs = ctx.attrs();
    mode_ = attrs.text("mode", "nearest");
    coordinates_ = attrs.text("coordinate_transformation_mode", "half_pixel");
    nearest_ = attrs.text("nearest_mode", "round_prefer_floor");
    policy_ = attrs.text("keep_aspect_ratio_policy", "stretch");
    axes_ = attrs.integers("axes", {});
    cubic_a_ = attrs.number("cubic_coeff_a", -0.75);
    exclude_ = attrs.flag("exclude_outside", false);
    if (mode_ != "nearest" && mode_ != "linear" && mode_ != "cubic") reject("mode is \"" + mode_ + "\"");
    if (coordinates_ != "half_pixel" && coordinates_ != "pytorch_half_pixel" && coordinates_ != "align_corners" && coordinates_ != "asymmetric" && coordinates_ != "half_pixel_symmetric") {
      reject("coordinate_transformation_mode \"" + coordinates_ + "\" is not supported");
    }
    if (nearest_ != "round_prefer_floor" && nearest_ != "round_prefer_ceil" && nearest_ != "floor" && nearest_ != "ceil") reject("nearest_mode is \"" + nearest_ + "\"");
    if (policy_ != "stretch" && policy_ != "not_larger" && policy_ != "not_smaller") reject("keep_aspect_ratio_policy is \"" + policy_ + "\"");
    if (attrs.flag("antialias", false)) reject("antialias is not supported");
  }

  /// For each output position of one axis: source positions and weights.
  struct Axis {
    int axis = 0;
    std::vector<int64_t> index;   // [size][taps]
    std::vector<float> weight;    // [size][taps]
    size_t taps = 1;
  };
  struct State : OpState {
    std::vector<Axis> axes;       // that change
    std::array<size_t, 2> buffer{};
    bool copy_only = false;
  };

  void prepare(PrepareContext& ctx) const override {
    const DType type = ctx.dtype(0);
    if (mode_ != "nearest" && type != DType::f32) reject(std::string("an operand of the type ") + name_of(type) + " with mode " + mode_);
    const Shape& x = ctx.shape(0);
    std::vector<int64_t> axes = axes_;
    if (axes.empty()) {
      for (int i = 0; i < x.rank(); ++i) axes.push_back(i);
    }
    std::array<double, kMaxRank> scale;
    scale.fill(1);
    Shape y = x;
    const bool has_scales = ctx.has(2) && ctx.input(2).count() != 0;
    const bool has_sizes = ctx.has(3) && ctx.input(3).count() != 0;
    if (has_scales == has_sizes) reject("exactly one of scales and sizes must be given");
    if (has_scales) {
      ctx.expect(2, DType::f32);
      if (ctx.input(2).count() != static_cast<int64_t>(axes.size())) reject("there are " + std::to_string(ctx.input(2).count()) + " scales for " + std::to_string(axes.size()) + " axes");
      const float* scales = static_cast<const float*>(ctx.value(2));
      for (size_t i = 0; i < axes.size(); ++i) {
        const int a = normalize_axis(axes[i], x.rank());
        const double s = static_cast<double>(scales[i]);
        const double size = std::floor(static_cast<double>(x[a]) * s);
        if (!(s > 0) || !(size < static_cast<double>(kMaxTensorBytes))) reject("scales holds " + std::to_string(s));
        scale[static_cast<size_t>(a)] = s;
        y[a] = static_cast<int64_t>(size);
      }
    } else {
      const std::vector<int64_t> sizes = ctx.ints(3);
      if (sizes.size() != axes.size()) reject("there are " + std::to_string(sizes.size()) + " sizes for " + std::to_string(axes.size()) + " axes");
      double common = policy_ == "not_larger" ? std::numeric_limits<double>::infinity() : 0;
      for (size_t i = 0; i < axes.size(); ++i) {
        const int a = normalize_axis(axes[i], x.rank());
        if (sizes[i] < 0 || sizes[i] > kMaxTensorBytes || (x[a] == 0 && sizes[i] != 0)) reject_shape("size " + std::to_string(sizes[i]) + " for dimension " + std::to_string(a) + " of " + x.to_string());
        const double s = x[a] == 0 ? 1 : static_cast<double>(sizes[i]) / static_cast<double>(x[a]);
        common = policy_ == "not_larger" ? std::min(common, s) : std::max(common, s);
        scale[static_cast<size_t>(a)] = s;
        y[a] = sizes[i];
      }
      if (policy_ != "stretch") {
        for (int64_t axis : axes) {
          const int a = normalize_axis(axis, x.rank());
          scale[static_cast<size_t>(a)] = common;
          y[a] = static_cast<int64_t>(std::floor(common * static_cast<double>(x[a]) + 0.5));
        }
      }
    }
    ctx.output(0, type, y);
    auto state = std::make_unique<State>();
    for (int a = 0; a < x.rank() && y.count() != 0; ++a) {
      const double s = scale[static_cast<size_t>(a)];
      if (y[a] == x[a] && s == 1) continue;
      state->axes.push_back(make_axis(a, x[a], y[a], s));
    }
    // Intermediate results between axes, in turns in two buffers.
    if (state->axes.size() > 1) {
      Shape at = x;
      size_t largest = 0;
      for (const Axis& axis : state->axes) {
        at[axis.axis] = y[axis.axis];
        largest = std::max(largest, checked_bytes(type, at));
      }
      state->buffer = {ctx.scratch(largest), state->axes.size() > 2 ? ctx.scratch(largest) : 0};
    }
    ctx.state = std::move(state);
  }

  void run(RunContext& ctx) const override {
    const TensorType& y = ctx.output(0);
    if (y.count() == 0) return;
    const State& state = ctx.state<State>();
    if (state.axes.empty()) {
      std::memcpy(ctx.out[0], ctx.in[0], y.bytes());
      return;
    }
    Shape at = ctx.input(0).shape;
    const void* from = ctx.in[0];
    for (size_t i = 0; i < state.axes.size(); ++i) {
      const Axis& axis = state.axes[i];
      void* to = i + 1 == state.axes.size() ? ctx.out[0] : ctx.scratch<void*>(state.buffer[i % 2]);
      const size_t outer = static_cast<size_t>(at.count(0, axis.axis));
      const size_t in = static_cast<size_t>(at[axis.axis]);
      const size_t out = static_cast<size_t>(y.shape[axis.axis]);
      const size_t inner = static_cast<size_t>(at.count(axis.axis + 1, at.rank()));
      const size_t element = size_of(y.dtype);
      parallel(ctx.pool(), outer * out, 1 + 4096 / (inner + 1), [&](size_t begin, size_t end, int) {
        for (size_t r = begin; r < end; ++r) {
          const size_t o = r / out;
          const size_t k = r % out;
          if (mode_ == "nearest") {
            std::memcpy(static_cast<char*>(to) + r * inner * element, static_cast<const char*>(from) + (o * in + static_cast<size_t>(axis.index[k])) * inner * element, inner * element);
            continue;
          }
          float* row = static_cast<float*>(to) + r * inner;
          for (size_t j = 0; j < inner; ++j) row[j] = 0;
          for (size_t t = 0; t < axis.taps; ++t) {
            const float w = axis.weight[k * axis.taps + t];
            const float* source = static_cast<const float*>(from) + (o * in + static_cast<size_t>(axis.index[k * axis.taps + t])) * inner;
            for (size_t j = 0; j < inner; ++j) row[j] += w * source[j];
          }
        }
      });
      at[axis.axis] = y.shape[axis.axis];
      from = to;
    }
  }

 private:
  double source_of(int64_t k, int64_t in, int64_t out, double scale) const {
    const double p = static_cast<double>(k);
    if (coordinates_ == "asymmetric") return p / scale;
    if (coordinates_ == "align_corners") return out == 1 ? 0 : p * static_cast<double>(in - 1) / static_cast<double>(out - 1);
    if (coordinates_ == "pytorch_half_pixel" && out == 1) return 0;
    if (coordinates_ == "half_pixel_symmetric") {
      // The true output length may be fractional; half the difference is put on each side.
      const double adjustment = static_cast<double>(out) / (scale * static_cast<double>(in));
      const double center = static_cast<double>(in) / 2;
      return center * (1 - adjustment) + (p + 0.5) / scale - 0.5;
    }
    return (p + 0.5) / scale - 0.5;
  }

  Axis make_axis(int a, int64_t in, int64_t out, double scale) const {
    Axis axis;
    axis.axis = a;
    axis.taps = mode_ == "nearest" ? 1 : mode_ == "linear" ? 2 : 4;
    const auto clamped = [in](double v) { return static_cast<int64_t>(std::min(std::max(v, 0.0), static_cast<double>(in - 1))); };
    for (int64_t k = 0; k < out; ++k) {
      const double at = source_of(k, in, out, scale);
      if (mode_ == "nearest") {
        double n = std::floor(at);
        const double d = at - n;
        if (nearest_ == "ceil") n = std::ceil(at);
        else if (nearest_ == "round_prefer_floor") n += d > 0.5 ? 1 : 0;
        else if (nearest_ == "round_prefer_ceil") n += d >= 0.5 ? 1 : 0;
        axis.index.push_back(clamped(n));
        continue;
      }
      const double base = std::floor(at);
      const double d = at - base;
      std::array<double, 4> w{};
      if (mode_ == "linear") {
        w = {1 - d, d, 0, 0};
      } else {
        // Keys' cubic with coefficient a.
        const double c = cubic_a_;
        const auto near = [c](double t) { return ((c + 2) * t - (c + 3)) * t * t + 1; };
        const auto far = [c](double t) { return ((c * t - 5 * c) * t + 8 * c) * t - 4 * c; };
        w = {far(d + 1), near(d), near(1 - d), far(2 - d)};
      }
      const double first = mode_ == "linear" ? base : base - 1;
      double sum = 0;
      for (size_t t = 0; t < axis.taps; ++t) {
        const double position = first + static_cast<double>(t);
        if (exclude_ && (position < 0 || position >= static_cast<double>(in))) w[t] = 0;
        sum += w[t];
      }
      for (size_t t = 0; t < axis.taps; ++t) {
        axis.index.push_back(clamped(first + static_cast<double>(t)));
        axis.weight.push_back(static_cast<float>(exclude_ && sum != 0 ? w[t] / sum : w[t]));
      }
    }
    return axis;
  }

  std::string mode_, coordinates_, nearest_, policy_;
  std::vector<int64_t> axes_;
  double cubic_a_;
  bool exclude_;
};

constexpr OpKind kOps[] = {{"resize", 1, 4, 1, 1, create_op<Resize>}};

}  // namespace

OpList resize_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec

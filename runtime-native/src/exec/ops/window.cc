// Convolutions and pools of ONNX on [N,C,...] with one to three spatial dimensions: slow, plain and right. Fast forms are the cpu.* ops.
#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

constexpr size_t kSpatial = 3;

/// A window over up to three spatial axes; axes that are not there have size 1.
struct Window {
  int rank = 0;
  std::array<int64_t, kSpatial> in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, begin{0, 0, 0}, end{0, 0, 0};
  int64_t in_count() const { return in[0] * in[1] * in[2]; }
  int64_t out_count() const { return out[0] * out[1] * out[2]; }
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
};

/// Calls body(out_index, z, y, x) over output positions.
template <typename F>
void for_each_position(const std::array<int64_t, kSpatial>& out, F&& body) {
  int64_t at = 0;
  for (int64_t z = 0; z < out[0]; ++z) {
    for (int64_t y = 0; y < out[1]; ++y) {
      for (int64_t x = 0; x < out[2]; ++x) body(at++, std::array<int64_t, kSpatial>{z, y, x});
    }
  }
}

/// Calls body(input_index, tap) for the taps of one output position that lie inside the input.
template <typename F>
void for_each_tap(const Window& w, const std::array<int64_t, kSpatial>& position, F&& body) {
  int64_t tap = 0;
  for (int64_t a = 0; a < w.kernel[0]; ++a) {
    const int64_t z = position[0] * w.stride[0] - w.begin[0] + a * w.dilation[0];
    for (int64_t b = 0; b < w.kernel[1]; ++b) {
      const int64_t y = position[1] * w.stride[1] - w.begin[1] + b * w.dilation[1];
      for (int64_t c = 0; c < w.kernel[2]; ++c, ++tap) {
        const int64_t x = position[2] * w.stride[2] - w.begin[2] + c * w.dilation[2];
        if (z >= 0 && z < w.in[0] && y >= 0 && y < w.in[1] && x >= 0 && x < w.in[2]) body((z * w.in[1] + y) * w.in[2] + x, tap);
      }
    }
  }
}

class WindowAttrs {
 public:
  explicit WindowAttrs(const Attrs& attrs) {
    kernel_ = attrs.integers("kernel_shape", {});
    strides_ = attrs.integers("strides", {});
    dilations_ = attrs.integers("dilations", {});
    pads_ = attrs.integers("pads", {});
    auto_pad_ = attrs.text("auto_pad", "NOTSET");
    if (auto_pad_ != "NOTSET" && auto_pad_ != "SAME_UPPER" && auto_pad_ != "SAME_LOWER" && auto_pad_ != "VALID") reject("auto_pad is \"" + auto_pad_ + "\"");
    ceil_ = attrs.flag("ceil_mode", false);
  }
  const std::vector<int64_t>& kernel() const { return kernel_; }
  const std::string& auto_pad() const { return auto_pad_; }
  bool has_pads() const { return !pads_.empty(); }

  /// The window over x[N,C,...], without output sizes; `kernel` are the spatial sizes of the weights or of the pool.
  Window over(const Shape& x, const std::vector<int64_t>& kernel) const {
    Window w;
    w.rank = x.rank() - 2;
    if (w.rank < 1 || w.rank > static_cast<int>(kSpatial)) reject_shape("the input must have one to three spatial dimensions, it is " + x.to_string());
    const size_t n = static_cast<size_t>(w.rank);
    if (kernel.size() != n) reject("the kernel has " + std::to_string(kernel.size()) + " dimensions, the input " + std::to_string(n));
    if (!kernel_.empty() && kernel_ != kernel) reject("kernel_shape differs from the weights");
    if ((!strides_.empty() && strides_.size() != n) || (!dilations_.empty() && dilations_.size() != n) || (!pads_.empty() && pads_.size() != 2 * n)) reject("strides, dilations or pads do not have one value per spatial dimension");
    for (size_t i = 0; i < n; ++i) {
      const size_t a = kSpatial - n + i;
      w.in[a] = x[static_cast<int>(i) + 2];
      w.kernel[a] = kernel[i];
      w.stride[a] = strides_.empty() ? 1 : strides_[i];
      w.dilation[a] = dilations_.empty() ? 1 : dilations_[i];
      w.begin[a] = pads_.empty() || auto_pad_ != "NOTSET" ? 0 : pads_[i];
      w.end[a] = pads_.empty() || auto_pad_ != "NOTSET" ? 0 : pads_[i + n];
      constexpr int64_t limit = int64_t{1} << 31;
      for (int64_t v : {w.kernel[a], w.stride[a], w.dilation[a]}) {
        if (v < 1 || v >= limit) reject("kernel, strides and dilations must be at least 1, one is " + std::to_string(v));
      }
      if (w.begin[a] < 0 || w.end[a] < 0 || w.begin[a] >= limit || w.end[a] >= limit) reject("pads must not be negative");
    }
    return w;
  }

  /// Output sizes of a convolution or pool.
  void finish(Window& w) const {
    for (size_t a = kSpatial - static_cast<size_t>(w.rank); a < kSpatial; ++a) {
      if (auto_pad_ == "SAME_UPPER" || auto_pad_ == "SAME_LOWER") {
        w.out[a] = (w.in[a] + w.stride[a] - 1) / w.stride[a];
        const int64_t total = std::max<int64_t>(0, (w.out[a] - 1) * w.stride[a] + (w.kernel[a] - 1) * w.dilation[a] + 1 - w.in[a]);
        w.begin[a] = auto_pad_ == "SAME_UPPER" ? total / 2 : total - total / 2;
        w.end[a] = total - w.begin[a];
      } else {
        w.out[a] = window_output(w.in[a], w.kernel[a], w.stride[a], w.dilation[a], w.begin[a], w.end[a], ceil_);
      }
    }
  }

 private:
  std::vector<int64_t> kernel_, strides_, dilations_, pads_;
  std::string auto_pad_;
  bool ceil_;
};

Shape result_shape(const Window& w, int64_t batch, int64_t channels) {
  Shape y{batch, channels};
  for (size_t a = kSpatial - static_cast<size_t>(w.rank); a < kSpatial; ++a) y.push_back(w.out[a]);
  return y;
}

std::vector<int64_t> spatial(const Shape& w) { return std::vector<int64_t>(w.begin() + std::min(2, w.rank()), w.end()); }

struct WindowState : OpState {
  Window window;
};

/// Checks x[N,C,...] and w[O,C/g,...] and gives the result's shape.
Shape prepare_conv(PrepareContext& ctx, const WindowAttrs& attrs, int group, int x_at, int w_at) {
  const Shape& x = ctx.shape(x_at);
  const Shape& w = ctx.shape(w_at);
  if (w.rank() != x.rank() || x.rank() < 3) reject_shape("the input " + x.to_string() + " and the weights " + w.to_string() + " do not fit");
  if (x[1] != w[1] * group || w[0] % group != 0) reject_shape("the input " + x.to_string() + " and the weights " + w.to_string() + " do not fit with " + std::to_string(group) + " groups");
  auto state = std::make_unique<WindowState>();
  state->window = attrs.over(x, spatial(w));
  attrs.finish(state->window);
  const Shape y = result_shape(state->window, x[0], w[0]);
  ctx.state = std::move(state);
  return y;
}

/// sum over channels and taps of value(input index, weight index), for each result element, in parallel.
template <typename Sum, typename Term, typename Store>
void convolve(RunContext& ctx, const Window& w, int64_t batch, int64_t channels, int64_t outputs, int64_t groups, Term&& term, Store&& store) {
  const int64_t group_channels = channels / groups;
  const int64_t group_outputs = outputs / groups;
  parallel(ctx.pool(), static_cast<size_t>(batch * outputs), 1, [&](size_t begin, size_t end, int) {
    for (size_t r = begin; r < end; ++r) {
      const int64_t n = static_cast<int64_t>(r) / outputs;
      const int64_t o = static_cast<int64_t>(r) % outputs;
      const int64_t first = n * channels + o / group_outputs * group_channels;
      for_each_position(w.out, [&](int64_t at, const std::array<int64_t, kSpatial>& position) {
        Sum sum = 0;
        for (int64_t c = 0; c < group_channels; ++c) {
          const int64_t plane = (first + c) * w.in_count();
          const int64_t weights = (o * group_channels + c) * w.taps();
          for_each_tap(w, position, [&](int64_t from, int64_t tap) { sum += term(plane + from, weights + tap); });
        }
        store(static_cast<int64_t>(r) * w.out_count() + at, o, sum);
      });
    }
  });
}

class Conv final : public Op {
 public:
  explicit Conv(CreateContext& ctx) : attrs_(ctx.attrs()), group_(ctx.attrs().bounded("group", 1, 1, 1 << 30)), clamp_(read_activation(ctx.attrs())) {}
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    ctx.expect(1, DType::f32);
    const Shape y = prepare_conv(ctx, attrs_, group_, 0, 1);
    if (ctx.has(2)) {
      ctx.expect(2, DType::f32);
      if (ctx.shape(2) != Shape{y[1]}) reject_shape("the bias must be [" + std::to_string(y[1]) + "], it is " + ctx.shape(2).to_string());
    }
    if (ctx.has(3)) {
      ctx.expect(3, DType::f32);
      if (ctx.shape(3) != y) reject_shape("the residual " + ctx.shape(3).to_string() + " does not have the result's shape " + y.to_string());
      ctx.inplace_with = {3};
    }
    ctx.output(0, DType::f32, y);
  }
  void run(RunContext& ctx) const override {
    const Window& w = ctx.state<WindowState>().window;
    const Shape& x = ctx.input(0).shape;
    const float* xs = ctx.src<float>(0);
    const float* ws = ctx.src<float>(1);
    convolve<double>(
        ctx, w, x[0], x[1], ctx.output(0).shape[1], group_, [&](int64_t i, int64_t k) { return static_cast<double>(xs[i]) * static_cast<double>(ws[k]); },
        [&](int64_t at, int64_t o, double sum) {
          if (ctx.has(2)) sum += static_cast<double>(ctx.src<float>(2)[o]);
          if (ctx.has(3)) sum += static_cast<double>(ctx.src<float>(3)[at]);
          float v = static_cast<float>(sum);
          v = v < clamp_.lo ? clamp_.lo : v;
          ctx.dst<float>(0)[at] = v > clamp_.hi ? clamp_.hi : v;
        });
  }

 private:
  WindowAttrs attrs_;
  int group_;
  Clamp clamp_;
};

int32_t read_8bit(const void* data, DType type, int64_t i) { return type == DType::u8 ? static_cast<const uint8_t*>(data)[i] : static_cast<const int8_t*>(data)[i]; }

/// conv_integer (x, w, x_zp?, w_zp?) and qlinear_conv (x, x_scale, x_zp, w, w_scale, w_zp, y_scale, y_zp, bias?).
class IntegerConv final : public Op {
 public:
  explicit IntegerConv(CreateContext& ctx) : attrs_(ctx.attrs()), group_(ctx.attrs().bounded("group", 1, 1, 1 << 30)), qlinear_(ctx.kind == "qlinear_conv") {}
  void prepare(PrepareContext& ctx) const override {
    const int w_at = qlinear_ ? 3 : 1;
    if (!is_8bit(ctx.dtype(0)) || !is_8bit(ctx.dtype(w_at))) reject("operands must be u8 or i8");
    const Shape y = prepare_conv(ctx, attrs_, group_, 0, w_at);
    const auto zeros = [&](int i, DType type, bool many) {
      if (!ctx.has(i)) return;
      ctx.expect(i, type);
      if (ctx.input(i).count() != 1 && !(many && ctx.input(i).count() == y[1])) reject_shape("operand " + std::to_string(i) + " is " + ctx.input(i).to_string());
    };
    zeros(2, ctx.dtype(0), false);
    zeros(qlinear_ ? 5 : 3, ctx.dtype(w_at), true);
    if (!qlinear_) {
      ctx.output(0, DType::i32, y);
      return;
    }
    for (int i : {1, 4, 6}) {
      ctx.expect(i, DType::f32);
      if (ctx.input(i).count() != 1 && !(i == 4 && ctx.input(i).count() == y[1])) reject_shape("operand " + std::to_string(i) + " is " + ctx.input(i).to_string());
    }
    if (!is_8bit(ctx.dtype(7)) || ctx.input(7).count() != 1) reject("operand 7 must be one u8 or i8 zero point");
    if (ctx.has(8)) {
      ctx.expect(8, DType::i32);
      if (ctx.shape(8) != Shape{y[1]}) reject_shape("the bias must be [" + std::to_string(y[1]) + "], it is " + ctx.shape(8).to_string());
    }
    ctx.output(0, ctx.dtype(7), y);
  }
  void run(RunContext& ctx) const override {
    const Window& w = ctx.state<WindowState>().window;
    const Shape& x = ctx.input(0).shape;
    const int w_at = qlinear_ ? 3 : 1;
    const int w_zero = qlinear_ ? 5 : 3;
    const DType x_type = ctx.input(0).dtype;
    const DType w_type = ctx.input(w_at).dtype;
    const int64_t outputs = ctx.output(0).shape[1];
    const int64_t per_output = ctx.input(w_at).count() / std::max<int64_t>(outputs, 1);
    const int32_t x_zp = ctx.has(2) ? read_8bit(ctx.in[2], x_type, 0) : 0;
    const bool many = ctx.has(w_zero) && ctx.input(w_zero).count() > 1;
    convolve<uint32_t>(
        ctx, w, x[0], x[1], outputs, group_,
        [&](int64_t i, int64_t k) {
          const int32_t zero = ctx.has(w_zero) ? read_8bit(ctx.in[w_zero], w_type, many ? k / per_output : 0) : 0;
          return static_cast<uint32_t>((read_8bit(ctx.in[0], x_type, i) - x_zp) * (read_8bit(ctx.in[w_at], w_type, k) - zero));
        },
        [&](int64_t at, int64_t o, uint32_t sum) {
          if (!qlinear_) {
            ctx.dst<int32_t>(0)[at] = static_cast<int32_t>(sum);
            return;
          }
          if (ctx.has(8)) sum += static_cast<uint32_t>(ctx.src<int32_t>(8)[o]);
          const float multiplier = (*ctx.src<float>(1) * ctx.src<float>(4)[ctx.input(4).count() > 1 ? o : 0]) / *ctx.src<float>(6);
          const float v = std::nearbyint(static_cast<float>(static_cast<int32_t>(sum)) * multiplier);
          const bool is_unsigned = ctx.output(0).dtype == DType::u8;
          const float low = is_unsigned ? 0.0f : -128.0f;
          const float high = is_unsigned ? 255.0f : 127.0f;
          const float zero = static_cast<float>(read_8bit(ctx.in[7], ctx.output(0).dtype, 0));
          const float q = v != v ? zero : std::min(std::max(std::min(std::max(v, -131072.0f), 131072.0f) + zero, low), high);
          if (is_unsigned) ctx.dst<uint8_t>(0)[at] = static_cast<uint8_t>(q);
          else ctx.dst<int8_t>(0)[at] = static_cast<int8_t>(q);
        });
  }

 private:
  WindowAttrs attrs_;
  int group_;
  bool qlinear_;
};

class ConvTranspose final : public Op {
 public:
  explicit ConvTranspose(CreateContext& ctx) : attrs_(ctx.attrs()), group_(ctx.attrs().bounded("group", 1, 1, 1 << 30)), clamp_(read_activation(ctx.attrs())) {
    output_padding_ = ctx.attrs().integers("output_padding", {});
    output_shape_ = ctx.attrs().integers("output_shape", {});
  }
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    ctx.expect(1, DType::f32);
    const Shape& x = ctx.shape(0);
    const Shape& weights = ctx.shape(1);
    if (weights.rank() != x.rank() || x.rank() < 3 || weights[0] != x[1] || x[1] % group_ != 0) reject_shape("the input " + x.to_string() + " and the weights " + weights.to_string() + " do not fit");
    auto state = std::make_unique<WindowState>();
    Window& w = state->window;
    w = attrs_.over(x, spatial(weights));
    const size_t n = static_cast<size_t>(w.rank);
    std::vector<int64_t> shape = output_shape_;
    if (shape.size() == n + 2) shape.erase(shape.begin(), shape.begin() + 2);  // some files give all dimensions
    if ((!output_padding_.empty() && output_padding_.size() != n) || (!shape.empty() && shape.size() != n)) reject("output_padding or output_shape do not have one value per spatial dimension");
    for (size_t i = 0; i < n; ++i) {
      const size_t a = kSpatial - n + i;
      const int64_t extra = output_padding_.empty() ? 0 : output_padding_[i];
      if (extra < 0 || extra >= (int64_t{1} << 31)) reject("output_padding holds " + std::to_string(extra));
      if (w.in[a] == 0) reject_shape("the input " + x.to_string() + " has empty images");
      checked_bytes(DType::u8, Shape{w.in[a], w.stride[a]});
      const int64_t full = (w.in[a] - 1) * w.stride[a] + extra + (w.kernel[a] - 1) * w.dilation[a] + 1;
      if (!shape.empty() || attrs_.auto_pad() == "SAME_UPPER" || attrs_.auto_pad() == "SAME_LOWER") {
        w.out[a] = shape.empty() ? w.in[a] * w.stride[a] : shape[i];
        if (w.out[a] < 0 || w.out[a] > kMaxTensorBytes) reject("output_shape holds " + std::to_string(w.out[a]));
        const int64_t total = full - w.out[a];
        const int64_t positive = std::max<int64_t>(total, 0);
        w.begin[a] = attrs_.auto_pad() == "SAME_UPPER" ? positive / 2 : positive - positive / 2;
      } else {
        w.out[a] = full - w.begin[a] - w.end[a];
        if (w.out[a] < 0) reject_shape("the padding leaves no result for an input of " + x.to_string());
      }
    }
    const int64_t outputs = weights[1] * group_;
    const Shape y = result_shape(w, x[0], outputs);
    if (ctx.has(2)) {
      ctx.expect(2, DType::f32);
      if (ctx.shape(2) != Shape{outputs}) reject_shape("the bias must be [" + std::to_string(outputs) + "], it is " + ctx.shape(2).to_string());
    }
    ctx.output(0, DType::f32, y);
    ctx.state = std::move(state);
  }
  void run(RunContext& ctx) const override {
    const Window& w = ctx.state<WindowState>().window;
    const Shape& x = ctx.input(0).shape;
    const int64_t outputs = ctx.output(0).shape[1];
    const int64_t group_outputs = outputs / group_;
    const int64_t group_channels = x[1] / group_;
    parallel(ctx.pool(), static_cast<size_t>(x[0] * outputs), 1, [&](size_t begin, size_t end, int) {
      for (size_t r = begin; r < end; ++r) {
        const int64_t n = static_cast<int64_t>(r) / outputs;
        const int64_t o = static_cast<int64_t>(r) % outputs;
        const int64_t first = o / group_outputs * group_channels;
        for_each_position(w.out, [&](int64_t at, const std::array<int64_t, kSpatial>& position) {
          // Output position p takes tap k from input (p + pad - k * dilation) / stride where that is whole.
          double sum = ctx.has(2) ? static_cast<double>(ctx.src<float>(2)[o]) : 0;
          int64_t tap = 0;
          std::array<int64_t, kSpatial> k{};
          for (k[0] = 0; k[0] < w.kernel[0]; ++k[0]) {
            for (k[1] = 0; k[1] < w.kernel[1]; ++k[1]) {
              for (k[2] = 0; k[2] < w.kernel[2]; ++k[2], ++tap) {
                std::array<int64_t, kSpatial> from{};
                bool inside = true;
                for (size_t a = 0; a < kSpatial; ++a) {
                  const int64_t v = position[a] + w.begin[a] - k[a] * w.dilation[a];
                  inside = inside && v >= 0 && v % w.stride[a] == 0 && v / w.stride[a] < w.in[a];
                  from[a] = v / w.stride[a];
                }
                if (!inside) continue;
                const int64_t pixel = (from[0] * w.in[1] + from[1]) * w.in[2] + from[2];
                for (int64_t c = first; c < first + group_channels; ++c) {
                  sum += static_cast<double>(ctx.src<float>(0)[(n * x[1] + c) * w.in_count() + pixel]) *
                         static_cast<double>(ctx.src<float>(1)[(c * group_outputs + o % group_outputs) * w.taps() + tap]);
                }
              }
            }
          }
          float v = static_cast<float>(sum);
          v = v < clamp_.lo ? clamp_.lo : v;
          ctx.dst<float>(0)[static_cast<int64_t>(r) * w.out_count() + at] = v > clamp_.hi ? clamp_.hi : v;
        });
      }
    });
  }

 private:
  WindowAttrs attrs_;
  int group_;
  Clamp clamp_;
  std::vector<int64_t> output_padding_, output_shape_;
};

class Pool final : public Op {
 public:
  explicit Pool(CreateContext& ctx) : attrs_(ctx.attrs()) {
    global_ = ctx.kind.rfind("global_", 0) == 0;
    kind_ = ctx.kind.find("max") != std::string::npos ? 'm' : ctx.kind.find("average") != std::string::npos ? 'a' : 'l';
    count_pad_ = ctx.attrs().flag("count_include_pad", false);
    p_ = ctx.attrs().number("p", 2);
    if (!(p_ > 0)) reject("p must be greater than 0");
    if (ctx.attrs().integer("storage_order", 0) != 0) reject("storage_order 1 is not supported");
    if (!global_ && attrs_.kernel().empty()) reject("attribute kernel_shape is missing");
  }
  void prepare(PrepareContext& ctx) const override {
    const DType type = ctx.dtype(0);
    if (type != DType::f32 && !(kind_ == 'm' && is_8bit(type))) reject(std::string("an operand of the type ") + name_of(type));
    const Shape& x = ctx.shape(0);
    auto state = std::make_unique<WindowState>();
    if (global_) {
      if (x.rank() < 3 || x.rank() > 5) reject_shape("the input must have one to three spatial dimensions, it is " + x.to_string());
      state->window.rank = x.rank() - 2;
      for (int i = 2; i < x.rank(); ++i) {
        const size_t a = kSpatial - static_cast<size_t>(x.rank() - i);
        state->window.in[a] = state->window.kernel[a] = x[i];
        if (x[i] == 0) reject_shape("the input " + x.to_string() + " has empty images");
      }
    } else {
      state->window = attrs_.over(x, attrs_.kernel());
      attrs_.finish(state->window);
    }
    const Shape y = result_shape(state->window, x[0], x[1]);
    ctx.output(0, type, y);
    ctx.output(1, DType::i64, y);
    ctx.state = std::move(state);
  }
  void run(RunContext& ctx) const override {
    switch (ctx.input(0).dtype) {
      case DType::f32: run_as<float>(ctx); break;
      case DType::u8: run_as<uint8_t>(ctx); break;
      default: run_as<int8_t>(ctx); break;
    }
  }

 private:
  template <typename T>
  void run_as(RunContext& ctx) const {
    const Window& w = ctx.state<WindowState>().window;
    const Shape& x = ctx.input(0).shape;
    parallel(ctx.pool(), static_cast<size_t>(x[0] * x[1]), 1, [&](size_t begin, size_t end, int) {
      for (size_t r = begin; r < end; ++r) {
        const int64_t plane = static_cast<int64_t>(r) * w.in_count();
        const T* from = ctx.src<T>(0) + plane;
        for_each_position(w.out, [&](int64_t at, const std::array<int64_t, kSpatial>& position) {
          double sum = 0;
          int64_t count = 0;
          T best = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
          int64_t best_at = -1;
          for_each_tap(w, position, [&](int64_t i, int64_t) {
            const T v = from[i];
            ++count;
            if (kind_ == 'm') {
              if (best_at < 0 || v > best || (v != v && best == best)) {
                best = v;
                best_at = i;
              }
            } else {
              sum += kind_ == 'a' ? static_cast<double>(v) : std::pow(std::fabs(static_cast<double>(v)), p_);
            }
          });
          const int64_t to = static_cast<int64_t>(r) * w.out_count() + at;
          if (kind_ == 'm') {
            if (ctx.wants(0)) ctx.dst<T>(0)[to] = best;
            if (ctx.wants(1)) ctx.dst<int64_t>(1)[to] = plane + best_at;
          } else if (kind_ == 'a') {
            if (count_pad_) {
              // A window of ceil_mode may reach beyond the padding; what lies there does not count.
              count = 1;
              for (size_t a = 0; a < kSpatial; ++a) {
                int64_t n = 0;
                for (int64_t k = 0; k < w.kernel[a]; ++k) n += position[a] * w.stride[a] - w.begin[a] + k * w.dilation[a] < w.in[a] + w.end[a];
                count *= n;
              }
            }
            ctx.dst<T>(0)[to] = static_cast<T>(count == 0 ? 0.0 : sum / static_cast<double>(count));
          } else {
            ctx.dst<T>(0)[to] = static_cast<T>(std::pow(sum, 1 / p_));
          }
        });
      }
    });
  }
  WindowAttrs attrs_;
  bool global_, count_pad_;
  char kind_;
  double p_;
};

constexpr OpKind kOps[] = {
    {"conv", 2, 4, 1, 1, create_op<Conv>},
    {"conv_integer", 2, 4, 1, 1, create_op<IntegerConv>},
    {"qlinear_conv", 8, 9, 1, 1, create_op<IntegerConv>},
    {"conv_transpose", 2, 3, 1, 1, create_op<ConvTranspose>},
    {"max_pool", 1, 1, 1, 2, create_op<Pool>},
    {"average_pool", 1, 1, 1, 1, create_op<Pool>},
    {"lp_pool", 1, 1, 1, 1, create_op<Pool>},
    {"global_max_pool", 1, 1, 1, 1, create_op<Pool>},
    {"global_average_pool", 1, 1, 1, 1, create_op<Pool>},
};

}  // namespace

OpList window_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec

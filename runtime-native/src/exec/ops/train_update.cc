// Gradients of element-wise ops and of max pooling, fake quantization, and optimizers.
#include <atomic>

#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

void expect_same(PrepareContext& ctx, int count) {
  for (int i = 0; i < count; ++i) {
    ctx.expect(i, DType::f32);
    if (ctx.shape(i) != ctx.shape(0)) reject_shape("operand " + std::to_string(i) + " is " + ctx.shape(i).to_string() + ", operand 0 is " + ctx.shape(0).to_string());
  }
}

void expect_scalar(PrepareContext& ctx, int i) {
  if (!ctx.has(i)) return;
  ctx.expect(i, DType::f32);
  if (ctx.shape(i).count() != 1) reject_shape("operand " + std::to_string(i) + " must be a single number, it is " + ctx.shape(i).to_string());
}

class ReluBackward final : public Op {
 public:
  explicit ReluBackward(CreateContext& ctx) : kernel_(*ctx.kernels().training) {}
  void prepare(PrepareContext& ctx) const override {
    expect_same(ctx, 2);
    ctx.output(0, DType::f32, ctx.shape(0));
    ctx.inplace_with = {0, 1};
  }
  void run(RunContext& ctx) const override {
    parallel(ctx.pool(), static_cast<size_t>(ctx.output(0).count()), 16384, [&](size_t begin, size_t end, int) {
      kernel_.relu_backward(end - begin, ctx.src<float>(0) + begin, ctx.src<float>(1) + begin, ctx.dst<float>(0) + begin);
    });
  }

 private:
  const TrainingF32Variant& kernel_;
};

/// Which elements are dropped is a function of the seed, the step and the element's place: the gradient draws the same mask again.
class Dropout final : public Op {
 public:
  explicit Dropout(CreateContext& ctx) : kernel_(*ctx.kernels().training) {
    ratio_ = ctx.attrs().number("ratio");
    if (!(ratio_ >= 0 && ratio_ < 1)) reject("ratio is " + std::to_string(ratio_) + "; it must be from 0 to below 1");
    seed_ = static_cast<uint32_t>(ctx.attrs().bounded("seed", 0, 0, std::numeric_limits<int32_t>::max()));
  }
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    expect_scalar(ctx, 1);
    ctx.output(0, DType::f32, ctx.shape(0));
    ctx.inplace_with = {0};
  }
  void run(RunContext& ctx) const override {
    const float step = *ctx.src<float>(1);
    DropoutF32 d{};
    d.key = dropout_mix(seed_ + dropout_mix(step >= 0 && step < 4294967296.0f ? static_cast<uint32_t>(step) : 0));
    d.second = dropout_mix(d.key);
    d.threshold = static_cast<uint32_t>(std::min(std::ceil(ratio_ * 4294967296.0), 4294967295.0));
    d.scale = static_cast<float>(1 / (1 - ratio_));
    parallel(ctx.pool(), static_cast<size_t>(ctx.output(0).count()), 16384,
             [&](size_t begin, size_t end, int) { kernel_.dropout(d, begin, end - begin, ctx.src<float>(0) + begin, ctx.dst<float>(0) + begin); });
  }

 private:
  const TrainingF32Variant& kernel_;
  double ratio_ = 0;
  uint32_t seed_ = 0;
};

/// Results y, and how many elements are not 0 and how many of these became 0.
class RoundHalf final : public Op {
 public:
  explicit RoundHalf(CreateContext& ctx) : kernel_(*ctx.kernels().half) {}
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    ctx.output(0, DType::f32, ctx.shape(0));
    ctx.output(1, DType::i64, Shape{2});
    ctx.inplace_with = {0};
  }
  void run(RunContext& ctx) const override {
    std::atomic<uint64_t> nonzero{0}, flushed{0};
    parallel(ctx.pool(), static_cast<size_t>(ctx.output(0).count()), 16384, [&](size_t begin, size_t end, int) {
      const HalfCounts part = kernel_.round(end - begin, ctx.src<float>(0) + begin, ctx.dst<float>(0) + begin);
      nonzero += part.nonzero;
      flushed += part.flushed;
    });
    ctx.dst<int64_t>(1)[0] = static_cast<int64_t>(nonzero);
    ctx.dst<int64_t>(1)[1] = static_cast<int64_t>(flushed);
  }

 private:
  const HalfF32Variant& kernel_;
};

class MaxPoolBackward final : public Op {
 public:
  explicit MaxPoolBackward(CreateContext& ctx) : window_(read_window(ctx.attrs())) {
    if (!ctx.attrs().flag("channels_last", false)) reject("the engine takes channels_last = 1");
    const std::vector<int64_t> kernel = ctx.attrs().integers("kernel_shape", {});
    if (kernel.size() != 2 || kernel[0] < 1 || kernel[1] < 1) reject("kernel_shape must have 2 values from 1 on");
    window_.kernel = {kernel[0], kernel[1]};
    ceil_ = ctx.attrs().flag("ceil_mode", false);
  }
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    ctx.expect(1, DType::f32);
    const Shape& x = ctx.shape(0);
    if (x.rank() != 4) reject_shape("x must be [N,H,W,C], it is " + x.to_string());
    const Shape y{x[0], window_output(x[1], window_.kernel[0], window_.stride[0], window_.dilation[0], window_.pads[0], window_.pads[2], ceil_),
                  window_output(x[2], window_.kernel[1], window_.stride[1], window_.dilation[1], window_.pads[1], window_.pads[3], ceil_), x[3]};
    if (ctx.shape(1) != y) reject_shape("dy is " + ctx.shape(1).to_string() + ", the pool of " + x.to_string() + " gives " + y.to_string());
    ctx.output(0, DType::f32, x);
  }
  void run(RunContext& ctx) const override {
    const Shape& x = ctx.input(0).shape;
    const Shape& y = ctx.input(1).shape;
    if (ctx.output(0).count() == 0) return;
    // Windows of one image may overlap, images do not.
    ctx.pool().parallel_for(static_cast<size_t>(x[0]), [&](size_t begin, size_t end, int) {
      for (size_t n = begin; n < end; ++n) image(x, y, ctx.src<float>(0) + n * static_cast<size_t>(x[1] * x[2] * x[3]), ctx.src<float>(1) + n * static_cast<size_t>(y[1] * y[2] * y[3]), ctx.dst<float>(0) + n * static_cast<size_t>(x[1] * x[2] * x[3]));
    });
  }

 private:
  void image(const Shape& x, const Shape& y, const float* in, const float* dy, float* dx) const {
    const int64_t channels = x[3];
    std::fill_n(dx, x[1] * x[2] * channels, 0.0f);
    for (int64_t oy = 0; oy < y[1]; ++oy) {
      for (int64_t ox = 0; ox < y[2]; ++ox) {
        for (int64_t c = 0; c < channels; ++c) {
          int64_t best = -1;
          for (int64_t ky = 0; ky < window_.kernel[0]; ++ky) {
            const int64_t iy = oy * window_.stride[0] + ky * window_.dilation[0] - window_.pads[0];
            if (iy < 0 || iy >= x[1]) continue;
            for (int64_t kx = 0; kx < window_.kernel[1]; ++kx) {
              const int64_t ix = ox * window_.stride[1] + kx * window_.dilation[1] - window_.pads[1];
              if (ix < 0 || ix >= x[2]) continue;
              const int64_t at = (iy * x[2] + ix) * channels + c;
              if (best < 0 || in[at] > in[best]) best = at;
            }
          }
          if (best >= 0) dx[best] += *dy;
          ++dy;
        }
      }
    }
  }

  Window2d window_;
  bool ceil_ = false;
};

/// Elements of x that share a scale, as runs: `outer` times `scales` runs of `inner` elements.
struct FakeQuantizeState : OpState {
  size_t outer = 1, scales = 1, inner = 0;
  size_t sums_at = 0;
};

/// What forward and backward share: operands x (`first`), scale, zero_point?.
class FakeQuantizeOp : public Op {
 public:
  explicit FakeQuantizeOp(CreateContext& ctx) : kernel_(*ctx.kernels().training) {
    low_ = static_cast<float>(ctx.attrs().integer("q_min"));
    high_ = static_cast<float>(ctx.attrs().integer("q_max"));
    axis_ = ctx.attrs().integer("axis", 0);
  }

 protected:
  static constexpr size_t kRun = 8192;  // elements of one piece of work; sums of gradients are taken over such pieces, whatever the number of threads

  std::unique_ptr<FakeQuantizeState> plan(PrepareContext& ctx, int first) const {
    for (int i = first; i < first + 3; ++i) {
      if (ctx.has(i)) ctx.expect(i, DType::f32);
    }
    const Shape& x = ctx.shape(first);
    const int64_t scales = ctx.shape(first + 1).count();
    if (scales != 1 && (x.rank() == 0 || x[normalize_axis(axis_, x.rank())] != scales)) reject_shape("there are " + std::to_string(scales) + " scales for an input of " + x.to_string());
    if (ctx.has(first + 2) && ctx.shape(first + 2).count() != scales) reject_shape("there must be as many zero points as scales");
    auto s = std::make_unique<FakeQuantizeState>();
    s->scales = static_cast<size_t>(scales);
    s->inner = static_cast<size_t>(scales == 1 ? x.count() : x.count(normalize_axis(axis_, x.rank()) + 1, x.rank()));
    s->outer = s->inner == 0 ? 0 : static_cast<size_t>(x.count()) / (s->scales * s->inner);
    return s;
  }
  FakeQuantizeF32 at(RunContext& ctx, int first, size_t c) const { return {ctx.src<float>(first + 1)[c], ctx.has(first + 2) ? ctx.src<float>(first + 2)[c] : 0.0f, low_, high_}; }
  /// Pieces of a run.
  static size_t pieces(const FakeQuantizeState& s) { return (s.inner + kRun - 1) / kRun; }
  /// body(scale, piece of that scale's runs, first element, elements), on many threads.
  template <typename F>
  static void each_piece(ThreadPool& pool, const FakeQuantizeState& s, F&& body) {
    const size_t parts = pieces(s);
    const size_t work = std::max<size_t>(1, kRun / std::max<size_t>(1, std::min(s.inner, kRun)));
    const size_t all = s.outer * s.scales * parts;
    parallel(pool, all, work, [&](size_t begin, size_t end, int) {
      for (size_t i = begin; i < end; ++i) {
        const size_t run = i / parts, part = i % parts, c = run % s.scales;
        body(c, run / s.scales * parts + part, run * s.inner + part * kRun, std::min(kRun, s.inner - part * kRun));
      }
    });
  }

  const TrainingF32Variant& kernel_;

 private:
  float low_ = 0, high_ = 0;
  int64_t axis_ = 0;
};

class FakeQuantize final : public FakeQuantizeOp {
 public:
  using FakeQuantizeOp::FakeQuantizeOp;
  void prepare(PrepareContext& ctx) const override {
    ctx.state = plan(ctx, 0);
    ctx.output(0, DType::f32, ctx.shape(0));
    ctx.inplace_with = {0};
  }
  void run(RunContext& ctx) const override {
    each_piece(ctx.pool(), ctx.state<FakeQuantizeState>(), [&](size_t c, size_t, size_t first, size_t n) { kernel_.fake_quantize(at(ctx, 0, c), n, ctx.src<float>(0) + first, ctx.dst<float>(0) + first); });
  }
};

/// Operands dy, x, scale, zero_point?; results dx, dscale?.
class FakeQuantizeBackward final : public FakeQuantizeOp {
 public:
  explicit FakeQuantizeBackward(CreateContext& ctx) : FakeQuantizeOp(ctx) { factor_ = static_cast<float>(ctx.attrs().number("lsq_gradient_scale", 1)); }
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    if (ctx.shape(0) != ctx.shape(1)) reject_shape("dy is " + ctx.shape(0).to_string() + ", x is " + ctx.shape(1).to_string());
    auto s = plan(ctx, 1);
    s->sums_at = ctx.scratch(s->outer * s->scales * pieces(*s) * kFakeQuantizeSums * sizeof(float));
    ctx.output(0, DType::f32, ctx.shape(1));
    if (ctx.wants(1)) ctx.output(1, DType::f32, ctx.shape(2));
    ctx.inplace_with = {0, 1};
    ctx.state = std::move(s);
  }
  void run(RunContext& ctx) const override {
    const FakeQuantizeState& s = ctx.state<FakeQuantizeState>();
    float* const sums = ctx.scratch<float>(s.sums_at);
    const size_t rows = s.outer * pieces(s);
    each_piece(ctx.pool(), s, [&](size_t c, size_t row, size_t first, size_t n) {
      float* const to = sums + (c * rows + row) * kFakeQuantizeSums;
      std::fill_n(to, kFakeQuantizeSums, 0.0f);
      kernel_.fake_quantize_backward(at(ctx, 1, c), n, ctx.src<float>(0) + first, ctx.src<float>(1) + first, ctx.dst<float>(0) + first, to);
    });
    if (!ctx.wants(1)) return;
    for (size_t c = 0; c < s.scales; ++c) {
      double sum = 0;
      for (size_t i = c * rows * kFakeQuantizeSums; i < (c + 1) * rows * kFakeQuantizeSums; ++i) sum += static_cast<double>(sums[i]);
      ctx.dst<float>(1)[c] = static_cast<float>(sum) * factor_;
    }
  }

 private:
  float factor_ = 1;
};

/// Operands parameter, gradient, velocity, rate, scale?.
class Sgd final : public Op {
 public:
  explicit Sgd(CreateContext& ctx) : kernel_(*ctx.kernels().training) {
    step_.momentum = static_cast<float>(ctx.attrs().number("momentum", 0));
    step_.weight_decay = static_cast<float>(ctx.attrs().number("weight_decay", 0));
    step_.nesterov = ctx.attrs().flag("nesterov", false);
  }
  void prepare(PrepareContext& ctx) const override {
    expect_same(ctx, 3);
    expect_scalar(ctx, 3);
    expect_scalar(ctx, 4);
    for (int i = 0; i < 2; ++i) ctx.output(i, DType::f32, ctx.shape(0));
    ctx.overwrites = {{0, 0}, {1, 2}};
  }
  void run(RunContext& ctx) const override {
    SgdF32 s = step_;
    s.rate = *ctx.src<float>(3);
    s.scale = ctx.has(4) ? *ctx.src<float>(4) : 1.0f;
    const bool skip = !std::isfinite(s.scale);
    parallel(ctx.pool(), static_cast<size_t>(ctx.input(0).count()), 8192, [&](size_t at, size_t end, int) {
      const size_t n = end - at;
      if (skip) {
        std::memmove(ctx.dst<float>(0) + at, ctx.src<float>(0) + at, n * sizeof(float));
        std::memmove(ctx.dst<float>(1) + at, ctx.src<float>(2) + at, n * sizeof(float));
        return;
      }
      kernel_.sgd(s, n, ctx.src<float>(0) + at, ctx.src<float>(1) + at, ctx.src<float>(2) + at, ctx.dst<float>(0) + at, ctx.dst<float>(1) + at);
    });
  }

 private:
  const TrainingF32Variant& kernel_;
  SgdF32 step_{};
};

/// Operands parameter, gradient, first moment, second moment, rate, step, scale?.
class Adam final : public Op {
 public:
  explicit Adam(CreateContext& ctx) : kernel_(*ctx.kernels().training) {
    beta1_ = ctx.attrs().number("beta1", 0.9);
    beta2_ = ctx.attrs().number("beta2", 0.999);
    step_.beta1 = static_cast<float>(beta1_);
    step_.beta2 = static_cast<float>(beta2_);
    step_.epsilon = static_cast<float>(ctx.attrs().number("epsilon", 1e-8));
    step_.weight_decay = static_cast<float>(ctx.attrs().number("weight_decay", 0));
    step_.decoupled = ctx.attrs().flag("decoupled", false);
  }
  void prepare(PrepareContext& ctx) const override {
    expect_same(ctx, 4);
    for (int i = 4; i < 7; ++i) expect_scalar(ctx, i);
    for (int i = 0; i < 3; ++i) ctx.output(i, DType::f32, ctx.shape(0));
    ctx.overwrites = {{0, 0}, {1, 2}, {2, 3}};
  }
  void run(RunContext& ctx) const override {
    AdamF32 s = step_;
    s.rate = *ctx.src<float>(4);
    s.scale = ctx.has(6) ? *ctx.src<float>(6) : 1.0f;
    const double t = static_cast<double>(*ctx.src<float>(5));
    s.correction1 = static_cast<float>(1 - std::pow(beta1_, t));
    s.root_correction2 = static_cast<float>(std::sqrt(1 - std::pow(beta2_, t)));
    const bool skip = !std::isfinite(s.scale);
    parallel(ctx.pool(), static_cast<size_t>(ctx.input(0).count()), 8192, [&](size_t at, size_t end, int) {
      const size_t n = end - at;
      if (skip) {
        for (int i = 0; i < 3; ++i) std::memmove(ctx.dst<float>(i) + at, ctx.src<float>(i == 0 ? 0 : i + 1) + at, n * sizeof(float));
        return;
      }
      kernel_.adam(s, n, ctx.src<float>(0) + at, ctx.src<float>(1) + at, ctx.src<float>(2) + at, ctx.src<float>(3) + at, ctx.dst<float>(0) + at, ctx.dst<float>(1) + at, ctx.dst<float>(2) + at);
    });
  }

 private:
  const TrainingF32Variant& kernel_;
  AdamF32 step_{};
  double beta1_ = 0, beta2_ = 0;
};

constexpr OpKind kOps[] = {
    {"train.dropout", 2, 2, 1, 1, create_op<Dropout>},
    {"train.relu_backward", 2, 2, 1, 1, create_op<ReluBackward>},
    {"train.round_half", 1, 1, 2, 2, create_op<RoundHalf>},
    {"train.max_pool_backward", 2, 2, 1, 1, create_op<MaxPoolBackward>},
    {"train.fake_quantize", 2, 3, 1, 1, create_op<FakeQuantize>},
    {"train.fake_quantize_backward", 3, 4, 1, 2, create_op<FakeQuantizeBackward>},
    {"train.sgd", 4, 5, 2, 2, create_op<Sgd>},
    {"train.adam", 6, 7, 3, 3, create_op<Adam>},
};

}  // namespace

OpList train_update_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec

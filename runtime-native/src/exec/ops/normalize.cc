// Softmax and normalizations.
#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

class Softmax final : public Op {
 public:
  explicit Softmax(CreateContext& ctx) : rows_(*ctx.kernels().rows), layout_(*ctx.kernels().layout), axis_(ctx.attrs().integer("axis", -1)) {
    kind_ = ctx.kind == "softmax" ? 's' : ctx.kind == "log_softmax" ? 'l' : 'h';
  }
  struct State : OpState {
    size_t outer = 1, dim = 1, inner = 1, turned = 0;
  };
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    const Shape& x = ctx.shape(0);
    if (x.rank() == 0) reject_shape("the input is a scalar");
    const int axis = normalize_axis(axis_, x.rank());
    auto state = std::make_unique<State>();
    state->outer = static_cast<size_t>(x.count(0, axis));
    state->dim = static_cast<size_t>(x[axis]);
    state->inner = static_cast<size_t>(x.count(axis + 1, x.rank()));
    if (state->inner > 1) state->turned = ctx.scratch(state->dim * state->inner * sizeof(float) * static_cast<size_t>(ctx.threads()));
    else ctx.inplace_with = {0};
    ctx.output(0, DType::f32, x);
    ctx.state = std::move(state);
  }
  void run(RunContext& ctx) const override {
    const State& s = ctx.state<State>();
    const float* x = ctx.src<float>(0);
    float* y = ctx.dst<float>(0);
    if (s.dim == 0 || s.inner == 0) return;
    if (s.inner == 1) {
      parallel(ctx.pool(), s.outer, 1 + 4096 / s.dim, [&](size_t begin, size_t end, int) { compute(end - begin, s.dim, x + begin * s.dim, y + begin * s.dim); });
      return;
    }
    const size_t block = s.dim * s.inner;
    parallel(ctx.pool(), s.outer, 1 + 4096 / block, [&](size_t begin, size_t end, int worker) {
      float* turned = ctx.scratch<float>(s.turned) + static_cast<size_t>(worker) * block;
      for (size_t o = begin; o < end; ++o) {
        layout_.transpose(sizeof(float), s.dim, s.inner, x + o * block, s.inner, turned, s.dim);
        compute(s.inner, s.dim, turned, turned);
        layout_.transpose(sizeof(float), s.inner, s.dim, turned, s.dim, y + o * block, s.inner);
      }
    });
  }

 private:
  void compute(size_t rows, size_t n, const float* x, float* y) const {
    if (kind_ == 's') rows_.softmax(rows, n, x, y);
    else if (kind_ == 'l') rows_.log_softmax(rows, n, x, y);
    else {
      for (size_t r = 0; r < rows; ++r) {
        size_t best = 0;
        for (size_t i = 1; i < n; ++i) best = x[r * n + i] > x[r * n + best] ? i : best;
        for (size_t i = 0; i < n; ++i) y[r * n + i] = 0;
        y[r * n + best] = 1;
      }
    }
  }
  const RowsF32Variant& rows_;
  const LayoutVariant& layout_;
  int64_t axis_;
  char kind_;
};

float read_epsilon(const Attrs& attrs) {
  const double epsilon = attrs.number("epsilon", 1e-5);
  if (!(epsilon >= 0) || !std::isfinite(epsilon)) reject("epsilon must be finite and not negative");
  return static_cast<float>(epsilon);
}

class LayerNorm final : public Op {
 public:
  explicit LayerNorm(CreateContext& ctx) : rows_(*ctx.kernels().rows), axis_(ctx.attrs().integer("axis", -1)), epsilon_(read_epsilon(ctx.attrs())) {}
  struct State : OpState {
    size_t rows = 0, n = 0;
    bool direct = true;  // scale and bias have exactly n elements
    BroadcastPlan scale, bias;
  };
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    const Shape& x = ctx.shape(0);
    const int axis = normalize_axis(axis_, x.rank());
    auto state = std::make_unique<State>();
    state->rows = static_cast<size_t>(x.count(0, axis));
    state->n = static_cast<size_t>(x.count(axis, x.rank()));
    Shape inner, statistics;
    for (int i = 0; i < x.rank(); ++i) statistics.push_back(i < axis ? x[i] : 1);
    for (int i = axis; i < x.rank(); ++i) inner.push_back(x[i]);
    for (int i = 1; i < 3; ++i) {
      if (!ctx.has(i)) continue;
      ctx.expect(i, DType::f32);
      if (broadcast(ctx.shape(i), x) != x) reject_shape("operand " + std::to_string(i) + " " + ctx.shape(i).to_string() + " does not broadcast to " + x.to_string());
      const Shape* operand = &ctx.shape(i);
      (i == 1 ? state->scale : state->bias) = plan_broadcast(x, &operand, 1);
      state->direct = state->direct && ctx.shape(i) == inner;
    }
    if (!ctx.wants(0)) reject("nobody wants the normalized tensor");
    ctx.output(0, DType::f32, x);
    ctx.output(1, DType::f32, statistics);
    ctx.output(2, DType::f32, statistics);
    ctx.inplace_with = {0};
    ctx.state = std::move(state);
  }
  void run(RunContext& ctx) const override {
    const State& s = ctx.state<State>();
    if (s.n == 0) {
      for (int i = 1; i < 3; ++i) {
        if (ctx.wants(i)) std::fill_n(ctx.dst<float>(i), s.rows, std::numeric_limits<float>::quiet_NaN());
      }
      return;
    }
    float* y = ctx.dst<float>(0);
    parallel(ctx.pool(), s.rows, 1 + 4096 / s.n, [&](size_t begin, size_t end, int) {
      rows_.layer_norm(end - begin, s.n, ctx.src<float>(0) + begin * s.n, s.direct ? ctx.src<float>(1) : nullptr, s.direct && ctx.has(2) ? ctx.src<float>(2) : nullptr, epsilon_,
                       y + begin * s.n, ctx.wants(1) ? ctx.dst<float>(1) + begin : nullptr, ctx.wants(2) ? ctx.dst<float>(2) + begin : nullptr);
    });
    if (s.direct) return;
    for (int i = 1; i < 3; ++i) {
      if (!ctx.has(i)) continue;
      const BroadcastPlan& plan = i == 1 ? s.scale : s.bias;
      const size_t last = static_cast<size_t>(plan.rank - 1);
      for_each_row(plan, 1, 0, s.rows * s.n / static_cast<size_t>(plan.dims[last]), [&](int64_t at, const auto& offsets, int64_t length) {
        const float* v = ctx.src<float>(i) + offsets[0];
        for (int64_t k = 0; k < length; ++k) y[at + k] = i == 1 ? y[at + k] * v[k * plan.strides[0][last]] : y[at + k] + v[k * plan.strides[0][last]];
      });
    }
  }

 private:
  const RowsF32Variant& rows_;
  int64_t axis_;
  float epsilon_;
};

/// instance_normalization, group_normalization: each group of channels of one sample is normalized, then scaled per channel.
class GroupNorm final : public Op {
 public:
  explicit GroupNorm(CreateContext& ctx) : rows_(*ctx.kernels().rows), instance_(ctx.kind == "instance_normalization"), epsilon_(read_epsilon(ctx.attrs())) {
    if (!instance_) groups_ = ctx.attrs().bounded("num_groups", 0, 1, 1 << 30);
  }
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    if (x.rank() < 2) reject_shape("the input must be [N,C,...], it is " + x.to_string());
    for (int i = 0; i < 3; ++i) ctx.expect(i, DType::f32);
    if (ctx.shape(1) != Shape{x[1]} || ctx.shape(2) != Shape{x[1]}) reject_shape("scale and bias must be [" + std::to_string(x[1]) + "]");
    if (!instance_ && x[1] % groups_ != 0) reject_shape(std::to_string(groups_) + " groups do not divide " + std::to_string(x[1]) + " channels");
    ctx.output(0, DType::f32, x);
    ctx.inplace_with = {0};
  }
  void run(RunContext& ctx) const override {
    const Shape& x = ctx.input(0).shape;
    if (x.count() == 0) return;
    const size_t channels = static_cast<size_t>(x[1]);
    const size_t groups = instance_ ? channels : static_cast<size_t>(groups_);
    const size_t plane = static_cast<size_t>(x.count(2, x.rank()));
    const size_t n = channels / groups * plane;
    const size_t rows = static_cast<size_t>(x[0]) * groups;
    parallel(ctx.pool(), rows, 1 + 4096 / n, [&](size_t begin, size_t end, int) {
      for (size_t r = begin; r < end; ++r) {
        float* y = ctx.dst<float>(0) + r * n;
        rows_.layer_norm(1, n, ctx.src<float>(0) + r * n, nullptr, nullptr, epsilon_, y, nullptr, nullptr);
        for (size_t c = 0; c < channels / groups; ++c) {
          const size_t channel = r % groups * (channels / groups) + c;
          const float scale = ctx.src<float>(1)[channel];
          const float bias = ctx.src<float>(2)[channel];
          for (size_t i = 0; i < plane; ++i) y[c * plane + i] = y[c * plane + i] * scale + bias;
        }
      }
    });
  }

 private:
  const RowsF32Variant& rows_;
  bool instance_;
  float epsilon_;
  int groups_ = 1;
};

class BatchNorm final : public Op {
 public:
  explicit BatchNorm(CreateContext& ctx) : epsilon_(read_epsilon(ctx.attrs())) {
    if (ctx.attrs().flag("training_mode", false)) reject("training mode is not supported; the engine runs inference");
  }
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    if (x.rank() < 1) reject_shape("the input must be [N,C,...], it is " + x.to_string());
    const int64_t channels = x.rank() == 1 ? 1 : x[1];
    for (int i = 0; i < 5; ++i) ctx.expect(i, DType::f32);
    for (int i = 1; i < 5; ++i) {
      if (ctx.shape(i) != Shape{channels}) reject_shape("operand " + std::to_string(i) + " must be [" + std::to_string(channels) + "], it is " + ctx.shape(i).to_string());
    }
    ctx.output(0, DType::f32, x);
    ctx.inplace_with = {0};
  }
  void run(RunContext& ctx) const override {
    const Shape& x = ctx.input(0).shape;
    if (x.count() == 0) return;
    const size_t channels = x.rank() == 1 ? 1 : static_cast<size_t>(x[1]);
    const size_t plane = x.rank() < 2 ? 1 : static_cast<size_t>(x.count(2, x.rank()));
    parallel(ctx.pool(), static_cast<size_t>(x[0]) * channels, 1 + 8192 / plane, [&](size_t begin, size_t end, int) {
      for (size_t r = begin; r < end; ++r) {
        const size_t c = r % channels;
        const float factor = ctx.src<float>(1)[c] / std::sqrt(ctx.src<float>(4)[c] + epsilon_);
        const float mean = ctx.src<float>(3)[c];
        const float bias = ctx.src<float>(2)[c];
        const float* from = ctx.src<float>(0) + r * plane;
        float* to = ctx.dst<float>(0) + r * plane;
        for (size_t i = 0; i < plane; ++i) to[i] = (from[i] - mean) * factor + bias;
      }
    });
  }

 private:
  float epsilon_;
};

constexpr OpKind kOps[] = {
    {"softmax", 1, 1, 1, 1, create_op<Softmax>},
    {"log_softmax", 1, 1, 1, 1, create_op<Softmax>},
    {"hardmax", 1, 1, 1, 1, create_op<Softmax>},
    {"layer_normalization", 2, 3, 1, 3, create_op<LayerNorm>},
    {"instance_normalization", 3, 3, 1, 1, create_op<GroupNorm>},
    {"group_normalization", 3, 3, 1, 1, create_op<GroupNorm>},
    {"batch_normalization", 5, 5, 1, 1, create_op<BatchNorm>},
};

}  // namespace

OpList normalize_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec

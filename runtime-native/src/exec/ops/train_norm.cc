// Normalizations of training graphs: batch statistics and gradients.
#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

constexpr size_t kBlock = 256;  // rows whose statistics are taken together

/// [rows][channels] of x; rejects layouts whose channels are not last.
void rows_of(const Shape& x, bool channels_last, size_t* rows, size_t* channels) {
  if (x.rank() < 2 || (!channels_last && x.rank() != 2)) reject_shape("the engine takes channels last (channels_last = 1) or [N,C], x is " + x.to_string());
  *channels = static_cast<size_t>(x[x.rank() - 1]);
  *rows = *channels == 0 ? 0 : static_cast<size_t>(x.count()) / *channels;
}

bool read_relu(const Attrs& attrs) {
  const std::string activation = attrs.text("activation", "");
  if (activation != "" && activation != "relu") reject("activation is \"" + activation + "\"; it may be relu");
  return activation == "relu";
}

void expect_vectors(PrepareContext& ctx, int first, int last, size_t channels) {
  for (int i = first; i <= last; ++i) {
    ctx.expect(i, DType::f32);
    if (ctx.shape(i) != Shape{static_cast<int64_t>(channels)}) reject_shape("operand " + std::to_string(i) + " must be [" + std::to_string(channels) + "], it is " + ctx.shape(i).to_string());
  }
}

struct NormState : OpState {
  size_t rows = 0, channels = 0, blocks = 0;
  size_t blocks_at = 0, vectors_at = 0;
};

std::unique_ptr<NormState> plan_rows(PrepareContext& ctx, const Shape& x, bool channels_last, size_t vectors) {
  auto s = std::make_unique<NormState>();
  rows_of(x, channels_last, &s->rows, &s->channels);
  s->blocks = (s->rows + kBlock - 1) / kBlock;
  s->blocks_at = ctx.scratch(3 * s->blocks * s->channels * sizeof(float));
  s->vectors_at = ctx.scratch(vectors * s->channels * sizeof(float));
  return s;
}

/// body(first row, rows, block) for each block.
template <typename F>
void each_block(ThreadPool& pool, const NormState& s, F&& body) {
  const auto range = [&](size_t begin, size_t end, int) {
    for (size_t b = begin; b < end; ++b) body(b * kBlock, std::min(kBlock, s.rows - b * kBlock), b);
  };
  if (s.blocks <= 1) range(0, s.blocks, 0);
  else pool.parallel_for(s.blocks, range);
}

class BatchNorm final : public Op {
 public:
  explicit BatchNorm(CreateContext& ctx) : kernel_(*ctx.kernels().batch_norm) {
    epsilon_ = ctx.attrs().number("epsilon", 1e-5);
    momentum_ = ctx.attrs().number("momentum", 0.9);
    channels_last_ = ctx.attrs().flag("channels_last", false);
    relu_ = read_relu(ctx.attrs());
  }

  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    const Shape& x = ctx.shape(0);
    auto s = plan_rows(ctx, x, channels_last_, 3);
    expect_vectors(ctx, 1, 4, s->channels);
    ctx.output(0, DType::f32, x);
    for (int i = 1; i < 5; ++i) {
      if (ctx.wants(i)) ctx.output(i, DType::f32, Shape{static_cast<int64_t>(s->channels)});
    }
    ctx.overwrites = {{1, 3}, {2, 4}};
    ctx.state = std::move(s);
  }

  void run(RunContext& ctx) const override {
    const NormState& s = ctx.state<NormState>();
    if (s.rows == 0) throw Error(codes::kRuntimeData, "a batch without elements has no statistics");
    const size_t channels = s.channels;
    const float* const x = ctx.src<float>(0);
    float* const blocks = ctx.scratch<float>(s.blocks_at);
    each_block(ctx.pool(), s, [&](size_t first, size_t rows, size_t b) {
      float* const to = blocks + 3 * b * channels;
      kernel_.moments(rows, channels, x + first * channels, to, to + channels, to + 2 * channels);
    });
    float* const factor = ctx.scratch<float>(s.vectors_at);
    float* const means = factor + channels;
    float* const inverses = means + channels;
    for (size_t c = 0; c < channels; ++c) {
      // Chan, Golub, LeVeque 1983.
      double count = 0, mean = 0, m2 = 0;
      for (size_t b = 0; b < s.blocks; ++b) {
        const double n = static_cast<double>(std::min(kBlock, s.rows - b * kBlock));
        const float* const block = blocks + 3 * b * channels + c;
        const double rest = static_cast<double>(block[channels]), delta = static_cast<double>(block[0]) + rest - mean, all = count + n;
        mean += delta * n / all;
        m2 += static_cast<double>(block[2 * channels]) - n * rest * rest + delta * delta * count * n / all;
        count = all;
      }
      const double variance = m2 / count, inv = 1.0 / std::sqrt(variance + epsilon_);
      means[c] = static_cast<float>(mean);
      inverses[c] = static_cast<float>(inv);
      factor[c] = ctx.src<float>(1)[c] * inverses[c];
      const double old_mean = static_cast<double>(ctx.src<float>(3)[c]), old_variance = static_cast<double>(ctx.src<float>(4)[c]);
      if (ctx.wants(1)) ctx.dst<float>(1)[c] = static_cast<float>(old_mean * momentum_ + mean * (1 - momentum_));
      if (ctx.wants(2)) ctx.dst<float>(2)[c] = static_cast<float>(old_variance * momentum_ + variance * (1 - momentum_));
      if (ctx.wants(3)) ctx.dst<float>(3)[c] = means[c];
      if (ctx.wants(4)) ctx.dst<float>(4)[c] = inverses[c];
    }
    const BatchNormF32 bn{channels, factor, ctx.src<float>(2), means, inverses, relu_};
    float* const y = ctx.dst<float>(0);
    each_block(ctx.pool(), s, [&](size_t first, size_t rows, size_t) { kernel_.normalize(bn, rows, x + first * channels, y + first * channels); });
  }

 private:
  const BatchNormF32Variant& kernel_;
  double epsilon_ = 0, momentum_ = 0;
  bool channels_last_ = false, relu_ = false;
};

class BatchNormBackward final : public Op {
 public:
  explicit BatchNormBackward(CreateContext& ctx) : kernel_(*ctx.kernels().batch_norm) {
    channels_last_ = ctx.attrs().flag("channels_last", false);
    relu_ = read_relu(ctx.attrs());
  }

  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    ctx.expect(1, DType::f32);
    const Shape& x = ctx.shape(1);
    if (ctx.shape(0) != x) reject_shape("dy is " + ctx.shape(0).to_string() + ", x is " + x.to_string());
    auto s = plan_rows(ctx, x, channels_last_, 3);
    expect_vectors(ctx, 2, 5, s->channels);
    ctx.output(0, DType::f32, x);
    for (int i = 1; i < 3; ++i) {
      if (ctx.wants(i)) ctx.output(i, DType::f32, Shape{static_cast<int64_t>(s->channels)});
    }
    ctx.inplace_with = {0, 1};
    ctx.state = std::move(s);
  }

  void run(RunContext& ctx) const override {
    const NormState& s = ctx.state<NormState>();
    const size_t channels = s.channels;
    const float* const dy = ctx.src<float>(0);
    const float* const x = ctx.src<float>(1);
    float* const factor = ctx.scratch<float>(s.vectors_at);
    float* const sum = factor + channels;
    float* const dot = sum + channels;
    // As BatchNorm computes it, so that the mask is that of its result.
    for (size_t c = 0; c < channels; ++c) factor[c] = ctx.src<float>(2)[c] * ctx.src<float>(5)[c];
    const BatchNormF32 bn{channels, factor, ctx.src<float>(3), ctx.src<float>(4), ctx.src<float>(5), relu_};
    float* const blocks = ctx.scratch<float>(s.blocks_at);
    each_block(ctx.pool(), s, [&](size_t first, size_t rows, size_t b) {
      kernel_.sums(bn, rows, dy + first * channels, x + first * channels, blocks + 2 * b * channels, blocks + (2 * b + 1) * channels);
    });
    for (size_t c = 0; c < channels; ++c) {
      double all = 0, product = 0;
      for (size_t b = 0; b < s.blocks; ++b) {
        all += static_cast<double>(blocks[2 * b * channels + c]);
        product += static_cast<double>(blocks[(2 * b + 1) * channels + c]);
      }
      const double n = static_cast<double>(s.rows);
      sum[c] = static_cast<float>(all / n);
      dot[c] = static_cast<float>(product / n);
      if (ctx.wants(1)) ctx.dst<float>(1)[c] = static_cast<float>(product);
      if (ctx.wants(2)) ctx.dst<float>(2)[c] = static_cast<float>(all);
    }
    if (!ctx.wants(0)) return;
    float* const dx = ctx.dst<float>(0);
    each_block(ctx.pool(), s, [&](size_t first, size_t rows, size_t) { kernel_.gradient(bn, rows, dy + first * channels, x + first * channels, sum, dot, dx + first * channels); });
  }

 private:
  const BatchNormF32Variant& kernel_;
  bool channels_last_ = false, relu_ = false;
};

/// Rows are split into at most kParts parts, whose number depends on shapes only, for the sums over rows.
class LayerNormBackward final : public Op {
 public:
  explicit LayerNormBackward(CreateContext& ctx) : kernel_(*ctx.kernels().rows) {
    axis_ = ctx.attrs().integer("axis", -1);
    epsilon_ = static_cast<float>(ctx.attrs().number("epsilon", 1e-5));
  }

  struct State : OpState {
    size_t rows = 0, size = 0, parts = 1, sums_at = 0, hat_at = 0, workers = 1;
  };

  void prepare(PrepareContext& ctx) const override {
    for (int i = 0; i < 3; ++i) {
      if (ctx.has(i)) ctx.expect(i, DType::f32);
    }
    const Shape& x = ctx.shape(1);
    if (ctx.shape(0) != x) reject_shape("dy is " + ctx.shape(0).to_string() + ", x is " + x.to_string());
    const int axis = normalize_axis(axis_, x.rank());
    Shape per;
    for (int i = axis; i < x.rank(); ++i) per.push_back(x[i]);
    if (ctx.has(2) && ctx.shape(2) != per) reject_shape("the scale must be " + per.to_string() + ", it is " + ctx.shape(2).to_string());
    ctx.output(0, DType::f32, x);
    for (int i = 1; i < 3; ++i) {
      if (ctx.wants(i)) ctx.output(i, DType::f32, per);
    }
    auto s = std::make_unique<State>();
    s->size = static_cast<size_t>(per.count());
    s->rows = s->size == 0 ? 0 : static_cast<size_t>(x.count()) / s->size;
    constexpr size_t kParts = 16;
    s->parts = std::max<size_t>(1, std::min(kParts, s->rows));
    s->sums_at = ctx.scratch(2 * s->parts * s->size * sizeof(float));
    s->hat_at = ctx.scratch(s->parts * s->size * sizeof(float));
    ctx.state = std::move(s);
  }

  void run(RunContext& ctx) const override {
    const State& s = ctx.state<State>();
    const size_t n = s.size;
    const float* const scale = ctx.has(2) ? ctx.src<float>(2) : nullptr;
    float* const sums = ctx.scratch<float>(s.sums_at);
    ctx.pool().parallel_for(s.parts, [&](size_t begin, size_t end, int) {
      for (size_t part = begin; part < end; ++part) {
        float* const dscale = sums + 2 * part * n;
        float* const dbias = dscale + n;
        float* const hat = ctx.scratch<float>(s.hat_at) + part * n;
        std::fill(dscale, dscale + 2 * n, 0.0f);
        for (size_t r = s.rows * part / s.parts; r < s.rows * (part + 1) / s.parts; ++r) row(n, ctx.src<float>(0) + r * n, ctx.src<float>(1) + r * n, scale, hat, dscale, dbias, ctx.dst<float>(0) + r * n);
      }
    });
    for (int i = 1; i < 3; ++i) {
      if (!ctx.wants(i)) continue;
      float* const to = ctx.dst<float>(i);
      for (size_t c = 0; c < n; ++c) {
        double sum = 0;
        for (size_t part = 0; part < s.parts; ++part) sum += static_cast<double>(sums[(2 * part + static_cast<size_t>(i) - 1) * n + c]);
        to[c] = static_cast<float>(sum);
      }
    }
  }

 private:
  void row(size_t n, const float* dy, const float* x, const float* scale, float* hat, float* dscale, float* dbias, float* dx) const {
    float inv = 0;
    kernel_.layer_norm(1, n, x, nullptr, nullptr, epsilon_, hat, nullptr, &inv);
    double sum = 0, dot = 0;
    for (size_t i = 0; i < n; ++i) {
      const float g = scale == nullptr ? dy[i] : dy[i] * scale[i];
      sum += static_cast<double>(g);
      dot += static_cast<double>(g * hat[i]);
      dscale[i] += dy[i] * hat[i];
      dbias[i] += dy[i];
    }
    const float mean = static_cast<float>(sum / static_cast<double>(n)), along = static_cast<float>(dot / static_cast<double>(n));
    for (size_t i = 0; i < n; ++i) dx[i] = inv * ((scale == nullptr ? dy[i] : dy[i] * scale[i]) - mean - hat[i] * along);
  }

  const RowsF32Variant& kernel_;
  int64_t axis_ = -1;
  float epsilon_ = 0;
};

constexpr OpKind kOps[] = {
    {"train.batch_norm", 5, 5, 5, 5, create_op<BatchNorm>},
    {"train.batch_norm_backward", 6, 6, 3, 3, create_op<BatchNormBackward>},
    {"train.layer_norm_backward", 2, 3, 1, 3, create_op<LayerNormBackward>},
};

}  // namespace

OpList train_norm_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec

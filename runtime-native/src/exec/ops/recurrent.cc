// lstm, gru and rnn of ONNX with their default activations.
#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

/// Operands: x, w, r, b?, sequence_lens?, initial_h?, then for lstm initial_c?, p?.
/// Input products of all steps are one GEMM per direction; the recurrence is one GEMM per step.
class Recurrent final : public Op {
 public:
  explicit Recurrent(CreateContext& ctx) : gemm_(*ctx.kernels().gemm_f32) {
    const Attrs& attrs = ctx.attrs();
    kind_ = ctx.kind[0];
    gates_ = kind_ == 'l' ? 4 : kind_ == 'g' ? 3 : 1;
    const std::string direction = attrs.text("direction", "forward");
    if (direction != "forward" && direction != "reverse" && direction != "bidirectional") reject("direction is \"" + direction + "\"");
    directions_ = direction == "bidirectional" ? 2 : 1;
    reverse_ = direction == "reverse";
    layout_ = attrs.bounded("layout", 0, 0, 1);
    linear_before_reset_ = attrs.flag("linear_before_reset", false);
    coupled_ = attrs.flag("input_forget", false);
    clip_ = static_cast<float>(attrs.number("clip", std::numeric_limits<double>::infinity()));
    if (!(clip_ > 0)) reject("clip must be greater than 0");
    hidden_attr_ = attrs.integer("hidden_size", -1);
    const std::vector<std::string> names = attrs.texts("activations");
    const std::vector<std::string> defaults = kind_ == 'l' ? std::vector<std::string>{"Sigmoid", "Tanh", "Tanh"} : kind_ == 'g' ? std::vector<std::string>{"Sigmoid", "Tanh"} : std::vector<std::string>{"Tanh"};
    for (size_t i = 0; i < names.size(); ++i) {
      std::string want = defaults[i % defaults.size()];
      if (names[i] != want) reject("the activation " + names[i] + " is not supported; the engine has the default activations");
    }
    if (!names.empty() && names.size() != defaults.size() * static_cast<size_t>(directions_)) reject("activations has " + std::to_string(names.size()) + " names");
    for (const int i : {1, 2}) {
      if (!ctx.is_constant(i)) continue;
      const Constant& w = ctx.constant(i, "weights");
      if (w.type.dtype != DType::f32 || w.type.shape.rank() != 3 || w.type.count() == 0) continue;
      pack_all(w.type.shape, w.as<float>(), i == 1 ? packed_w_ : packed_r_);
      ctx.absorb(i);
    }
  }

  struct State : OpState {
    size_t steps = 0, batch = 0, input = 0, hidden = 0;
    size_t gates_at = 0, recurrent_at = 0, h_at = 0, c_at = 0, packed_w_at = 0, packed_r_at = 0, x_at = 0, candidate_at = 0;
  };

  void prepare(PrepareContext& ctx) const override {
    for (int i = 0; i < 3; ++i) ctx.expect(i, DType::f32);
    const Shape& x = ctx.shape(0);
    const Shape& w = ctx.shape(1);
    const Shape& r = ctx.shape(2);
    if (x.rank() != 3 || w.rank() != 3 || r.rank() != 3) reject_shape("the operands must have 3 dimensions");
    auto s = std::make_unique<State>();
    const int64_t steps = x[layout_ == 0 ? 0 : 1];
    const int64_t batch = x[layout_ == 0 ? 1 : 0];
    const int64_t hidden = r[2];
    if (hidden_attr_ >= 0 && hidden_attr_ != hidden) reject("hidden_size is " + std::to_string(hidden_attr_) + ", the weights have " + std::to_string(hidden));
    if (hidden < 1 || hidden > (1 << 24) || w != Shape{directions_, gates_ * hidden, x[2]} || r != Shape{directions_, gates_ * hidden, hidden}) {
      reject_shape("the weights " + w.to_string() + " and " + r.to_string() + " do not fit the input " + x.to_string());
    }
    const auto expect_shape = [&](int i, const Shape& want, DType type) {
      if (!ctx.has(i)) return;
      ctx.expect(i, type);
      if (ctx.shape(i) != want) reject_shape("operand " + std::to_string(i) + " must be " + want.to_string() + ", it is " + ctx.shape(i).to_string());
    };
    const Shape initial = layout_ == 0 ? Shape{directions_, batch, hidden} : Shape{batch, directions_, hidden};
    expect_shape(3, Shape{directions_, 2 * gates_ * hidden}, DType::f32);
    expect_shape(4, Shape{batch}, DType::i32);
    expect_shape(5, initial, DType::f32);
    if (kind_ == 'l') {
      expect_shape(6, initial, DType::f32);
      expect_shape(7, Shape{directions_, 3 * hidden}, DType::f32);
    }
    ctx.output(0, DType::f32, layout_ == 0 ? Shape{steps, directions_, batch, hidden} : Shape{batch, steps, directions_, hidden});
    ctx.output(1, DType::f32, initial);
    ctx.output(2, DType::f32, initial);
    s->steps = static_cast<size_t>(steps);
    s->batch = static_cast<size_t>(batch);
    s->input = static_cast<size_t>(x[2]);
    s->hidden = static_cast<size_t>(hidden);
    const size_t width = static_cast<size_t>(gates_) * s->hidden;
    checked_bytes(DType::f32, Shape{steps, batch, static_cast<int64_t>(width)});
    s->gates_at = ctx.scratch(s->steps * s->batch * width * sizeof(float));
    s->recurrent_at = ctx.scratch(s->batch * width * sizeof(float));
    s->candidate_at = ctx.scratch(s->batch * s->hidden * sizeof(float));
    s->h_at = ctx.scratch(s->batch * s->hidden * sizeof(float));
    s->c_at = ctx.scratch(s->batch * s->hidden * sizeof(float));
    if (layout_ == 1) s->x_at = ctx.scratch(ctx.input(0).bytes());
    if (packed_w_.empty() && s->input != 0) s->packed_w_at = ctx.scratch(gemm_.packed_bytes(width, s->input));
    if (packed_r_.empty()) s->packed_r_at = ctx.scratch(packed_r_bytes(s->hidden));
    ctx.state = std::move(s);
  }

  void run(RunContext& ctx) const override {
    const State& s = ctx.state<State>();
    if (s.batch == 0) return;
    const size_t width = static_cast<size_t>(gates_) * s.hidden;
    const float* x = ctx.src<float>(0);
    if (layout_ == 1) {
      float* turned = ctx.scratch<float>(s.x_at);
      for (size_t b = 0; b < s.batch; ++b) {
        for (size_t t = 0; t < s.steps && s.input != 0; ++t) std::memcpy(turned + (t * s.batch + b) * s.input, x + (b * s.steps + t) * s.input, s.input * sizeof(float));
      }
      x = turned;
    }
    if (ctx.has(4)) {
      for (size_t b = 0; b < s.batch; ++b) {
        const int32_t n = ctx.src<int32_t>(4)[b];
        if (n < 0 || static_cast<size_t>(n) > s.steps) throw Error(codes::kRuntimeData, "a sequence length of " + std::to_string(n) + " with " + std::to_string(s.steps) + " steps");
      }
    }
    if (ctx.wants(0) && ctx.has(4)) std::memset(ctx.out[0], 0, ctx.output(0).bytes());
    for (size_t d = 0; d < static_cast<size_t>(directions_); ++d) run_direction(ctx, s, x, d, width);
  }

  size_t packed_bytes() const override { return bytes_; }

 private:
  using Packed = std::vector<std::shared_ptr<void>>;

  /// Recurrent weights are packed as one matrix, and for gru with reset before the product the candidate's rows apart.
  bool split_candidate() const { return kind_ == 'g' && !linear_before_reset_; }
  size_t packed_r_bytes(size_t hidden) const {
    if (!split_candidate()) return gemm_.packed_bytes(static_cast<size_t>(gates_) * hidden, hidden);
    return gemm_.packed_bytes(2 * hidden, hidden) + gemm_.packed_bytes(hidden, hidden);
  }
  void pack_r(size_t hidden, const float* r, char* to) const {
    if (!split_candidate()) {
      gemm_.pack(static_cast<size_t>(gates_) * hidden, hidden, r, hidden, 1, to);
      return;
    }
    gemm_.pack(2 * hidden, hidden, r, hidden, 1, to);
    gemm_.pack(hidden, hidden, r + 2 * hidden * hidden, hidden, 1, to + gemm_.packed_bytes(2 * hidden, hidden));
  }

  void pack_all(const Shape& shape, const float* w, Packed& into) {
    const size_t rows = static_cast<size_t>(shape[1]);
    const size_t cols = static_cast<size_t>(shape[2]);
    const bool recurrent = &into == &packed_r_;
    if (recurrent && rows != cols * static_cast<size_t>(gates_)) return reject("the recurrent weights " + shape.to_string() + " do not fit");
    const size_t bytes = recurrent ? packed_r_bytes(cols) : gemm_.packed_bytes(rows, cols);
    for (size_t d = 0; d < static_cast<size_t>(shape[0]); ++d) {
      into.push_back(allocate_aligned(bytes));
      bytes_ += bytes;
      if (recurrent) pack_r(cols, w + d * rows * cols, static_cast<char*>(into.back().get()));
      else gemm_.pack(rows, cols, w + d * rows * cols, cols, 1, into.back().get());
    }
  }

  void multiply(ThreadPool& pool, size_t m, size_t n, size_t k, const float* a, const void* packed, const float* bias, float* c, size_t ldc) const {
    GemmF32Args args;
    args.m = m;
    args.n = n;
    args.k = k;
    args.a = a;
    args.lda = k;
    args.packed_b = packed;
    args.c = c;
    args.ldc = ldc;
    args.epilogue.bias = bias;
    run_tiles(pool, m, n, gemm_.m_step, gemm_.n_step, m * n * k, [&](size_t m0, size_t m1, size_t n0, size_t n1) { gemm_.gemm(args, m0, m1, n0, n1); });
  }

  float limited(float v) const { return v > clip_ ? clip_ : v < -clip_ ? -clip_ : v; }

  void run_direction(RunContext& ctx, const State& s, const float* x, size_t d, size_t width) const {
    const size_t h = s.hidden;
    float* gates = ctx.scratch<float>(s.gates_at);
    float* recurrent = ctx.scratch<float>(s.recurrent_at);
    float* candidate = ctx.scratch<float>(s.candidate_at);
    float* hidden = ctx.scratch<float>(s.h_at);
    float* cell = ctx.scratch<float>(s.c_at);
    const float* bias_w = ctx.has(3) ? ctx.src<float>(3) + d * 2 * width : nullptr;
    const float* bias_r = bias_w == nullptr ? nullptr : bias_w + width;
    const char* packed_r;
    if (packed_r_.empty()) {
      pack_r(h, ctx.src<float>(2) + d * width * h, ctx.scratch<char>(s.packed_r_at));
      packed_r = ctx.scratch<char>(s.packed_r_at);
    } else {
      packed_r = static_cast<const char*>(packed_r_[d].get());
    }
    if (s.input == 0) {
      for (size_t i = 0; i < s.steps * s.batch * width; ++i) gates[i] = bias_w == nullptr ? 0.0f : bias_w[i % width];
    } else {
      const void* packed_w = nullptr;
      if (packed_w_.empty()) {
        gemm_.pack(width, s.input, ctx.src<float>(1) + d * width * s.input, s.input, 1, ctx.scratch<char>(s.packed_w_at));
        packed_w = ctx.scratch<char>(s.packed_w_at);
      } else {
        packed_w = packed_w_[d].get();
      }
      multiply(ctx.pool(), s.steps * s.batch, width, s.input, x, packed_w, bias_w, gates, width);
    }
    const auto initial_at = [&](size_t b) { return layout_ == 0 ? (d * s.batch + b) * h : (b * static_cast<size_t>(directions_) + d) * h; };
    for (size_t b = 0; b < s.batch; ++b) {
      for (size_t j = 0; j < h; ++j) {
        hidden[b * h + j] = ctx.has(5) ? ctx.src<float>(5)[initial_at(b) + j] : 0.0f;
        cell[b * h + j] = kind_ == 'l' && ctx.has(6) ? ctx.src<float>(6)[initial_at(b) + j] : 0.0f;
      }
    }
    const float* peephole = kind_ == 'l' && ctx.has(7) ? ctx.src<float>(7) + d * 3 * h : nullptr;
    const bool backwards = reverse_ || d == 1;
    for (size_t step = 0; step < s.steps; ++step) {
      // Sequences of their own length run backwards from their own end: the input step differs by sample.
      const auto length = [&](size_t b) { return ctx.has(4) ? static_cast<size_t>(ctx.src<int32_t>(4)[b]) : s.steps; };
      const size_t first = split_candidate() ? 2 * h : width;
      multiply(ctx.pool(), s.batch, first, h, hidden, packed_r, bias_r, recurrent, first);
      if (split_candidate()) {
        // The candidate sees the hidden state after the reset gate.
        for (size_t b = 0; b < s.batch; ++b) {
          if (step >= length(b)) continue;
          const size_t t = backwards ? length(b) - 1 - step : step;
          const float* g = gates + (t * s.batch + b) * width;
          for (size_t j = 0; j < h; ++j) candidate[b * h + j] = sigmoid(limited(g[h + j] + recurrent[b * first + h + j])) * hidden[b * h + j];
        }
        for (size_t b = 0; b < s.batch; ++b) {
          if (step >= length(b)) std::memset(candidate + b * h, 0, h * sizeof(float));
        }
        float* product = ctx.scratch<float>(s.recurrent_at) + s.batch * 2 * h;
        multiply(ctx.pool(), s.batch, h, h, candidate, packed_r + gemm_.packed_bytes(2 * h, h), bias_r == nullptr ? nullptr : bias_r + 2 * h, product, h);
      }
      const float* product = recurrent + s.batch * 2 * h;
      for (size_t b = 0; b < s.batch; ++b) {
        if (step >= length(b)) continue;
        const size_t t = backwards ? length(b) - 1 - step : step;
        const float* g = gates + (t * s.batch + b) * width;
        const float* q = recurrent + b * first;
        float* hb = hidden + b * h;
        float* cb = cell + b * h;
        for (size_t j = 0; j < h; ++j) {
          if (kind_ == 'l') {
            // Order of the gates in ONNX: input, output, forget, cell.
            const float pi = peephole == nullptr ? 0.0f : peephole[j] * cb[j];
            const float pf = peephole == nullptr ? 0.0f : peephole[2 * h + j] * cb[j];
            const float i = sigmoid(limited(g[j] + q[j] + pi));
            const float f = coupled_ ? 1.0f - i : sigmoid(limited(g[2 * h + j] + q[2 * h + j] + pf));
            const float c = std::tanh(limited(g[3 * h + j] + q[3 * h + j]));
            cb[j] = f * cb[j] + i * c;
            const float po = peephole == nullptr ? 0.0f : peephole[h + j] * cb[j];
            const float o = sigmoid(limited(g[h + j] + q[h + j] + po));
            hb[j] = o * std::tanh(cb[j]);
          } else if (kind_ == 'g') {
            // Order: update, reset, hidden.
            const float z = sigmoid(limited(g[j] + q[j]));
            float n;
            if (split_candidate()) {
              n = std::tanh(limited(g[2 * h + j] + product[b * h + j]));
            } else {
              const float r = sigmoid(limited(g[h + j] + q[h + j]));
              n = std::tanh(limited(g[2 * h + j] + r * q[2 * h + j]));
            }
            hb[j] = (1.0f - z) * n + z * hb[j];
          } else {
            hb[j] = std::tanh(limited(g[j] + q[j]));
          }
        }
        if (ctx.wants(0)) {
          const size_t dirs = static_cast<size_t>(directions_);
          const size_t at = layout_ == 0 ? ((t * dirs + d) * s.batch + b) * h : ((b * s.steps + t) * dirs + d) * h;
          std::memcpy(ctx.dst<float>(0) + at, hb, h * sizeof(float));
        }
      }
    }
    for (size_t b = 0; b < s.batch; ++b) {
      if (ctx.wants(1)) std::memcpy(ctx.dst<float>(1) + initial_at(b), hidden + b * h, h * sizeof(float));
      if (ctx.wants(2)) std::memcpy(ctx.dst<float>(2) + initial_at(b), cell + b * h, h * sizeof(float));
    }
  }

  const GemmF32Variant& gemm_;
  char kind_;
  int gates_, directions_;
  bool reverse_, linear_before_reset_ = false, coupled_ = false;
  int layout_ = 0;
  float clip_;
  int64_t hidden_attr_;
  Packed packed_w_, packed_r_;
  size_t bytes_ = 0;
};

constexpr OpKind kOps[] = {
    {"lstm", 3, 8, 1, 3, create_op<Recurrent>},
    {"gru", 3, 6, 1, 2, create_op<Recurrent>},
    {"rnn", 3, 6, 1, 2, create_op<Recurrent>},
};

}  // namespace

OpList recurrent_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec

// Channels-last convolutions: cpu.conv, cpu.qconv, cpu.conv_transpose.
#include "exec/ops/common.h"
#include "exec/ops/lists.h"
#include "exec/ops/transposed.h"
#include "exec/ops/winograd.h"

namespace cec {
namespace {

/// Shapes and weights that cpu.conv and cpu.qconv share.
class ConvBase : public Op {
 protected:
  ConvBase(CreateContext& ctx, DType weight_type) {
    const Constant& w = ctx.constant(1, "weights");
    if (w.type.dtype != weight_type || w.type.shape.rank() != 4) reject("the weights must be " + std::string(name_of(weight_type)) + "[O,kh,kw,C/g], they are " + w.type.to_string());
    outputs_ = w.type.shape[0];
    window_ = read_window(ctx.attrs());
    window_.kernel = {w.type.shape[1], w.type.shape[2]};
    group_channels_ = w.type.shape[3];
    groups_ = ctx.attrs().bounded("group", 1, 1, 1 << 30);
    if (outputs_ % groups_ != 0) reject("there are " + std::to_string(outputs_) + " output channels, which " + std::to_string(groups_) + " groups do not divide");
    if (window_.kernel[0] < 1 || window_.kernel[1] < 1) reject("the weights " + w.type.to_string() + " have an empty kernel");
    depthwise_ = group_channels_ == 1 && groups_ > 1 && groups_ == outputs_;
  }

  int64_t taps() const { return window_.kernel[0] * window_.kernel[1]; }
  size_t group_outputs() const { return static_cast<size_t>(outputs_ / groups_); }

  struct State : OpState {
    TapTable taps;
    bool pointwise = false;
    size_t rows = 0;
    size_t channels = 0;
    size_t tap_channels = 0;  // elements that one tap reads
    size_t batch_stride = 0;
    size_t work = 0;
    // A stem's image with its padding, where a kernel row is one tap.
    bool padded = false;
    size_t padded_at = 0;     // scratch
    size_t batch = 0, in_h = 0, in_row = 0, padded_h = 0, padded_row = 0, slack = 0;  // rows in elements
    WinogradSchedule winograd;
  };

  /// Output shape and, unless the op does without, the tap table.
  Shape prepare_geometry(PrepareContext& ctx, bool wants_taps = true) const {
    const Shape& x = ctx.shape(0);
    if (x.rank() != 4) reject_shape("the input must be [N,H,W,C], it is " + x.to_string());
    if (x[3] != group_channels_ * groups_) {
      reject_shape("the input " + x.to_string() + " has " + std::to_string(x[3]) + " channels, the weights take " + std::to_string(group_channels_ * groups_));
    }
    const int64_t out_h = window_output(x[1], window_.kernel[0], window_.stride[0], window_.dilation[0], window_.pads[0], window_.pads[2], false);
    const int64_t out_w = window_output(x[2], window_.kernel[1], window_.stride[1], window_.dilation[1], window_.pads[1], window_.pads[3], false);
    Shape y{x[0], out_h, out_w, outputs_};
    checked_bytes(DType::f32, y);
    auto state = std::make_unique<State>();
    state->rows = static_cast<size_t>(x[0] * out_h * out_w);
    state->channels = static_cast<size_t>(x[3]);
    state->batch_stride = static_cast<size_t>(x[1] * x[2] * x[3]);
    state->work = state->rows * static_cast<size_t>(outputs_ * taps() * group_channels_);
    const bool unpadded = window_.pads == std::array<int64_t, 4>{0, 0, 0, 0};
    state->pointwise = !depthwise_ && taps() == 1 && unpadded && window_.stride == std::array<int64_t, 2>{1, 1};
    state->tap_channels = static_cast<size_t>(group_channels_);
    if (wants_taps && whole_rows()) plan_rows(ctx, *state, x, out_h, out_w);
    else if (!state->pointwise && wants_taps) state->taps = make_taps(window_, x[1], x[2], out_h, out_w, x[3]);
    ctx.state = std::move(state);
    return y;
  }

  bool fits_winograd() const { return cec::fits_winograd(window_, groups_) && group_channels_ > 0 && outputs_ > 0; }

  WinogradProblem winograd_problem(int64_t in_h, int64_t in_w) const { return winograd_problem_of(window_, in_h, in_w, group_channels_, outputs_); }

  /// The `algorithm` attribute. Winograd forms that are asked for by name must fit.
  std::string read_algorithm(const CreateContext& ctx) const {
    const std::string algorithm = ctx.attrs().text("algorithm", "auto");
    if (algorithm != "auto" && algorithm != "direct" && algorithm != "winograd_f2" && algorithm != "winograd_f4") {
      reject("algorithm is \"" + algorithm + "\"; it may be auto, direct, winograd_f2 or winograd_f4");
    }
    if (algorithm[0] == 'w' && !fits_winograd()) reject("algorithm is \"" + algorithm + "\", which takes a 3 x 3 kernel, stride 1, no dilation and no groups");
    return algorithm;
  }

  /// The cost model's problem, where the image's size is declared: weights are packed when the program is loaded.
  std::optional<WinogradProblem> declared_winograd(const CreateContext& ctx) const {
    const std::vector<int64_t>& x = ctx.operands[0].dims;
    if (!fits_winograd() || x.size() != 4 || x[1] + window_.pads[0] + window_.pads[2] < 3 || x[2] + window_.pads[1] + window_.pads[3] < 3 || x[1] < 1 || x[2] < 1) return std::nullopt;
    return winograd_problem(x[1], x[2]);
  }

  /// With few channels, as in a stem, a kernel row is one tap of width * channels neighbouring elements. Padding would break the rows, so the image is
  /// copied into a padded one first.
  bool whole_rows() const { return !depthwise_ && groups_ == 1 && group_channels_ < 16 && window_.kernel[1] > 1 && window_.dilation[1] == 1; }

  /// Elements that a tap of a whole row reads: integer kernels take four at a time, so more weights of zero make it a multiple of that.
  size_t row_channels() const {
    const size_t row = static_cast<size_t>(window_.kernel[1] * group_channels_);
    return (row + tap_granule_ - 1) / tap_granule_ * tap_granule_;
  }

  void plan_rows(PrepareContext& ctx, State& state, const Shape& x, int64_t out_h, int64_t out_w) const {
    const std::array<int64_t, 4>& pads = window_.pads;
    const int64_t padded_h = x[1] + pads[0] + pads[2], padded_w = x[2] + pads[1] + pads[3];
    Window2d rows = window_;
    rows.kernel[1] = 1;
    rows.pads = {0, 0, 0, 0};
    state.tap_channels = row_channels();
    // A tap that is longer than its kernel row reads past the last one.
    const size_t slack = state.tap_channels - static_cast<size_t>(window_.kernel[1] * group_channels_);
    state.padded = slack != 0 || pads != std::array<int64_t, 4>{0, 0, 0, 0};
    state.batch = static_cast<size_t>(x[0]);
    state.in_h = static_cast<size_t>(x[1]);
    state.in_row = static_cast<size_t>(x[2] * x[3]);
    state.padded_h = static_cast<size_t>(padded_h);
    state.padded_row = static_cast<size_t>(padded_w * x[3]);
    state.batch_stride = state.padded_h * state.padded_row;
    const size_t bytes = checked_bytes(ctx.dtype(0), Shape{x[0], padded_h, padded_w, x[3]});
    state.slack = slack;
    if (state.padded) state.padded_at = ctx.scratch(bytes + slack * size_of(ctx.dtype(0)));
    state.taps = make_taps(rows, padded_h, padded_w, out_h, out_w, x[3]);
  }

  /// The image that the taps address: `x`, or its padded copy.
  template <typename T>
  const T* tapped_image(RunContext& ctx, const State& state, const T* x, T padding) const {
    if (!state.padded) return x;
    T* const image = ctx.scratch<T>(state.padded_at);
    const size_t top = static_cast<size_t>(window_.pads[0]), left = static_cast<size_t>(window_.pads[1] * group_channels_);
    parallel(ctx.pool(), state.batch * state.padded_h, 64, [&](size_t begin, size_t end, int) {
      for (size_t row = begin; row < end; ++row) {
        T* const to = image + row * state.padded_row;
        const size_t y = row % state.padded_h;
        if (y < top || y >= top + state.in_h) {
          std::fill(to, to + state.padded_row, padding);
          continue;
        }
        std::fill(to, to + left, padding);
        if (state.in_row != 0) std::memcpy(to + left, x + (row / state.padded_h * state.in_h + y - top) * state.in_row, state.in_row * sizeof(T));
        std::fill(to + left + state.in_row, to + state.padded_row, padding);
      }
    });
    std::fill_n(image + state.batch * state.batch_stride, state.slack, padding);
    return image;
  }

  Window2d window_;
  int64_t outputs_ = 0, group_channels_ = 0, groups_ = 1;
  bool depthwise_ = false;
  size_t tap_granule_ = 1;
  std::shared_ptr<void> packed_;
  size_t packed_bytes_ = 0;  // of all groups

 public:
  size_t packed_bytes() const override { return packed_bytes_; }
};

class Conv final : public ConvBase {
 public:
  explicit Conv(CreateContext& ctx) : ConvBase(ctx, DType::f32), gemm_(float_gemm(ctx)), dwconv_(*ctx.kernels().dwconv_f32) {
    clamp_ = read_activation(ctx.attrs());
    if (ctx.has(2)) {
      const Constant& bias = ctx.constant(2, "bias");
      if (bias.type.dtype != DType::f32 || bias.type.shape != Shape{outputs_}) reject("the bias must be f32[" + std::to_string(outputs_) + "], it is " + bias.type.to_string());
      bias_.assign(bias.as<float>(), bias.as<float>() + outputs_);
      ctx.absorb(2);
    }
    const float* w = ctx.constant(1, "weights").as<float>();
    const size_t taps = static_cast<size_t>(this->taps());
    const size_t k = taps * static_cast<size_t>(group_channels_);
    if (depthwise_ && wants_bf16(ctx.attrs())) reject("precision is \"bf16\", which depthwise convolutions do not have");
    if (depthwise_) {
      packed_bytes_ = dwconv_.packed_bytes(static_cast<size_t>(outputs_), taps);
      packed_ = allocate_aligned(packed_bytes_);
      dwconv_.pack(static_cast<size_t>(outputs_), taps, w, packed_.get());
    } else if (const std::optional<WinogradTile> tile = winograd_form(ctx); tile.has_value()) {
      winograd_.emplace(*tile, static_cast<size_t>(group_channels_), static_cast<size_t>(outputs_), ctx.kernels());
      packed_bytes_ = winograd_->packed_bytes();
      packed_ = allocate_aligned(packed_bytes_);
      std::vector<float> transformed(winograd_->transformed_bytes() / sizeof(float));
      winograd_->transform(w, transformed.data(), 0, static_cast<size_t>(outputs_));
      winograd_->pack(transformed.data(), packed_.get(), 0, winograd_->matrices());
    } else if (k != 0 && outputs_ != 0) {
      stride_ = gemm_.packed_bytes(group_outputs(), k);
      packed_bytes_ = stride_ * static_cast<size_t>(groups_);
      packed_ = allocate_aligned(packed_bytes_);
      for (size_t g = 0; g < static_cast<size_t>(groups_); ++g) gemm_.pack(group_outputs(), k, w + g * group_outputs() * k, k, 1, packed_group(g));
    }
    zeros_.assign(static_cast<size_t>(group_channels_ * groups_) + 16, 0.0f);
    ctx.absorb(1);
  }

  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    const Shape y = prepare_geometry(ctx, !winograd_.has_value());
    if (winograd_.has_value()) {
      const Shape& x = ctx.shape(0);
      static_cast<State&>(*ctx.state).winograd = winograd_->plan(winograd_problem(x[1], x[2]), static_cast<size_t>(x[0]), ctx);
    }
    if (ctx.has(3)) {
      ctx.expect(3, DType::f32);
      if (ctx.shape(3) != y) reject_shape("the residual " + ctx.shape(3).to_string() + " does not have the result's shape " + y.to_string());
      ctx.inplace_with = {3};
    }
    ctx.output(0, DType::f32, y);
  }

  void run(RunContext& ctx) const override {
    const State& state = ctx.state<State>();
    const float* x = ctx.src<float>(0);
    float* y = ctx.dst<float>(0);
    const size_t ld = static_cast<size_t>(outputs_);
    if (winograd_.has_value() && state.rows != 0) {
      winograd_->run(state.winograd, packed_.get(), x, zeros_.data(), y, epilogue_at(ctx, 0), ctx);
      return;
    }
    if (packed_ == nullptr || state.rows == 0) {
      // No input channels.
      fill_rows(ctx.pool(), epilogue_at(ctx, 0), state.rows, ld, y);
      return;
    }
    for (size_t g = 0; g < static_cast<size_t>(groups_); ++g) {
      const size_t at = g * group_outputs();
      const EpilogueF32 epilogue = epilogue_at(ctx, at);
      if (depthwise_) {
        DwconvF32Args args;
        args.rows = state.rows;
        args.taps = state.taps.taps_for(state.channels, state.batch_stride);
        args.base = x;
        args.zero = zeros_.data();
        args.packed_w = packed_.get();
        args.c = y;
        args.ldc = ld;
        args.epilogue = epilogue;
        parallel(ctx.pool(), state.rows, 16, [&](size_t begin, size_t end, int) { dwconv_.dwconv(args, begin, end); });
        return;
      }
      if (state.pointwise) {
        GemmF32Args args;
        args.m = state.rows;
        args.n = group_outputs();
        args.k = static_cast<size_t>(group_channels_);
        args.a = x + g * static_cast<size_t>(group_channels_);
        args.lda = state.channels;
        args.packed_b = packed_group(g);
        args.c = y + at;
        args.ldc = ld;
        args.epilogue = epilogue;
        run_tiles(ctx.pool(), args.m, args.n, gemm_.m_step, gemm_.n_step, state.work,
                  [&](size_t m0, size_t m1, size_t n0, size_t n1) { gemm_.gemm(args, m0, m1, n0, n1); });
        continue;
      }
      ConvF32Args args;
      args.rows = state.rows;
      args.n = group_outputs();
      args.taps = state.taps.taps_for(state.tap_channels, state.batch_stride);
      args.base = tapped_image(ctx, state, x, 0.0f) + g * static_cast<size_t>(group_channels_);
      args.zero = zeros_.data();
      args.packed_b = packed_group(g);
      args.c = y + at;
      args.ldc = ld;
      args.epilogue = epilogue;
      run_tiles(ctx.pool(), args.rows, args.n, gemm_.m_step, gemm_.n_step, state.work,
                [&](size_t m0, size_t m1, size_t n0, size_t n1) { gemm_.conv(args, m0, m1, n0, n1); });
    }
  }

 private:
  void* packed_group(size_t g) const { return static_cast<char*>(packed_.get()) + g * stride_; }

  EpilogueF32 epilogue_at(RunContext& ctx, size_t channel) const {
    EpilogueF32 epilogue;
    epilogue.bias = bias_.empty() ? nullptr : bias_.data() + channel;
    epilogue.residual = ctx.has(3) ? ctx.src<float>(3) + channel : nullptr;
    epilogue.ld_residual = static_cast<size_t>(outputs_);
    epilogue.lo = clamp_.lo;
    epilogue.hi = clamp_.hi;
    return epilogue;
  }

  /// The form to use; `algorithm` overrides the cost model.
  std::optional<WinogradTile> winograd_form(const CreateContext& ctx) const {
    const std::string algorithm = read_algorithm(ctx);
    if (wants_bf16(ctx.attrs())) {
      if (algorithm[0] == 'w') reject("algorithm is \"" + algorithm + "\", which bf16 does not have: its transforms would round once more");
      return std::nullopt;
    }
    if (algorithm == "winograd_f2") return WinogradTile::f2;
    if (algorithm == "winograd_f4") return WinogradTile::f4;
    const std::optional<WinogradProblem> problem = declared_winograd(ctx);
    if (algorithm == "direct" || !problem.has_value()) return std::nullopt;
    return choose_winograd(*problem, ctx.kernels().gemm_f32->isa);
  }

  const GemmF32Variant& gemm_;
  const DwconvF32Variant& dwconv_;
  Clamp clamp_;
  std::vector<float> bias_, zeros_;
  size_t stride_ = 0;
  std::optional<WinogradConv> winograd_;
};

/// Scales and epilogue of cpu.qconv and cpu.qgemm.
struct QuantizedWeights {
  DType x_type, y_type;
  int32_t x_zp = 0;
  EpilogueQ epilogue;
  std::vector<int32_t> bias;
  std::vector<float> multiplier;

  QuantizedWeights(CreateContext& ctx, int64_t outputs) {
    x_type = ctx.dtype(0);
    if (!is_8bit(x_type)) reject(std::string("the input must be u8 or i8, it is ") + name_of(x_type));
    const Attrs& attrs = ctx.attrs();
    y_type = read_y_type(attrs, x_type, true);
    const float x_scale = read_scale(attrs, "x_scale");
    x_zp = read_zero_point(attrs, "x_zp", x_type);
    const Constant& scales = ctx.constant(3, "w_scale");
    const int64_t count = scales.type.count();
    if (scales.type.dtype != DType::f32 || scales.type.shape.rank() > 1 || (count != 1 && count != outputs)) {
      reject("w_scale must be f32[" + std::to_string(outputs) + "] or f32[1], it is " + scales.type.to_string());
    }
    const float y_scale = y_type == DType::f32 ? 1.0f : read_scale(attrs, "y_scale");
    multiplier.resize(static_cast<size_t>(outputs));
    for (size_t c = 0; c < multiplier.size(); ++c) {
      const float w_scale = scales.as<float>()[count == 1 ? 0 : c];
      if (!std::isfinite(w_scale) || w_scale < 0) reject("w_scale holds " + std::to_string(w_scale) + "; scales must be finite and not negative");
      const float product = x_scale * w_scale;
      multiplier[c] = y_type == DType::f32 ? product : product / y_scale;
    }
    ctx.absorb(3);
    if (ctx.has(2)) {
      const Constant& b = ctx.constant(2, "bias");
      if (b.type.dtype != DType::i32 || b.type.shape != Shape{outputs}) reject("the bias must be i32[" + std::to_string(outputs) + "], it is " + b.type.to_string());
      bias.assign(b.as<int32_t>(), b.as<int32_t>() + outputs);
      ctx.absorb(2);
    }
    if (y_type == DType::f32) {
      const Clamp clamp = read_activation(attrs);
      epilogue.out = QOut::f32;
      epilogue.lo = clamp.lo;
      epilogue.hi = clamp.hi;
    } else {
      epilogue.out = y_type == DType::u8 ? QOut::u8 : QOut::s8;
      epilogue.y_zp = read_zero_point(attrs, "y_zp", y_type);
      read_q_range(attrs, y_type, &epilogue.q_min, &epilogue.q_max);
    }
    epilogue.bias = bias.empty() ? nullptr : bias.data();
    epilogue.multiplier = multiplier.data();
  }
  QuantizedWeights(const QuantizedWeights&) = delete;

  EpilogueQ epilogue_at(size_t channel) const {
    EpilogueQ part = epilogue;
    if (part.bias != nullptr) part.bias += channel;
    part.multiplier += channel;
    return part;
  }
};

/// The addition behind a convolution: its own result, still in the cache, plus a residual, as cpu.qadd adds them.
struct ResidualSum {
  const Quantize8Variant& kernels;
  QParams y, residual, sum;
  int32_t q_min = 0, q_max = 255;
  bool residual_first;  // the roundings of an addition depend on the order of its operands

  ResidualSum(const CreateContext& ctx, const QuantizedWeights& q) : kernels(*ctx.kernels().quantize) {
    const Attrs& attrs = ctx.attrs();
    if (!is_8bit(q.y_type) || !is_8bit(ctx.dtype(4))) reject(std::string("a residual is added in u8 or i8; it is ") + name_of(ctx.dtype(4)) + ", the result " + name_of(q.y_type));
    const DType type = read_y_type(attrs, q.y_type, false, "sum_type");
    y = read_params(attrs, "y", q.y_type);
    residual = read_params(attrs, "residual", ctx.dtype(4));
    sum = read_params(attrs, "sum", type);
    read_q_range(attrs, type, &q_min, &q_max, "sum");
    residual_first = attrs.bounded("residual_first", 0, 0, 1) == 1;
  }

  DType type() const { return sum.type == Q8::u8 ? DType::u8 : DType::i8; }

  /// Rows [m0, m1) of columns [n0, n1), rows `ld` apart, in place.
  void add(uint8_t* c, const uint8_t* with, size_t ld, size_t m0, size_t m1, size_t n0, size_t n1) const {
    const auto run = [&](size_t at, size_t count) {
      if (residual_first) kernels.add(count, with + at, false, residual, c + at, false, y, sum, q_min, q_max, c + at);
      else kernels.add(count, c + at, false, y, with + at, false, residual, sum, q_min, q_max, c + at);
    };
    if (n1 - n0 == ld) return run(m0 * ld, (m1 - m0) * ld);
    for (size_t m = m0; m < m1; ++m) run(m * ld + n0, n1 - n0);
  }
};

class QConv final : public ConvBase {
 public:
  explicit QConv(CreateContext& ctx)
      : ConvBase(ctx, DType::i8), gemm_(*ctx.kernels().gemm_q), dwconv_(*ctx.kernels().dwconv_q), q_(ctx, outputs_) {
    if (ctx.has(4)) sum_.emplace(ctx, q_);
    const int8_t* w = ctx.constant(1, "weights").as<int8_t>();
    const size_t taps = static_cast<size_t>(this->taps());
    const size_t channels = static_cast<size_t>(group_channels_);
    if (channels == 0 || outputs_ == 0) reject("the weights have no elements");
    if (depthwise_) {
      packed_bytes_ = dwconv_.packed_bytes(static_cast<size_t>(outputs_), taps);
      packed_ = allocate_aligned(packed_bytes_);
      dwconv_.pack(static_cast<size_t>(outputs_), taps, w, packed_.get());
    } else if (winograd_form(ctx)) {
      winograd_.emplace(channels, static_cast<size_t>(outputs_), w, q_.epilogue.bias, ctx.kernels());
      packed_bytes_ = winograd_->bytes();
    } else if (whole_rows()) {
      tap_granule_ = 4;
      const size_t rows = static_cast<size_t>(window_.kernel[0]), row = static_cast<size_t>(window_.kernel[1]) * channels, padded = row_channels(), n = static_cast<size_t>(outputs_);
      std::vector<int8_t> wide(n * rows * padded);
      for (size_t i = 0; i < n * rows; ++i) std::memcpy(wide.data() + i * padded, w + i * row, row);
      packed_bytes_ = gemm_.packed_bytes(n, rows, padded);
      packed_ = allocate_aligned(packed_bytes_);
      gemm_.pack(n, rows, padded, wide.data(), rows * padded, 1, packed_.get());
    } else {
      stride_ = gemm_.packed_bytes(group_outputs(), taps, channels);
      packed_bytes_ = stride_ * static_cast<size_t>(groups_);
      packed_ = allocate_aligned(packed_bytes_);
      for (size_t g = 0; g < static_cast<size_t>(groups_); ++g) {
        gemm_.pack(group_outputs(), taps, channels, w + g * group_outputs() * taps * channels, taps * channels, 1, packed_group(g));
      }
    }
    zeros_.assign(static_cast<size_t>(group_channels_ * groups_) + 64, static_cast<uint8_t>(q_.x_zp));
    ctx.absorb(1);
  }

  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, q_.x_type);
    const Shape y = prepare_geometry(ctx, !winograd_.has_value());
    if (winograd_.has_value()) {
      const Shape& x = ctx.shape(0);
      static_cast<State&>(*ctx.state).winograd = winograd_->plan(winograd_problem(x[1], x[2]), static_cast<size_t>(x[0]), ctx);
    }
    if (sum_.has_value()) {
      ctx.expect(4, sum_->residual.type == Q8::u8 ? DType::u8 : DType::i8);
      if (ctx.shape(4) != y) reject_shape("the residual " + ctx.shape(4).to_string() + " does not have the result's shape " + y.to_string());
    }
    ctx.output(0, sum_.has_value() ? sum_->type() : q_.y_type, y);
  }

  void run(RunContext& ctx) const override {
    const State& state = ctx.state<State>();
    const uint8_t* x = ctx.src<uint8_t>(0);
    char* y = ctx.dst<char>(0);
    const size_t element = size_of(q_.y_type);
    const size_t ld = static_cast<size_t>(outputs_);
    if (state.rows == 0) return;
    const uint8_t* const residual = sum_.has_value() ? ctx.src<uint8_t>(4) : nullptr;
    const auto add_all = [&] {
      if (residual == nullptr) return;
      parallel(ctx.pool(), state.rows, 1 + 16384 / ld, [&](size_t begin, size_t end, int) { sum_->add(ctx.dst<uint8_t>(0), residual, ld, begin, end, 0, ld); });
    };
    if (winograd_.has_value()) {
      winograd_->run(state.winograd, x, q8_of(q_.x_type), q_.x_zp, y, q_.epilogue, ctx);
      add_all();
      return;
    }
    if (depthwise_) {
      DwconvQArgs args;
      args.rows = state.rows;
      args.taps = state.taps.taps_for(state.channels, state.batch_stride);
      args.base = x;
      args.a_type = q8_of(q_.x_type);
      args.a_zp = q_.x_zp;
      args.zero = zeros_.data();
      args.packed_w = packed_.get();
      args.c = y;
      args.ldc = ld;
      args.epilogue = q_.epilogue;
      args.geometry = &state.taps.geometry;
      // Whole rows of the image: they share converted inputs.
      parallel(ctx.pool(), state.rows, std::max<size_t>(16, state.taps.geometry.out_w), [&](size_t begin, size_t end, int) { dwconv_.dwconv(args, begin, end); });
      add_all();
      return;
    }
    for (size_t g = 0; g < static_cast<size_t>(groups_); ++g) {
      const size_t at = g * group_outputs();
      // With a residual in chunks of rows, so that it is added while they are in the cache.
      const auto tiles = [&](const auto& kernel) {
        const size_t step = residual == nullptr ? state.rows : std::max<size_t>(1, kResidualBytes / ld / gemm_.m_step) * gemm_.m_step;
        run_tiles(ctx.pool(), state.rows, group_outputs(), gemm_.m_step, gemm_.n_step, state.work, [&](size_t m0, size_t m1, size_t n0, size_t n1) {
          for (size_t m = m0; m < m1; m += step) {
            const size_t end = std::min(m + step, m1);
            kernel(m, end, n0, n1);
            if (residual != nullptr) sum_->add(ctx.dst<uint8_t>(0), residual, ld, m, end, at + n0, at + n1);
          }
        });
      };
      if (state.pointwise) {
        GemmQArgs args;
        args.m = state.rows;
        args.n = group_outputs();
        args.k = static_cast<size_t>(group_channels_);
        args.a = x + g * static_cast<size_t>(group_channels_);
        args.a_type = q8_of(q_.x_type);
        args.a_zp = q_.x_zp;
        args.lda = state.channels;
        args.packed_b = packed_group(g);
        args.c = y + at * element;
        args.ldc = ld;
        args.epilogue = q_.epilogue_at(at);
        tiles([&](size_t m0, size_t m1, size_t n0, size_t n1) { gemm_.gemm(args, m0, m1, n0, n1); });
        continue;
      }
      ConvQArgs args;
      args.rows = state.rows;
      args.n = group_outputs();
      args.taps = state.taps.taps_for(state.tap_channels, state.batch_stride);
      args.base = tapped_image(ctx, state, x, static_cast<uint8_t>(q_.x_zp)) + g * static_cast<size_t>(group_channels_);
      args.a_type = q8_of(q_.x_type);
      args.a_zp = q_.x_zp;
      args.zero = zeros_.data();
      args.packed_b = packed_group(g);
      args.c = y + at * element;
      args.ldc = ld;
      args.epilogue = q_.epilogue_at(at);
      tiles([&](size_t m0, size_t m1, size_t n0, size_t n1) { gemm_.conv(args, m0, m1, n0, n1); });
    }
  }

 private:
  void* packed_group(size_t g) const { return static_cast<char*>(packed_.get()) + g * stride_; }

  /// Whether to use the integer form; `algorithm` overrides the cost model.
  bool winograd_form(const CreateContext& ctx) const {
    const std::string algorithm = read_algorithm(ctx);
    if (algorithm == "winograd_f4") reject("algorithm is \"winograd_f4\", which integers do not have: its transformed weights leave 16 bits");
    if (algorithm == "winograd_f2") {
      if (static_cast<size_t>(group_channels_) > kWinogradQChannels) reject("algorithm is \"winograd_f2\", which is exact up to " + std::to_string(kWinogradQChannels) + " channels");
      return true;
    }
    const std::optional<WinogradProblem> problem = declared_winograd(ctx);
    return algorithm == "auto" && problem.has_value() && choose_winograd_q(*problem, ctx.kernels().gemm_q->isa);
  }

  // Results between which and their addition a residual passes through the cache.
  static constexpr size_t kResidualBytes = 262144;

  const GemmQVariant& gemm_;
  const DwconvQVariant& dwconv_;
  QuantizedWeights q_;
  std::optional<ResidualSum> sum_;
  std::optional<WinogradQWeights> winograd_;
  std::vector<uint8_t> zeros_;
  size_t stride_ = 0;
};

class Gemm final : public Op {
 public:
  explicit Gemm(CreateContext& ctx) : gemm_(float_gemm(ctx)), clamp_(read_activation(ctx.attrs())) {
    const Constant& w = ctx.constant(1, "weights");
    if (w.type.dtype != DType::f32 || w.type.shape.rank() != 2) reject("the weights must be f32[N,K], they are " + w.type.to_string());
    n_ = static_cast<size_t>(w.type.shape[0]);
    k_ = static_cast<size_t>(w.type.shape[1]);
    if (n_ == 0 || k_ == 0) reject("the weights " + w.type.to_string() + " have no elements");
    if (ctx.has(2)) {
      const Constant& bias = ctx.constant(2, "bias");
      if (bias.type.dtype != DType::f32 || bias.type.shape != Shape{w.type.shape[0]}) reject("the bias must be f32[" + std::to_string(n_) + "], it is " + bias.type.to_string());
      bias_.assign(bias.as<float>(), bias.as<float>() + n_);
      ctx.absorb(2);
    }
    packed_bytes_ = gemm_.packed_bytes(n_, k_);
    packed_ = allocate_aligned(packed_bytes_);
    gemm_.pack(n_, k_, w.as<float>(), k_, 1, packed_.get());
    ctx.absorb(1);
  }

  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    Shape y = ctx.shape(0);
    if (y.rank() < 1 || y[y.rank() - 1] != static_cast<int64_t>(k_)) reject_shape("the last dimension of " + y.to_string() + " must be " + std::to_string(k_));
    y[y.rank() - 1] = static_cast<int64_t>(n_);
    if (ctx.has(3)) {
      ctx.expect(3, DType::f32);
      if (ctx.shape(3) != y) reject_shape("the residual " + ctx.shape(3).to_string() + " does not have the result's shape " + y.to_string());
      ctx.inplace_with = {3};
    }
    ctx.output(0, DType::f32, y);
  }

  void run(RunContext& ctx) const override {
    GemmF32Args args;
    args.m = static_cast<size_t>(ctx.input(0).count()) / k_;
    args.n = n_;
    args.k = k_;
    args.a = ctx.src<float>(0);
    args.lda = k_;
    args.packed_b = packed_.get();
    args.c = ctx.dst<float>(0);
    args.ldc = n_;
    args.epilogue.bias = bias_.empty() ? nullptr : bias_.data();
    args.epilogue.residual = ctx.has(3) ? ctx.src<float>(3) : nullptr;
    args.epilogue.ld_residual = n_;
    args.epilogue.lo = clamp_.lo;
    args.epilogue.hi = clamp_.hi;
    run_tiles(ctx.pool(), args.m, args.n, gemm_.m_step, gemm_.n_step, args.m * n_ * k_,
              [&](size_t m0, size_t m1, size_t n0, size_t n1) { gemm_.gemm(args, m0, m1, n0, n1); });
  }
  size_t packed_bytes() const override { return packed_bytes_; }

 private:
  const GemmF32Variant& gemm_;
  Clamp clamp_;
  size_t n_ = 0, k_ = 0, packed_bytes_ = 0;
  std::vector<float> bias_;
  std::shared_ptr<void> packed_;
};

int64_t rows_of_weights(CreateContext& ctx) {
  const Constant& w = ctx.constant(1, "weights");
  if (w.type.dtype != DType::i8 || w.type.shape.rank() != 2) reject("the weights must be i8[N,K], they are " + w.type.to_string());
  if (w.type.count() == 0) reject("the weights " + w.type.to_string() + " have no elements");
  return w.type.shape[0];
}

class QGemm final : public Op {
 public:
  explicit QGemm(CreateContext& ctx) : gemm_(*ctx.kernels().gemm_q), q_(ctx, rows_of_weights(ctx)) {
    const Constant& w = ctx.constant(1, "weights");
    n_ = static_cast<size_t>(w.type.shape[0]);
    k_ = static_cast<size_t>(w.type.shape[1]);
    packed_bytes_ = gemm_.packed_bytes(n_, 1, k_);
    packed_ = allocate_aligned(packed_bytes_);
    gemm_.pack(n_, 1, k_, w.as<int8_t>(), k_, 1, packed_.get());
    ctx.absorb(1);
  }

  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, q_.x_type);
    Shape y = ctx.shape(0);
    if (y.rank() < 1 || y[y.rank() - 1] != static_cast<int64_t>(k_)) reject_shape("the last dimension of " + y.to_string() + " must be " + std::to_string(k_));
    y[y.rank() - 1] = static_cast<int64_t>(n_);
    ctx.output(0, q_.y_type, y);
  }

  void run(RunContext& ctx) const override {
    GemmQArgs args;
    args.m = static_cast<size_t>(ctx.input(0).count()) / k_;
    args.n = n_;
    args.k = k_;
    args.a = ctx.in[0];
    args.a_type = q8_of(q_.x_type);
    args.a_zp = q_.x_zp;
    args.lda = k_;
    args.packed_b = packed_.get();
    args.c = ctx.out[0];
    args.ldc = n_;
    args.epilogue = q_.epilogue;
    run_tiles(ctx.pool(), args.m, args.n, gemm_.m_step, gemm_.n_step, args.m * n_ * k_,
              [&](size_t m0, size_t m1, size_t n0, size_t n1) { gemm_.gemm(args, m0, m1, n0, n1); });
  }
  size_t packed_bytes() const override { return packed_bytes_; }

 private:
  const GemmQVariant& gemm_;
  QuantizedWeights q_;
  size_t n_ = 0, k_ = 0, packed_bytes_ = 0;
  std::shared_ptr<void> packed_;
};

/// A transposed convolution as a convolution of the input by the flipped kernel, each output pixel gathering the taps that reach it:
/// tap (i, j) of output pixel p reads input pixel (p + pad - i * dilation) / stride where that division is exact.
class ConvTranspose final : public Op {
 public:
  explicit ConvTranspose(CreateContext& ctx) : clamp_(read_activation(ctx.attrs())), window_(read_window(ctx.attrs())) {
    const Constant& w = ctx.constant(1, "weights");
    if (w.type.dtype != DType::f32 || w.type.shape.rank() != 4) reject("the weights must be f32[C,kh,kw,O/g], they are " + w.type.to_string());
    groups_ = static_cast<size_t>(ctx.attrs().bounded("group", 1, 1, 1 << 30));
    channels_ = static_cast<size_t>(w.type.shape[0]);
    window_.kernel = {w.type.shape[1], w.type.shape[2]};
    group_outputs_ = static_cast<size_t>(w.type.shape[3]);
    if (w.type.count() == 0) reject("the weights " + w.type.to_string() + " have no elements");
    if (channels_ % groups_ != 0) reject("there are " + std::to_string(channels_) + " input channels, which " + std::to_string(groups_) + " groups do not divide");
    output_padding_ = read_output_padding(ctx.attrs(), window_);
    const size_t outputs = group_outputs_ * groups_;
    if (ctx.has(2)) {
      const Constant& bias = ctx.constant(2, "bias");
      if (bias.type.dtype != DType::f32 || bias.type.shape != Shape{static_cast<int64_t>(outputs)}) reject("the bias must be f32[" + std::to_string(outputs) + "], it is " + bias.type.to_string());
      bias_.assign(bias.as<float>(), bias.as<float>() + outputs);
      ctx.absorb(2);
    }
    conv_.emplace(window_, channels_ / groups_, group_outputs_, groups_, *ctx.kernels().gemm_f32);
    packed_ = allocate_aligned(conv_->packed_bytes());
    std::vector<float> turned(conv_->turned_bytes() / sizeof(float));
    conv_->pack(w.as<float>(), turned.data(), packed_.get());
    zeros_.assign(channels_ + 16, 0.0f);
    ctx.absorb(1);
  }

  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    const Shape& x = ctx.shape(0);
    if (x.rank() != 4 || x[3] != static_cast<int64_t>(channels_)) reject_shape("the input must be [N,H,W," + std::to_string(channels_) + "], it is " + x.to_string());
    const std::array<int64_t, 2> out = transposed_output(window_, output_padding_, x);
    ctx.output(0, DType::f32, Shape{x[0], out[0], out[1], static_cast<int64_t>(group_outputs_ * groups_)});
    auto state = std::make_unique<State>();
    state->plan = conv_->plan(x, out, ctx);
    ctx.state = std::move(state);
  }

  void run(RunContext& ctx) const override {
    EpilogueF32 epilogue;
    epilogue.bias = bias_.empty() ? nullptr : bias_.data();
    epilogue.lo = clamp_.lo;
    epilogue.hi = clamp_.hi;
    conv_->run(ctx.state<State>().plan, packed_.get(), ctx.src<float>(0), zeros_.data(), ctx.dst<float>(0), epilogue, ctx);
  }
  size_t packed_bytes() const override { return conv_->packed_bytes(); }

 private:
  struct State : OpState {
    TransposedConv::Plan plan;
  };
  Clamp clamp_;
  Window2d window_;
  std::array<int64_t, 2> output_padding_{};
  size_t groups_ = 1, channels_ = 0, group_outputs_ = 0;
  std::vector<float> bias_, zeros_;
  std::optional<TransposedConv> conv_;
  std::shared_ptr<void> packed_;
};

constexpr OpKind kOps[] = {
    {"cpu.conv", 2, 4, 1, 1, create_op<Conv>},
    {"cpu.qconv", 4, 5, 1, 1, create_op<QConv>, 2},
    {"cpu.gemm", 2, 4, 1, 1, create_op<Gemm>},
    {"cpu.qgemm", 4, 4, 1, 1, create_op<QGemm>, 2},
    {"cpu.conv_transpose", 2, 3, 1, 1, create_op<ConvTranspose>},
};

}  // namespace

OpList cpu_conv_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec

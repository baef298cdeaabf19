// Channels-last pools and 8-bit elementwise ops: cpu.*_pool, cpu.qadd, cpu.qmul, cpu.requantize, cpu.lut.
#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

class Pool final : public Op {
 public:
  explicit Pool(CreateContext& ctx) : kernels_(*ctx.kernels().pool) {
    const Attrs& attrs = ctx.attrs();
    max_ = ctx.kind.find("max") != std::string::npos;
    global_ = ctx.kind.find("global") != std::string::npos;
    x_type_ = ctx.dtype(0);
    if (x_type_ != DType::f32 && !is_8bit(x_type_)) reject(std::string("the input must be f32, u8 or i8, it is ") + name_of(x_type_));
    if (!global_) {
      window_ = read_window(attrs);
      const std::vector<int64_t> kernel = attrs.integers("kernel_shape", {});
      if (kernel.size() != 2) reject("kernel_shape must have 2 values");
      window_.kernel = {kernel[0], kernel[1]};
      for (size_t i = 0; i < 2; ++i) {
        if (kernel[i] < 1 || kernel[i] > (1 << 24)) reject("kernel_shape holds " + std::to_string(kernel[i]));
        const int64_t extent = (kernel[i] - 1) * window_.dilation[i] + 1;
        if (window_.pads[i] >= extent || window_.pads[i + 2] >= extent) reject("the padding is not smaller than the window");
      }
      ceil_ = attrs.flag("ceil_mode", false);
      count_pad_ = attrs.flag("count_include_pad", false);
    }
    if (!max_ && is_8bit(x_type_)) {
      const DType y_type = read_y_type(attrs, x_type_, false);
      q_.x_type = q8_of(x_type_);
      q_.y_type = q8_of(y_type);
      y_type_ = y_type;
      q_.x_scale = read_scale(attrs, "x_scale");
      q_.y_scale = read_scale(attrs, "y_scale");
      q_.x_zp = read_zero_point(attrs, "x_zp", x_type_);
      q_.y_zp = read_zero_point(attrs, "y_zp", y_type);
      read_q_range(attrs, y_type, &q_.q_min, &q_.q_max);
    } else {
      y_type_ = x_type_;
    }
  }

  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, x_type_);
    const Shape& x = ctx.shape(0);
    if (x.rank() != 4) reject_shape("the input must be [N,H,W,C], it is " + x.to_string());
    Window2d window = window_;
    int64_t out_h = 1;
    int64_t out_w = 1;
    if (global_) {
      if (x[1] == 0 || x[2] == 0) reject_shape("the input " + x.to_string() + " has empty images");
      window.kernel = {x[1], x[2]};
    } else {
      out_h = window_output(x[1], window.kernel[0], window.stride[0], window.dilation[0], window.pads[0], window.pads[2], ceil_);
      out_w = window_output(x[2], window.kernel[1], window.stride[1], window.dilation[1], window.pads[1], window.pads[3], ceil_);
    }
    ctx.output(0, y_type_, Shape{x[0], out_h, out_w, x[3]});
    auto state = std::make_unique<State>();
    state->taps = make_taps(window, x[1], x[2], out_h, out_w, x[3]);
    state->rows = static_cast<size_t>(x[0] * out_h * out_w);
    state->channels = static_cast<size_t>(x[3]);
    state->batch_stride = static_cast<size_t>(x[1] * x[2] * x[3]);
    if (!max_ && !global_) {
      // The divisor: taps inside the image, or, with count_include_pad, inside the padded image (a ceil_mode window may reach beyond it).
      const auto inside = [&](size_t axis, int64_t at, int64_t size) {
        int64_t n = 0;
        for (int64_t k = 0; k < window.kernel[axis]; ++k) {
          const int64_t p = at * window.stride[axis] - window.pads[axis] + k * window.dilation[axis];
          n += count_pad_ ? p < size + window.pads[axis + 2] : p >= 0 && p < size;
        }
        return n;
      };
      std::vector<int64_t> columns;
      for (int64_t ox = 0; ox < out_w; ++ox) columns.push_back(inside(1, ox, x[2]));
      for (int64_t oy = 0; oy < out_h; ++oy) {
        const int64_t rows = inside(0, oy, x[1]);
        for (int64_t n : columns) state->counts.push_back(static_cast<int32_t>(std::max<int64_t>(rows * n, 1)));
      }
    }
    ctx.state = std::move(state);
  }

  void run(RunContext& ctx) const override {
    const State& state = ctx.state<State>();
    if (state.rows == 0 || state.channels == 0) return;
    PoolArgs args;
    args.rows = state.rows;
    args.taps = state.taps.taps_for(state.channels, state.batch_stride);
    args.counts = state.counts.empty() ? nullptr : state.counts.data();
    args.ldc = state.channels;
    parallel(ctx.pool(), state.rows, 1 + 4096 / (state.channels * state.taps.taps + 1), [&](size_t begin, size_t end, int) {
      if (max_ && x_type_ == DType::f32) kernels_.max_f32(args, ctx.src<float>(0), ctx.dst<float>(0), begin, end);
      else if (max_) kernels_.max_q(args, q8_of(x_type_), ctx.in[0], ctx.out[0], begin, end);
      else if (x_type_ == DType::f32) kernels_.average_f32(args, ctx.src<float>(0), ctx.dst<float>(0), begin, end);
      else kernels_.average_q(args, q_, ctx.in[0], ctx.out[0], begin, end);
    });
  }

 private:
  struct State : OpState {
    TapTable taps;
    std::vector<int32_t> counts;
    size_t rows = 0, channels = 0, batch_stride = 0;
  };
  const PoolVariant& kernels_;
  bool max_, global_, ceil_ = false, count_pad_ = false;
  Window2d window_;
  DType x_type_, y_type_ = DType::none;
  AverageQ q_;
};

class QBinary final : public Op {
 public:
  explicit QBinary(CreateContext& ctx) : kernels_(*ctx.kernels().quantize) {
    const Attrs& attrs = ctx.attrs();
    add_ = ctx.kind == "cpu.qadd";
    a_type_ = ctx.dtype(0);
    b_type_ = ctx.dtype(1);
    y_type_ = read_y_type(attrs, a_type_, false);
    a_ = read_params(attrs, "a", a_type_);
    b_ = read_params(attrs, "b", b_type_);
    y_ = read_params(attrs, "y", y_type_);
    read_q_range(attrs, y_type_, &q_min_, &q_max_);
  }

  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, a_type_);
    ctx.expect(1, b_type_);
    const Shape y = broadcast(ctx.shape(0), ctx.shape(1));
    ctx.output(0, y_type_, y);
    auto state = std::make_unique<State>();
    const Shape* operands[] = {&ctx.shape(0), &ctx.shape(1)};
    state->plan = plan_broadcast(y, operands, 2);
    state->rows = y.count() == 0 ? 0 : static_cast<size_t>(y.count() / state->plan.dims[static_cast<size_t>(state->plan.rank - 1)]);
    if (ctx.shape(0) == y) ctx.inplace_with.push_back(0);
    if (ctx.shape(1) == y) ctx.inplace_with.push_back(1);
    ctx.state = std::move(state);
  }

  void run(RunContext& ctx) const override {
    const State& state = ctx.state<State>();
    const size_t last = static_cast<size_t>(state.plan.rank - 1);
    const bool a_scalar = state.plan.strides[0][last] == 0;
    const bool b_scalar = state.plan.strides[1][last] == 0;
    const uint8_t* a = ctx.src<uint8_t>(0);
    const uint8_t* b = ctx.src<uint8_t>(1);
    uint8_t* y = ctx.dst<uint8_t>(0);
    const auto kernel = add_ ? kernels_.add : kernels_.mul;
    if (state.plan.rank == 1) {
      parallel(ctx.pool(), static_cast<size_t>(ctx.output(0).count()), 16384, [&](size_t begin, size_t end, int) {
        kernel(end - begin, a_scalar ? a : a + begin, a_scalar, a_, b_scalar ? b : b + begin, b_scalar, b_, y_, q_min_, q_max_, y + begin);
      });
      return;
    }
    parallel(ctx.pool(), state.rows, 1 + 16384 / static_cast<size_t>(state.plan.dims[last]), [&](size_t begin, size_t end, int) {
      for_each_row(state.plan, 2, begin, end, [&](int64_t at, const auto& offsets, int64_t length) {
        kernel(static_cast<size_t>(length), a + offsets[0], a_scalar, a_, b + offsets[1], b_scalar, b_, y_, q_min_, q_max_, y + at);
      });
    });
  }

 private:
  struct State : OpState {
    BroadcastPlan plan;
    size_t rows = 0;
  };
  const Quantize8Variant& kernels_;
  bool add_;
  DType a_type_, b_type_, y_type_;
  QParams a_, b_, y_;
  int32_t q_min_ = 0, q_max_ = 0;
};

class Requantize final : public Op {
 public:
  explicit Requantize(CreateContext& ctx) : kernels_(*ctx.kernels().quantize) {
    x_type_ = ctx.dtype(0);
    y_type_ = read_y_type(ctx.attrs(), x_type_, false);
    x_ = read_params(ctx.attrs(), "x", x_type_);
    y_ = read_params(ctx.attrs(), "y", y_type_);
    read_q_range(ctx.attrs(), y_type_, &q_min_, &q_max_);
  }
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, x_type_);
    ctx.output(0, y_type_, ctx.shape(0));
    ctx.inplace_with = {0};
  }
  void run(RunContext& ctx) const override {
    const uint8_t* x = ctx.src<uint8_t>(0);
    uint8_t* y = ctx.dst<uint8_t>(0);
    parallel(ctx.pool(), static_cast<size_t>(ctx.output(0).count()), 32768,
             [&](size_t begin, size_t end, int) { kernels_.requantize(end - begin, x + begin, x_, y_, q_min_, q_max_, y + begin); });
  }

 private:
  const Quantize8Variant& kernels_;
  DType x_type_, y_type_;
  QParams x_, y_;
  int32_t q_min_ = 0, q_max_ = 0;
};

class Lut final : public Op {
 public:
  explicit Lut(CreateContext& ctx) : kernels_(*ctx.kernels().quantize) {
    x_type_ = ctx.dtype(0);
    if (!is_8bit(x_type_)) reject(std::string("the input must be u8 or i8, it is ") + name_of(x_type_));
    const Constant& table = ctx.constant(1, "table");
    if (!is_8bit(table.type.dtype) || table.type.count() != 256) reject("the table must be u8[256] or i8[256], it is " + table.type.to_string());
    std::memcpy(table_.data(), table.data, 256);
    y_type_ = table.type.dtype;
    ctx.absorb(1);
  }
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, x_type_);
    ctx.output(0, y_type_, ctx.shape(0));
    ctx.inplace_with = {0};
  }
  void run(RunContext& ctx) const override {
    const uint8_t* x = ctx.src<uint8_t>(0);
    uint8_t* y = ctx.dst<uint8_t>(0);
    parallel(ctx.pool(), static_cast<size_t>(ctx.output(0).count()), 32768, [&](size_t begin, size_t end, int) { kernels_.lut(end - begin, x + begin, table_.data(), y + begin); });
  }

 private:
  const Quantize8Variant& kernels_;
  DType x_type_, y_type_;
  std::array<uint8_t, 256> table_{};
};

constexpr OpKind kOps[] = {
    {"cpu.max_pool", 1, 1, 1, 1, create_op<Pool>},
    {"cpu.average_pool", 1, 1, 1, 1, create_op<Pool>},
    {"cpu.global_max_pool", 1, 1, 1, 1, create_op<Pool>},
    {"cpu.global_average_pool", 1, 1, 1, 1, create_op<Pool>},
    {"cpu.qadd", 2, 2, 1, 1, create_op<QBinary>},
    {"cpu.qmul", 2, 2, 1, 1, create_op<QBinary>},
    {"cpu.requantize", 1, 1, 1, 1, create_op<Requantize>},
    {"cpu.lut", 2, 2, 1, 1, create_op<Lut>},
};

}  // namespace

OpList cpu_quant_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec

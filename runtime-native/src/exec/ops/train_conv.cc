// Convolutions of training graphs: forward and transposed with weights that change from run to run, and the gradient of the weights. Channels last.
#include <optional>

#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

void expect_f32(PrepareContext& ctx, int count) {
  for (int i = 0; i < count; ++i) {
    if (ctx.has(i)) ctx.expect(i, DType::f32);
  }
}

/// Tap tables of a convolution and of its transpose address input pixels; what differs is which one a tap reads.
TapTable transposed_taps(const Window2d& w, const Shape& x, const std::array<int64_t, 2>& out) {
  const int64_t taps = w.kernel[0] * w.kernel[1], pixels = out[0] * out[1];
  if (pixels > 0 && taps > (int64_t{1} << 28) / pixels) throw Error(codes::kMemory, "a window of " + std::to_string(taps) + " elements over " + std::to_string(pixels) + " positions is too large for the engine");
  if (x[1] * x[2] * x[3] >= (int64_t{1} << 31)) throw Error(codes::kMemory, "one image has more than 2^31 elements, which is too large for the engine");
  TapTable table;
  table.pixels = static_cast<size_t>(pixels);
  table.taps = static_cast<size_t>(taps);
  table.offsets.reserve(static_cast<size_t>(pixels * taps));
  const auto source = [&](size_t axis, int64_t out_at, int64_t tap) -> int64_t {
    const int64_t at = out_at + w.pads[axis] - tap * w.dilation[axis];
    if (at < 0 || at % w.stride[axis] != 0) return -1;
    const int64_t in_at = at / w.stride[axis];
    return in_at < x[static_cast<int>(axis) + 1] ? in_at : -1;
  };
  for (int64_t oy = 0; oy < out[0]; ++oy) {
    for (int64_t ox = 0; ox < out[1]; ++ox) {
      for (int64_t ky = 0; ky < w.kernel[0]; ++ky) {
        const int64_t iy = source(0, oy, ky);
        for (int64_t kx = 0; kx < w.kernel[1]; ++kx) {
          const int64_t ix = source(1, ox, kx);
          table.offsets.push_back(iy < 0 || ix < 0 ? -1 : static_cast<int32_t>((iy * x[2] + ix) * x[3]));
        }
      }
    }
  }
  return table;
}

/// cpu.conv and cpu.conv_transpose with computed weights: packed in each run. The transpose gathers, for each output pixel, the taps that reach it.
class ConvVariable final : public Op {
 public:
  explicit ConvVariable(CreateContext& ctx) : gemm_(*ctx.kernels().gemm_f32), dwconv_(*ctx.kernels().dwconv_f32), clamp_(read_activation(ctx.attrs())), window_(read_window(ctx.attrs())) {
    transposed_ = ctx.kind == "cpu.conv_transpose_variable";
    groups_ = ctx.attrs().bounded("group", 1, 1, 1 << 30);
    const std::vector<int64_t> extra = ctx.attrs().integers("output_padding", {0, 0});
    if (extra.size() != 2) reject("output_padding must have 2 values");
    for (size_t i = 0; i < 2; ++i) {
      if (extra[i] < 0 || extra[i] >= std::max(window_.stride[i], window_.dilation[i])) reject("output_padding holds " + std::to_string(extra[i]) + "; it must be less than the stride or the dilation");
      output_padding_[i] = extra[i];
    }
  }

  struct State : OpState {
    TapTable taps;
    size_t rows = 0, batch_stride = 0, channels = 0, outputs = 0;  // channels and outputs of one group
    size_t packed_at = 0, group_bytes = 0, turned_at = 0, zeros_at = 0;
    bool depthwise = false;  // each group is one channel
  };

  void prepare(PrepareContext& ctx) const override {
    expect_f32(ctx, 4);
    const Shape& x = ctx.shape(0);
    const Shape& w = ctx.shape(1);
    if (x.rank() != 4 || w.rank() != 4) reject_shape("the input and the weights must have four dimensions, they are " + x.to_string() + " and " + w.to_string());
    if (w.count() == 0 || x[3] == 0) reject_shape("the weights " + w.to_string() + " have no elements");
    Window2d window = window_;
    window.kernel = {w[1], w[2]};
    const int64_t channels = transposed_ ? w[0] : w[3] * groups_;
    const int64_t outputs = transposed_ ? w[3] * groups_ : w[0];
    if (x[3] != channels) reject_shape("the input " + x.to_string() + " has " + std::to_string(x[3]) + " channels, the weights " + w.to_string() + " take " + std::to_string(channels));
    if (channels % groups_ != 0 || outputs % groups_ != 0) reject_shape(std::to_string(groups_) + " groups do not divide the channels of " + w.to_string());
    std::array<int64_t, 2> out{};
    for (size_t i = 0; i < 2; ++i) {
      const int64_t in = x[static_cast<int>(i) + 1];
      if (transposed_) {
        checked_bytes(DType::u8, Shape{in, window.stride[i]});
        out[i] = (in - 1) * window.stride[i] + output_padding_[i] + (window.kernel[i] - 1) * window.dilation[i] + 1 - window.pads[i] - window.pads[i + 2];
        if (in == 0 || out[i] < 0) reject_shape("the padding leaves no result for an input of " + x.to_string());
      } else {
        out[i] = window_output(in, window.kernel[i], window.stride[i], window.dilation[i], window.pads[i], window.pads[i + 2], false);
      }
    }
    const Shape y{x[0], out[0], out[1], outputs};
    if (ctx.has(2) && ctx.shape(2) != Shape{outputs}) reject_shape("the bias must be [" + std::to_string(outputs) + "], it is " + ctx.shape(2).to_string());
    if (ctx.has(3)) {
      if (ctx.shape(3) != y) reject_shape("the residual " + ctx.shape(3).to_string() + " does not have the result's shape " + y.to_string());
      ctx.inplace_with = {3};
    }
    ctx.output(0, DType::f32, y);
    auto s = std::make_unique<State>();
    s->taps = transposed_ ? transposed_taps(window, x, out) : make_taps(window, x[1], x[2], out[0], out[1], x[3]);
    s->rows = static_cast<size_t>(x[0] * out[0] * out[1]);
    s->batch_stride = static_cast<size_t>(x[1] * x[2] * x[3]);
    s->channels = static_cast<size_t>(channels / groups_);
    s->outputs = static_cast<size_t>(outputs / groups_);
    const size_t k = s->taps.taps * s->channels;
    s->depthwise = groups_ > 1 && s->channels == 1 && s->outputs == 1;
    s->group_bytes = s->depthwise ? dwconv_.packed_bytes(static_cast<size_t>(groups_), s->taps.taps) : gemm_.packed_bytes(s->outputs, k);
    s->packed_at = ctx.scratch(s->group_bytes * (s->depthwise ? 1 : static_cast<size_t>(groups_)));
    if (transposed_ && !s->depthwise) s->turned_at = ctx.scratch(s->outputs * k * sizeof(float));
    s->zeros_at = ctx.scratch((static_cast<size_t>(x[3]) + 16) * sizeof(float));
    ctx.state = std::move(s);
  }

  void run(RunContext& ctx) const override {
    const State& s = ctx.state<State>();
    if (s.rows == 0) return;
    const size_t groups = static_cast<size_t>(groups_), k = s.taps.taps * s.channels;
    float* const zeros = ctx.scratch<float>(s.zeros_at);
    std::fill_n(zeros, s.channels * groups + 16, 0.0f);
    if (s.depthwise) return run_depthwise(ctx, s, zeros);
    for (size_t g = 0; g < groups; ++g) {
      void* const packed = ctx.scratch<char>(s.packed_at) + g * s.group_bytes;
      gemm_.pack(s.outputs, k, transposed_ ? turned(ctx, s, g) : ctx.src<float>(1) + g * s.outputs * k, k, 1, packed);
      const size_t at = g * s.outputs;
      ConvF32Args args;
      args.rows = s.rows;
      args.n = s.outputs;
      args.taps = s.taps.taps_for(s.channels, s.batch_stride);
      args.base = ctx.src<float>(0) + g * s.channels;
      args.zero = zeros;
      args.packed_b = packed;
      args.c = ctx.dst<float>(0) + at;
      args.ldc = s.outputs * groups;
      args.epilogue.bias = ctx.has(2) ? ctx.src<float>(2) + at : nullptr;
      args.epilogue.residual = ctx.has(3) ? ctx.src<float>(3) + at : nullptr;
      args.epilogue.ld_residual = args.ldc;
      args.epilogue.lo = clamp_.lo;
      args.epilogue.hi = clamp_.hi;
      run_tiles(ctx.pool(), args.rows, args.n, gemm_.m_step, gemm_.n_step, s.rows * args.n * k,
                [&](size_t m0, size_t m1, size_t n0, size_t n1) { gemm_.conv(args, m0, m1, n0, n1); });
    }
  }

 private:
  void run_depthwise(RunContext& ctx, const State& s, const float* zeros) const {
    const size_t channels = static_cast<size_t>(groups_);
    void* const packed = ctx.scratch<char>(s.packed_at);
    dwconv_.pack(channels, s.taps.taps, ctx.src<float>(1), packed);
    DwconvF32Args args;
    args.rows = s.rows;
    args.taps = s.taps.taps_for(channels, s.batch_stride);
    args.base = ctx.src<float>(0);
    args.zero = zeros;
    args.packed_w = packed;
    args.c = ctx.dst<float>(0);
    args.ldc = channels;
    args.epilogue.bias = ctx.has(2) ? ctx.src<float>(2) : nullptr;
    args.epilogue.residual = ctx.has(3) ? ctx.src<float>(3) : nullptr;
    args.epilogue.ld_residual = channels;
    args.epilogue.lo = clamp_.lo;
    args.epilogue.hi = clamp_.hi;
    parallel(ctx.pool(), s.rows, 16, [&](size_t begin, size_t end, int) { dwconv_.dwconv(args, begin, end); });
  }
  /// [C][taps][O] of a group as [O][taps][C].
  static const float* turned(RunContext& ctx, const State& s, size_t g) {
    float* const to = ctx.scratch<float>(s.turned_at);
    const float* from = ctx.src<float>(1) + g * s.channels * s.taps.taps * s.outputs;
    for (size_t c = 0; c < s.channels; ++c) {
      for (size_t t = 0; t < s.taps.taps; ++t) {
        for (size_t o = 0; o < s.outputs; ++o) to[(o * s.taps.taps + t) * s.channels + c] = *from++;
      }
    }
    return to;
  }

  const GemmF32Variant& gemm_;
  const DwconvF32Variant& dwconv_;
  Clamp clamp_;
  Window2d window_;
  bool transposed_ = false;
  std::array<int64_t, 2> output_padding_{};
  int64_t groups_ = 1;
};

/// dw from x and dy. Images are split into parts whose number depends on shapes only; their sums are joined in order: results do not depend on the threads.
class ConvBackwardWeights final : public Op {
 public:
  explicit ConvBackwardWeights(CreateContext& ctx) : kernel_(*ctx.kernels().conv_wgrad), window_(read_window(ctx.attrs())) {
    if (!ctx.attrs().flag("channels_last", false)) reject("the engine takes channels_last = 1");
    groups_ = ctx.attrs().bounded("group", 1, 1, 1 << 30);
    const std::vector<int64_t> kernel = ctx.attrs().integers("kernel_shape", {});
    if (kernel.size() != 2 || kernel[0] < 1 || kernel[1] < 1) reject("kernel_shape must have 2 values from 1 on");
    window_.kernel = {kernel[0], kernel[1]};
  }

  struct State : OpState {
    TapTable taps;
    size_t images = 0, batch_stride = 0, channels = 0, outputs = 0, all_outputs = 0;
    size_t parts = 1, parts_at = 0, elements = 0;
    bool depthwise = false;  // each group is one channel: parts are [taps][channels]
  };

  void prepare(PrepareContext& ctx) const override {
    expect_f32(ctx, 2);
    const Shape& x = ctx.shape(0);
    const Shape& dy = ctx.shape(1);
    if (x.rank() != 4 || dy.rank() != 4 || x[0] != dy[0]) reject_shape("x and dy must be [N,H,W,C] of one N, they are " + x.to_string() + " and " + dy.to_string());
    const int64_t out_h = window_output(x[1], window_.kernel[0], window_.stride[0], window_.dilation[0], window_.pads[0], window_.pads[2], false);
    const int64_t out_w = window_output(x[2], window_.kernel[1], window_.stride[1], window_.dilation[1], window_.pads[1], window_.pads[3], false);
    if (dy[1] != out_h || dy[2] != out_w) reject_shape("dy is " + dy.to_string() + ", the convolution of " + x.to_string() + " gives images of " + std::to_string(out_h) + " x " + std::to_string(out_w));
    if (x[3] % groups_ != 0 || dy[3] % groups_ != 0) reject_shape(std::to_string(groups_) + " groups do not divide the channels of " + x.to_string() + " and " + dy.to_string());
    ctx.output(0, DType::f32, Shape{dy[3], window_.kernel[0], window_.kernel[1], x[3] / groups_});
    auto s = std::make_unique<State>();
    s->taps = make_taps(window_, x[1], x[2], out_h, out_w, x[3]);
    s->images = static_cast<size_t>(x[0]);
    s->batch_stride = static_cast<size_t>(x[1] * x[2] * x[3]);
    s->channels = static_cast<size_t>(x[3] / groups_);
    s->outputs = static_cast<size_t>(dy[3] / groups_);
    s->all_outputs = static_cast<size_t>(dy[3]);
    s->elements = s->all_outputs * s->taps.taps * s->channels;
    constexpr size_t kMostParts = 16, kPartBytes = size_t{32} << 20;
    s->parts = std::max<size_t>(1, std::min({kMostParts, s->images, kPartBytes / std::max<size_t>(1, s->elements * sizeof(float))}));
    s->depthwise = groups_ > 1 && s->channels == 1 && s->outputs == 1;
    if (s->parts > 1 || s->depthwise) s->parts_at = ctx.scratch(s->parts * s->elements * sizeof(float));
    ctx.state = std::move(s);
  }

  void run(RunContext& ctx) const override {
    const State& s = ctx.state<State>();
    float* const dw = ctx.dst<float>(0);
    float* const sums = s.parts == 1 ? dw : ctx.scratch<float>(s.parts_at);
    const size_t groups = static_cast<size_t>(groups_);
    if (s.depthwise) return run_depthwise(ctx, s, dw);
    // Few parts: outputs are split too.
    const size_t step = s.parts >= 8 ? s.outputs : std::min<size_t>(16, s.outputs);
    const size_t blocks = step == 0 ? 0 : (s.outputs + step - 1) / step;
    ctx.pool().parallel_for(s.parts * groups * blocks, [&](size_t begin, size_t end, int) {
      for (size_t job = begin; job < end; ++job) {
        const size_t part = job / (groups * blocks), g = job / blocks % groups, o0 = job % blocks * step, o1 = std::min(o0 + step, s.outputs);
        const size_t first = s.images * part / s.parts, last = s.images * (part + 1) / s.parts;
        ConvWgradF32Args args;
        args.taps = s.taps.taps_for(s.channels, s.batch_stride);
        args.x = ctx.src<float>(0) + g * s.channels;
        args.dy = ctx.src<float>(1) + g * s.outputs;
        args.ld_dy = s.all_outputs;
        const size_t row = s.taps.taps * s.channels;
        args.dw = sums + part * s.elements + g * s.outputs * row;
        std::fill(args.dw + o0 * row, args.dw + o1 * row, 0.0f);
        kernel_.accumulate(args, first * s.taps.pixels, last * s.taps.pixels, o0, o1);
      }
    });
    if (s.parts == 1) return;
    parallel(ctx.pool(), s.elements, 4096, [&](size_t begin, size_t end, int) {
      for (size_t i = begin; i < end; ++i) {
        float sum = sums[i];
        for (size_t p = 1; p < s.parts; ++p) sum += sums[p * s.elements + i];
        dw[i] = sum;
      }
    });
  }

 private:
  void run_depthwise(RunContext& ctx, const State& s, float* dw) const {
    float* const sums = ctx.scratch<float>(s.parts_at);
    ctx.pool().parallel_for(s.parts, [&](size_t begin, size_t end, int) {
      for (size_t part = begin; part < end; ++part) {
        ConvWgradF32Args args;
        args.taps = s.taps.taps_for(s.all_outputs, s.batch_stride);
        args.x = ctx.src<float>(0);
        args.dy = ctx.src<float>(1);
        args.ld_dy = s.all_outputs;
        args.dw = sums + part * s.elements;
        std::fill_n(args.dw, s.elements, 0.0f);
        kernel_.accumulate_depthwise(args, s.images * part / s.parts * s.taps.pixels, s.images * (part + 1) / s.parts * s.taps.pixels);
      }
    });
    for (size_t t = 0; t < s.taps.taps; ++t) {
      for (size_t c = 0; c < s.all_outputs; ++c) {
        float sum = 0;
        for (size_t p = 0; p < s.parts; ++p) sum += sums[p * s.elements + t * s.all_outputs + c];
        dw[c * s.taps.taps + t] = sum;
      }
    }
  }

  const ConvWgradF32Variant& kernel_;
  Window2d window_;
  int64_t groups_ = 1;
};

constexpr OpKind kOps[] = {
    {"cpu.conv_variable", 2, 4, 1, 1, create_op<ConvVariable>},
    {"cpu.conv_transpose_variable", 2, 3, 1, 1, create_op<ConvVariable>},
    {"train.conv_backward_weights", 2, 2, 1, 1, create_op<ConvBackwardWeights>},
};

}  // namespace

OpList train_conv_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec

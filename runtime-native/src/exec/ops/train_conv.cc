// The gradient of a convolution's weights, channels last.
#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

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
    TapGeometry geometry;
    size_t images = 0, pixels = 0, channels = 0, outputs = 0, all_outputs = 0;
    size_t parts = 1, parts_at = 0, elements = 0;
    bool depthwise = false;  // each group is one channel: parts are [taps][channels]
  };

  void prepare(PrepareContext& ctx) const override {
    for (int i = 0; i < 2; ++i) ctx.expect(i, DType::f32);
    const Shape& x = ctx.shape(0);
    const Shape& dy = ctx.shape(1);
    if (x.rank() != 4 || dy.rank() != 4 || x[0] != dy[0]) reject_shape("x and dy must be [N,H,W,C] of one N, they are " + x.to_string() + " and " + dy.to_string());
    const int64_t out_h = window_output(x[1], window_.kernel[0], window_.stride[0], window_.dilation[0], window_.pads[0], window_.pads[2], false);
    const int64_t out_w = window_output(x[2], window_.kernel[1], window_.stride[1], window_.dilation[1], window_.pads[1], window_.pads[3], false);
    if (dy[1] != out_h || dy[2] != out_w) reject_shape("dy is " + dy.to_string() + ", the convolution of " + x.to_string() + " gives images of " + std::to_string(out_h) + " x " + std::to_string(out_w));
    if (x[3] % groups_ != 0 || dy[3] % groups_ != 0) reject_shape(std::to_string(groups_) + " groups do not divide the channels of " + x.to_string() + " and " + dy.to_string());
    ctx.output(0, DType::f32, Shape{dy[3], window_.kernel[0], window_.kernel[1], x[3] / groups_});
    auto s = std::make_unique<State>();
    s->geometry = geometry_of(window_, x[1], x[2], out_h, out_w, x[3]);
    s->images = static_cast<size_t>(x[0]);
    s->pixels = static_cast<size_t>(out_h * out_w);
    s->channels = static_cast<size_t>(x[3] / groups_);
    s->outputs = static_cast<size_t>(dy[3] / groups_);
    s->all_outputs = static_cast<size_t>(dy[3]);
    s->elements = s->all_outputs * taps() * s->channels;
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
        args.geometry = s.geometry;
        args.channels = s.channels;
        args.x = ctx.src<float>(0) + g * s.channels;
        args.dy = ctx.src<float>(1) + g * s.outputs;
        args.ld_dy = s.all_outputs;
        const size_t row = taps() * s.channels;
        args.dw = sums + part * s.elements + g * s.outputs * row;
        std::fill(args.dw + o0 * row, args.dw + o1 * row, 0.0f);
        kernel_.accumulate(args, first * s.pixels, last * s.pixels, o0, o1);
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
  size_t taps() const { return static_cast<size_t>(window_.kernel[0] * window_.kernel[1]); }

  void run_depthwise(RunContext& ctx, const State& s, float* dw) const {
    float* const sums = ctx.scratch<float>(s.parts_at);
    ctx.pool().parallel_for(s.parts, [&](size_t begin, size_t end, int) {
      for (size_t part = begin; part < end; ++part) {
        ConvWgradF32Args args;
        args.geometry = s.geometry;
        args.channels = s.all_outputs;
        args.x = ctx.src<float>(0);
        args.dy = ctx.src<float>(1);
        args.ld_dy = s.all_outputs;
        args.dw = sums + part * s.elements;
        std::fill_n(args.dw, s.elements, 0.0f);
        kernel_.accumulate_depthwise(args, s.images * part / s.parts * s.pixels, s.images * (part + 1) / s.parts * s.pixels);
      }
    });
    for (size_t t = 0; t < taps(); ++t) {
      for (size_t c = 0; c < s.all_outputs; ++c) {
        float sum = 0;
        for (size_t p = 0; p < s.parts; ++p) sum += sums[p * s.elements + t * s.all_outputs + c];
        dw[c * taps() + t] = sum;
      }
    }
  }

  const ConvWgradF32Variant& kernel_;
  Window2d window_;
  int64_t groups_ = 1;
};

constexpr OpKind kOps[] = {
    {"train.conv_backward_weights", 2, 2, 1, 1, create_op<ConvBackwardWeights>},
};

}  // namespace

OpList train_conv_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec

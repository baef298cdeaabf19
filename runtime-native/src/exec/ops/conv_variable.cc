// Convolutions whose weights change from run to run, as in training graphs: cpu.conv and cpu.conv_transpose with computed weights, packed in each run. Channels last.
#include <optional>

#include "exec/ops/common.h"
#include "exec/ops/lists.h"
#include "exec/ops/transposed.h"
#include "exec/ops/winograd.h"

namespace cec {
namespace {

class ConvVariable final : public Op {
 public:
  explicit ConvVariable(CreateContext& ctx) : kernels_(ctx.kernels()), gemm_(*kernels_.gemm_f32), dwconv_(*kernels_.dwconv_f32), clamp_(read_activation(ctx.attrs())), window_(read_window(ctx.attrs())) {
    transposed_ = ctx.kind == "cpu.conv_transpose_variable";
    groups_ = ctx.attrs().bounded("group", 1, 1, 1 << 30);
    output_padding_ = read_output_padding(ctx.attrs(), window_);
  }

  struct State : OpState {
    size_t rows = 0, batch_stride = 0, channels = 0, outputs = 0;  // channels and outputs of one group
    size_t packed_at = 0, between_at = 0, turned_at = 0, zeros_at = 0;
    // One of four forms; the direct one where no other is set.
    bool depthwise = false;  // each group is one channel
    std::optional<WinogradConv> winograd;
    WinogradSchedule schedule;
    std::optional<TransposedConv> transposed;
    TransposedConv::Plan phases;
    TapTable taps;             // direct and depthwise
    size_t group_bytes = 0;    // direct
  };

  void prepare(PrepareContext& ctx) const override {
    for (int i = 0; i < 4; ++i) {
      if (ctx.has(i)) ctx.expect(i, DType::f32);
    }
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
    if (transposed_) out = transposed_output(window, output_padding_, x);
    else for (size_t i = 0; i < 2; ++i) out[i] = window_output(x[static_cast<int>(i) + 1], window.kernel[i], window.stride[i], window.dilation[i], window.pads[i], window.pads[i + 2], false);
    const Shape y{x[0], out[0], out[1], outputs};
    if (ctx.has(2) && ctx.shape(2) != Shape{outputs}) reject_shape("the bias must be [" + std::to_string(outputs) + "], it is " + ctx.shape(2).to_string());
    if (ctx.has(3)) {
      if (ctx.shape(3) != y) reject_shape("the residual " + ctx.shape(3).to_string() + " does not have the result's shape " + y.to_string());
      ctx.inplace_with = {3};
    }
    ctx.output(0, DType::f32, y);
    auto s = std::make_unique<State>();
    s->rows = static_cast<size_t>(x[0] * out[0] * out[1]);
    s->batch_stride = static_cast<size_t>(x[1] * x[2] * x[3]);
    s->channels = static_cast<size_t>(channels / groups_);
    s->outputs = static_cast<size_t>(outputs / groups_);
    s->depthwise = groups_ > 1 && s->channels == 1 && s->outputs == 1;
    plan_form(ctx, window, x, out, *s);
    s->zeros_at = ctx.scratch((static_cast<size_t>(x[3]) + 16) * sizeof(float));
    ctx.state = std::move(s);
  }

  void run(RunContext& ctx) const override {
    const State& s = ctx.state<State>();
    if (s.rows == 0) return;
    const size_t groups = static_cast<size_t>(groups_);
    float* const zeros = ctx.scratch<float>(s.zeros_at);
    std::fill_n(zeros, s.channels * groups + 16, 0.0f);
    void* const packed = ctx.scratch<char>(s.packed_at);
    const float* const x = ctx.src<float>(0);
    const float* const w = ctx.src<float>(1);
    float* const y = ctx.dst<float>(0);
    EpilogueF32 epilogue;
    epilogue.bias = ctx.has(2) ? ctx.src<float>(2) : nullptr;
    epilogue.residual = ctx.has(3) ? ctx.src<float>(3) : nullptr;
    epilogue.ld_residual = s.outputs * groups;
    epilogue.lo = clamp_.lo;
    epilogue.hi = clamp_.hi;
    if (s.depthwise) {
      dwconv_.pack(groups, s.taps.taps, w, packed);
      DwconvF32Args args;
      args.rows = s.rows;
      args.taps = s.taps.taps_for(groups, s.batch_stride);
      args.base = x;
      args.zero = zeros;
      args.packed_w = packed;
      args.c = y;
      args.ldc = groups;
      args.epilogue = epilogue;
      parallel(ctx.pool(), s.rows, 16, [&](size_t begin, size_t end, int) { dwconv_.dwconv(args, begin, end); });
    } else if (s.winograd.has_value()) {
      pack_winograd(ctx, s, w, packed);
      s.winograd->run(s.schedule, packed, x, zeros, y, epilogue, ctx);
    } else if (s.transposed.has_value()) {
      s.transposed->pack(w, ctx.scratch<float>(s.turned_at), packed);
      s.transposed->run(s.phases, packed, x, zeros, y, epilogue, ctx);
    } else {
      run_direct(ctx, s, x, w, static_cast<char*>(packed), zeros, y, epilogue);
    }
  }

 private:
  /// Chooses the form and asks for its memory.
  void plan_form(PrepareContext& ctx, const Window2d& window, const Shape& x, const std::array<int64_t, 2>& out, State& s) const {
    const size_t groups = static_cast<size_t>(groups_);
    if (s.depthwise) {
      s.taps = transposed_ ? transposed_taps(window, x, out) : make_taps(window, x[1], x[2], out[0], out[1], x[3]);
      s.packed_at = ctx.scratch(dwconv_.packed_bytes(groups, s.taps.taps));
      return;
    }
    if (const std::optional<WinogradProblem> problem = winograd_problem(window, x, s); problem.has_value()) {
      if (const std::optional<WinogradTile> tile = winograd_tile(*problem, static_cast<size_t>(x[0])); tile.has_value()) {
        s.winograd.emplace(*tile, s.channels, s.outputs, kernels_);
        s.schedule = s.winograd->plan(*problem, static_cast<size_t>(x[0]), ctx);
        s.packed_at = ctx.scratch(s.winograd->packed_bytes());
        s.between_at = ctx.scratch(s.winograd->transformed_bytes());
        if (transposed_) s.turned_at = ctx.scratch(9 * s.channels * s.outputs * sizeof(float));
        return;
      }
    }
    if (transposed_) {
      s.transposed.emplace(window, s.channels, s.outputs, groups, gemm_);
      s.phases = s.transposed->plan(x, out, ctx);
      s.packed_at = ctx.scratch(s.transposed->packed_bytes());
      s.turned_at = ctx.scratch(s.transposed->turned_bytes());
      return;
    }
    s.taps = make_taps(window, x[1], x[2], out[0], out[1], x[3]);
    s.group_bytes = gemm_.packed_bytes(s.outputs, s.taps.taps * s.channels);
    s.packed_at = ctx.scratch(s.group_bytes * groups);
  }

  /// Transposed, it is the convolution with the kernel turned about and the rest of the padding.
  std::optional<WinogradProblem> winograd_problem(Window2d window, const Shape& x, const State& s) const {
    if (!fits_winograd(window, groups_) || s.rows == 0) return std::nullopt;
    if (transposed_) for (int64_t& pad : window.pads) pad = 2 - pad;
    return winograd_problem_of(window, x[1], x[2], static_cast<int64_t>(s.channels), static_cast<int64_t>(s.outputs));
  }

  /// The form of AVX2 on every CPU that has it, so that a training takes the same steps on all of them. Weights are transformed in each run: a few tiles do not earn it.
  std::optional<WinogradTile> winograd_tile(const WinogradProblem& p, size_t batch) const {
    constexpr size_t kLeastTiles = 64, kMostBytes = size_t{8} << 20;
    const std::optional<WinogradTile> tile = choose_winograd(p, std::min(gemm_.isa, Isa::avx2));
    if (!tile.has_value() || winograd_matrices(*tile) * p.channels * p.outputs * sizeof(float) > kMostBytes) return std::nullopt;
    const size_t side = winograd_outputs(*tile), tiles = batch * ((p.out_h + side - 1) / side) * ((p.out_w + side - 1) / side);
    return tiles < kLeastTiles ? std::nullopt : tile;
  }

  void pack_winograd(RunContext& ctx, const State& s, const float* w, void* packed) const {
    float* const between = ctx.scratch<float>(s.between_at);
    float* const turned = ctx.scratch<float>(s.turned_at);
    parallel(ctx.pool(), s.outputs, 4, [&](size_t begin, size_t end, int) {
      if (transposed_) {
        // [C][taps][O] as [O][taps turned about][C].
        for (size_t o = begin; o < end; ++o) {
          for (size_t t = 0; t < 9; ++t) {
            for (size_t c = 0; c < s.channels; ++c) turned[(o * 9 + t) * s.channels + c] = w[(c * 9 + 8 - t) * s.outputs + o];
          }
        }
      }
      s.winograd->transform(transposed_ ? turned : w, between, begin, end);
    });
    parallel(ctx.pool(), s.winograd->matrices(), 1, [&](size_t begin, size_t end, int) { s.winograd->pack(between, packed, begin, end); });
  }

  void run_direct(RunContext& ctx, const State& s, const float* x, const float* w, char* packed, const float* zeros, float* y, const EpilogueF32& epilogue) const {
    const size_t groups = static_cast<size_t>(groups_), k = s.taps.taps * s.channels;
    for (size_t g = 0; g < groups; ++g) {
      const size_t at = g * s.outputs;
      gemm_.pack(s.outputs, k, w + at * k, k, 1, packed + g * s.group_bytes);
      ConvF32Args args;
      args.rows = s.rows;
      args.n = s.outputs;
      args.taps = s.taps.taps_for(s.channels, s.batch_stride);
      args.base = x + g * s.channels;
      args.zero = zeros;
      args.packed_b = packed + g * s.group_bytes;
      args.c = y + at;
      args.ldc = s.outputs * groups;
      args.epilogue = epilogue;
      if (epilogue.bias != nullptr) args.epilogue.bias += at;
      if (epilogue.residual != nullptr) args.epilogue.residual += at;
      run_tiles(ctx.pool(), args.rows, args.n, gemm_.m_step, gemm_.n_step, s.rows * args.n * k,
                [&](size_t m0, size_t m1, size_t n0, size_t n1) { gemm_.conv(args, m0, m1, n0, n1); });
    }
  }

  KernelTable kernels_;
  const GemmF32Variant& gemm_;
  const DwconvF32Variant& dwconv_;
  Clamp clamp_;
  Window2d window_;
  bool transposed_ = false;
  std::array<int64_t, 2> output_padding_{};
  int64_t groups_ = 1;
};

constexpr OpKind kOps[] = {
    {"cpu.conv_variable", 2, 4, 1, 1, create_op<ConvVariable>},
    {"cpu.conv_transpose_variable", 2, 3, 1, 1, create_op<ConvVariable>},
};

}  // namespace

OpList conv_variable_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec

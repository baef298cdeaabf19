#include "exec/ops/winograd.h"

#include <algorithm>

#include "exec/ops/common.h"

namespace cec {
namespace {

size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }

/// Cycles per vector of channels and tile, transforms with their loads and stores (measured on Zen 3 and Sapphire Rapids).
struct TransformCost {
  double input, output;
};
constexpr TransformCost cost_of(WinogradTile tile) { return tile == WinogradTile::f2 ? TransformCost{50, 40} : TransformCost{130, 110}; }

/// Workspace that is aimed at: larger blocks read the weights fewer times.
constexpr size_t kWorkspaceBytes = 768 * 1024;
/// Above this, weights come from memory in every run, at the rate that one core of a shared machine gets.
constexpr double kCachedBytes = 8 << 20;
constexpr double kBytesPerCycle = 1.6;

double with_weights(double cycles, double bytes) { return bytes > kCachedBytes ? std::max(cycles, bytes / kBytesPerCycle) : cycles; }

/// Blocks of `step` rows and more, of equal size: a last one of few rows would be slow.
WinogradSchedule schedule_of(const WinogradProblem& p, size_t outputs, size_t batch, size_t tile_bytes, size_t step, PrepareContext& ctx) {
  WinogradSchedule s;
  s.shape = {p.in_h, p.in_w, p.out_h, p.out_w, p.pad_top, p.pad_left, ceil_div(p.out_h, outputs), ceil_div(p.out_w, outputs)};
  s.tiles = batch * s.shape.tiles_h * s.shape.tiles_w;
  s.block = std::clamp(kWorkspaceBytes / tile_bytes / step * step, 2 * step, 16 * step);
  const size_t threads = static_cast<size_t>(ctx.threads());
  s.by_blocks = threads == 1 || ceil_div(s.tiles, s.block) >= 3 * threads;
  if (s.tiles != 0) s.block = ceil_div(ceil_div(s.tiles, ceil_div(s.tiles, s.block)), 2) * 2;
  s.workspace = (s.block * tile_bytes + 63) / 64 * 64;
  s.scratch = ctx.scratch(s.workspace * (s.by_blocks ? threads : 1));
  return s;
}

/// Runs the three steps over all blocks. input and output: (workspace, row of the block, first tile, last tile); multiply: (workspace, rows,
/// first matrix, last matrix).
template <typename Input, typename Multiply, typename Output>
void run_schedule(const WinogradSchedule& s, size_t matrices, RunContext& ctx, const Input& input, const Multiply& multiply, const Output& output) {
  char* const base = ctx.scratch<char>(s.scratch);
  const size_t blocks = ceil_div(s.tiles, s.block);
  if (s.by_blocks) {
    parallel(ctx.pool(), blocks, 1, [&](size_t begin, size_t end, int worker) {
      char* const workspace = base + static_cast<size_t>(worker) * s.workspace;
      for (size_t block = begin; block < end; ++block) {
        const size_t tile0 = block * s.block, tile1 = std::min(tile0 + s.block, s.tiles);
        input(workspace, size_t{0}, tile0, tile1);
        multiply(workspace, tile1 - tile0, size_t{0}, matrices);
        output(workspace, size_t{0}, tile0, tile1);
      }
    });
    return;
  }
  // Few blocks: all workers share each step, and each reads its part of the weights only.
  for (size_t tile0 = 0; tile0 < s.tiles; tile0 += s.block) {
    const size_t rows = std::min(s.block, s.tiles - tile0);
    parallel(ctx.pool(), rows, 1, [&](size_t begin, size_t end, int) { input(base, begin, tile0 + begin, tile0 + end); });
    parallel(ctx.pool(), matrices, 1, [&](size_t begin, size_t end, int) { multiply(base, rows, begin, end); });
    parallel(ctx.pool(), rows, 1, [&](size_t begin, size_t end, int) { output(base, begin, tile0 + begin, tile0 + end); });
  }
}

}  // namespace

bool fits_winograd(const Window2d& window, int64_t groups) {
  const std::array<int64_t, 2> ones{1, 1}, threes{3, 3};
  return window.kernel == threes && window.stride == ones && window.dilation == ones && groups == 1;
}

WinogradProblem winograd_problem_of(const Window2d& window, int64_t in_h, int64_t in_w, int64_t channels, int64_t outputs) {
  WinogradProblem p;
  p.in_h = static_cast<size_t>(in_h);
  p.in_w = static_cast<size_t>(in_w);
  p.out_h = static_cast<size_t>(in_h + window.pads[0] + window.pads[2] - 2);
  p.out_w = static_cast<size_t>(in_w + window.pads[1] + window.pads[3] - 2);
  p.pad_top = window.pads[0];
  p.pad_left = window.pads[1];
  p.channels = static_cast<size_t>(channels);
  p.outputs = static_cast<size_t>(outputs);
  return p;
}

std::optional<WinogradTile> choose_winograd(const WinogradProblem& p, Isa isa) {
  const size_t lanes = isa >= Isa::avx512 ? 16 : isa >= Isa::avx2 ? 8 : 1;
  if (lanes == 1) return std::nullopt;  // the scalar engine is the reference: it keeps the direct form
  const double rate = 2.0 * static_cast<double>(lanes) * 0.9;  // multiply-adds a cycle
  const double products = static_cast<double>(p.channels * p.outputs);
  std::optional<WinogradTile> best;
  double least = 0.85 * with_weights(9 * products * static_cast<double>(p.out_h * p.out_w) / rate, 9 * products * 4);
  for (const WinogradTile tile : {WinogradTile::f2, WinogradTile::f4}) {
    const size_t outputs = winograd_outputs(tile);
    const double tiles = static_cast<double>(ceil_div(p.out_h, outputs) * ceil_div(p.out_w, outputs));
    const double matrices = static_cast<double>(winograd_matrices(tile));
    const TransformCost cost = cost_of(tile);
    const double transforms = cost.input * static_cast<double>(ceil_div(p.channels, lanes)) + cost.output * static_cast<double>(ceil_div(p.outputs, lanes));
    // Few rows leave register tiles half empty.
    const double filled = std::min(1.0, tiles / 12.0);
    const double cycles = with_weights(tiles * (matrices * products / (rate * filled) * 1.1 + transforms), matrices * products * 4);
    // The larger tile must earn its rounding and its weights.
    if (cycles < least * (best.has_value() ? 0.9 : 1.0)) {
      least = cycles;
      best = tile;
    }
  }
  return best;
}

bool choose_winograd_q(const WinogradProblem& p, Isa isa) {
  // Where vpmaddwd is the exact multiplier: VNNI's multiplies twice as many bytes.
  if (isa != Isa::avx2 || p.channels > kWinogradQChannels) return false;
  const double rate = 22, products = static_cast<double>(p.channels * p.outputs);
  const double direct = with_weights(9 * products * static_cast<double>(p.out_h * p.out_w) / rate, 9 * products);
  const double tiles = static_cast<double>(ceil_div(p.out_h, 2) * ceil_div(p.out_w, 2));
  const double transforms = 90 * static_cast<double>(ceil_div(p.channels, 16)) + 35 * static_cast<double>(ceil_div(p.outputs, 8));
  const double filled = std::min(1.0, tiles / 12.0);
  return with_weights(tiles * (16 * products / (rate * filled) + transforms), 16 * products * 2) < 0.85 * direct;
}

WinogradConv::WinogradConv(WinogradTile tile, size_t channels, size_t outputs, const KernelTable& kernels)
    : tile_(tile), channels_(channels), outputs_(outputs), gemm_(*kernels.gemm_f32), transform_(*kernels.winograd_f32), stride_(gemm_.packed_bytes(outputs, channels)) {}

void WinogradConv::pack(const float* transformed, void* packed, size_t begin, size_t end) const {
  for (size_t i = begin; i < end; ++i) gemm_.pack(outputs_, channels_, transformed + i * channels_ * outputs_, channels_, 1, static_cast<char*>(packed) + i * stride_);
}

WinogradSchedule WinogradConv::plan(const WinogradProblem& p, size_t batch, PrepareContext& ctx) const {
  return schedule_of(p, winograd_outputs(tile_), batch, winograd_matrices(tile_) * (channels_ + outputs_) * sizeof(float), gemm_.m_step, ctx);
}

void WinogradConv::run(const WinogradSchedule& s, const void* packed, const float* x, const float* zero, float* y, const EpilogueF32& epilogue, RunContext& ctx) const {
  const size_t matrices = winograd_matrices(tile_), in_stride = s.block * channels_, out_stride = s.block * outputs_;
  const auto transformed = [](char* workspace) { return reinterpret_cast<float*>(workspace); };
  const auto products = [&](char* workspace) { return transformed(workspace) + matrices * in_stride; };
  run_schedule(
      s, matrices, ctx,
      [&](char* workspace, size_t row, size_t tile0, size_t tile1) {
        WinogradInputArgs args;
        args.shape = s.shape;
        args.x = x;
        args.channels = channels_;
        args.zero = zero;
        args.v = transformed(workspace) + row * channels_;
        args.stride = in_stride;
        transform_.input(tile_, args, tile0, tile1);
      },
      [&](char* workspace, size_t rows, size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
          GemmF32Args args;
          args.m = rows;
          args.n = args.ldc = outputs_;
          args.k = args.lda = channels_;
          args.a = transformed(workspace) + i * in_stride;
          args.packed_b = static_cast<const char*>(packed) + i * stride_;
          args.c = products(workspace) + i * out_stride;
          gemm_.gemm(args, 0, rows, 0, outputs_);
        }
      },
      [&](char* workspace, size_t row, size_t tile0, size_t tile1) {
        WinogradOutputArgs args;
        args.shape = s.shape;
        args.products = products(workspace) + row * outputs_;
        args.stride = out_stride;
        args.channels = args.ldc = outputs_;
        args.c = y;
        args.epilogue = epilogue;
        transform_.output(tile_, args, tile0, tile1);
      });
}

WinogradQWeights::WinogradQWeights(size_t channels, size_t outputs, const int8_t* w, const int32_t* bias, const KernelTable& kernels)
    : channels_(channels), outputs_(outputs), kernel_(*kernels.winograd_q), bias_(winograd_q_row(outputs)) {
  if (bias != nullptr) std::copy(bias, bias + outputs, bias_.begin());
  stride_ = kernel_.packed_bytes(outputs, channels);
  bytes_ = stride_ * 16;
  packed_ = allocate_aligned(bytes_);
  std::vector<int16_t> transformed(16 * channels * outputs);
  winograd_weights_q(outputs, channels, w, transformed.data());
  for (size_t i = 0; i < 16; ++i) kernel_.pack(outputs, channels, transformed.data() + i * channels * outputs, static_cast<char*>(packed_.get()) + i * stride_);
}

WinogradSchedule WinogradQWeights::plan(const WinogradProblem& p, size_t batch, PrepareContext& ctx) const {
  const size_t tile_bytes = 16 * (winograd_q_row(channels_) * sizeof(int16_t) + winograd_q_row(outputs_) * sizeof(int32_t));
  return schedule_of(p, 2, batch, tile_bytes, std::max<size_t>(kernel_.m_step, 2), ctx);
}

void WinogradQWeights::run(const WinogradSchedule& s, const void* x, Q8 type, int32_t zp, void* y, const EpilogueQ& epilogue, RunContext& ctx) const {
  const size_t in_row = winograd_q_row(channels_), out_row = winograd_q_row(outputs_), in_stride = s.block * in_row, out_stride = s.block * out_row;
  // Products first: their rows are the stricter in alignment.
  const auto products = [](char* workspace) { return reinterpret_cast<int32_t*>(workspace); };
  const auto transformed = [&](char* workspace) { return reinterpret_cast<int16_t*>(products(workspace) + 16 * out_stride); };
  run_schedule(
      s, 16, ctx,
      [&](char* workspace, size_t row, size_t tile0, size_t tile1) {
        WinogradQInputArgs args;
        args.shape = s.shape;
        args.x = x;
        args.type = type;
        args.zp = zp;
        args.channels = channels_;
        args.v = transformed(workspace) + row * in_row;
        args.stride = in_stride;
        kernel_.input(args, tile0, tile1);
      },
      [&](char* workspace, size_t rows, size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
          kernel_.multiply(rows, outputs_, channels_, transformed(workspace) + i * in_stride, static_cast<const char*>(packed_.get()) + i * stride_,
                           products(workspace) + i * out_stride);
        }
      },
      [&](char* workspace, size_t row, size_t tile0, size_t tile1) {
        WinogradQOutputArgs args;
        args.shape = s.shape;
        args.products = products(workspace) + row * out_row;
        args.stride = out_stride;
        args.channels = args.ldc = outputs_;
        args.bias = bias_.data();
        args.c = y;
        args.epilogue = epilogue;
        kernel_.output(args, tile0, tile1);
      });
}

}  // namespace cec

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

}  // namespace

std::optional<WinogradTile> choose_winograd(const WinogradProblem& p, Isa isa) {
  const size_t lanes = isa >= Isa::avx512 ? 16 : isa >= Isa::avx2 ? 8 : 1;
  if (lanes == 1) return std::nullopt;  // the scalar engine is the reference: it keeps the direct form
  const double rate = 2.0 * static_cast<double>(lanes) * 0.9;  // multiply-adds a cycle
  const double products = static_cast<double>(p.channels * p.outputs);
  const auto with_weights = [](double cycles, double bytes) { return bytes > kCachedBytes ? std::max(cycles, bytes / kBytesPerCycle) : cycles; };
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

WinogradWeights::WinogradWeights(WinogradTile tile, size_t channels, size_t outputs, const float* w, const KernelTable& kernels)
    : tile_(tile), channels_(channels), outputs_(outputs), gemm_(*kernels.gemm_f32), transform_(*kernels.winograd_f32) {
  const size_t matrices = winograd_matrices(tile);
  stride_ = gemm_.packed_bytes(outputs, channels);
  bytes_ = stride_ * matrices;
  packed_ = allocate_aligned(bytes_);
  std::vector<float> transformed(matrices * channels * outputs);
  winograd_weights(tile, outputs, channels, w, transformed.data());
  for (size_t i = 0; i < matrices; ++i) {
    gemm_.pack(outputs, channels, transformed.data() + i * channels * outputs, 1, outputs, static_cast<char*>(packed_.get()) + i * stride_);
  }
}

WinogradWeights::Schedule WinogradWeights::plan(const WinogradProblem& p, size_t batch, PrepareContext& ctx) const {
  Schedule s;
  const size_t outputs = winograd_outputs(tile_);
  s.shape = {p.in_h, p.in_w, p.out_h, p.out_w, p.pad_top, p.pad_left, ceil_div(p.out_h, outputs), ceil_div(p.out_w, outputs)};
  s.tiles = batch * s.shape.tiles_h * s.shape.tiles_w;
  const size_t floats = winograd_matrices(tile_) * (channels_ + outputs_);
  const size_t step = gemm_.m_step;
  s.block = std::clamp(kWorkspaceBytes / 4 / floats / step * step, 2 * step, 16 * step);
  const size_t threads = static_cast<size_t>(ctx.threads());
  s.by_blocks = threads == 1 || ceil_div(s.tiles, s.block) >= 3 * threads;
  // Blocks of equal size: a last one of few rows would be slow.
  s.block = ceil_div(ceil_div(s.tiles, ceil_div(s.tiles, s.block)), 2) * 2;
  s.workspace = s.block * floats;
  s.scratch = ctx.scratch(s.workspace * 4 * (s.by_blocks ? threads : 1));
  return s;
}

/// Products of matrices [begin, end) for `rows` tiles.
void WinogradWeights::multiply(const Schedule& s, float* workspace, size_t rows, size_t begin, size_t end) const {
  float* const products = workspace + winograd_matrices(tile_) * s.block * channels_;
  for (size_t i = begin; i < end; ++i) {
    GemmF32Args args;
    args.m = rows;
    args.n = outputs_;
    args.k = args.lda = channels_;
    args.a = workspace + i * s.block * channels_;
    args.packed_b = static_cast<const char*>(packed_.get()) + i * stride_;
    args.c = products + i * s.block * outputs_;
    args.ldc = outputs_;
    gemm_.gemm(args, 0, rows, 0, outputs_);
  }
}

void WinogradWeights::run(const Schedule& s, const float* x, const float* zero, float* y, const EpilogueF32& epilogue, RunContext& ctx) const {
  const size_t matrices = winograd_matrices(tile_);
  float* const base = ctx.scratch<float>(s.scratch);
  const auto step = [&](size_t block, float* workspace, auto&& each) {
    const size_t tile0 = block * s.block, tile1 = std::min(tile0 + s.block, s.tiles);
    WinogradInputArgs in;
    in.shape = s.shape;
    in.x = x;
    in.channels = channels_;
    in.zero = zero;
    in.v = workspace;
    in.stride = s.block * channels_;
    WinogradOutputArgs out;
    out.shape = s.shape;
    out.products = workspace + matrices * s.block * channels_;
    out.stride = s.block * outputs_;
    out.channels = outputs_;
    out.c = y;
    out.ldc = outputs_;
    out.epilogue = epilogue;
    each(tile0, tile1, in, out);
  };
  const size_t blocks = ceil_div(s.tiles, s.block);
  if (s.by_blocks) {
    parallel(ctx.pool(), blocks, 1, [&](size_t begin, size_t end, int worker) {
      float* const workspace = base + static_cast<size_t>(worker) * s.workspace;
      for (size_t block = begin; block < end; ++block) {
        step(block, workspace, [&](size_t tile0, size_t tile1, const WinogradInputArgs& in, const WinogradOutputArgs& out) {
          transform_.input(tile_, in, tile0, tile1);
          multiply(s, workspace, tile1 - tile0, 0, matrices);
          transform_.output(tile_, out, tile0, tile1);
        });
      }
    });
    return;
  }
  // Few blocks: all workers share each step, and each reads its part of the weights only.
  for (size_t block = 0; block < blocks; ++block) {
    step(block, base, [&](size_t tile0, size_t tile1, const WinogradInputArgs& in, const WinogradOutputArgs& out) {
      parallel(ctx.pool(), tile1 - tile0, 1, [&](size_t begin, size_t end, int) {
        WinogradInputArgs part = in;
        part.v += begin * channels_;
        transform_.input(tile_, part, tile0 + begin, tile0 + end);
      });
      parallel(ctx.pool(), matrices, 1, [&](size_t begin, size_t end, int) { multiply(s, base, tile1 - tile0, begin, end); });
      parallel(ctx.pool(), tile1 - tile0, 1, [&](size_t begin, size_t end, int) {
        WinogradOutputArgs part = out;
        part.products += begin * outputs_;
        transform_.output(tile_, part, tile0 + begin, tile0 + end);
      });
    });
  }
}

}  // namespace cec

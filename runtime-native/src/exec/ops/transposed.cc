#include "exec/ops/transposed.h"

#include <map>

namespace cec {
namespace {

/// The table of some taps for the output pixels (top + i * step, left + j * step).
TapTable gather_taps(const Window2d& window, const Shape& x, const std::array<int64_t, 2>& first, const std::array<int64_t, 2>& step, const std::array<int64_t, 2>& positions, const std::vector<size_t>& kernel) {
  const int64_t pixels = positions[0] * positions[1], count = static_cast<int64_t>(kernel.size());
  check_taps(count, pixels, x[1] * x[2] * x[3]);
  TapTable table;
  table.pixels = static_cast<size_t>(pixels);
  table.taps = kernel.size();
  table.offsets.reserve(table.pixels * table.taps);
  const auto source = [&](size_t axis, int64_t i, int64_t tap) -> int64_t {
    const int64_t at = first[axis] + i * step[axis] + window.pads[axis] - tap * window.dilation[axis];
    if (at < 0 || at % window.stride[axis] != 0) return -1;
    const int64_t in_at = at / window.stride[axis];
    return in_at < x[static_cast<int>(axis) + 1] ? in_at : -1;
  };
  for (int64_t i = 0; i < positions[0]; ++i) {
    for (int64_t j = 0; j < positions[1]; ++j) {
      for (const size_t tap : kernel) {
        const int64_t iy = source(0, i, static_cast<int64_t>(tap) / window.kernel[1]), ix = source(1, j, static_cast<int64_t>(tap) % window.kernel[1]);
        table.offsets.push_back(iy < 0 || ix < 0 ? -1 : static_cast<int32_t>((iy * x[2] + ix) * x[3]));
      }
    }
  }
  return table;
}

}  // namespace

std::array<int64_t, 2> read_output_padding(const Attrs& attrs, const Window2d& window) {
  const std::vector<int64_t> extra = attrs.integers("output_padding", {0, 0});
  if (extra.size() != 2) reject("output_padding must have 2 values");
  for (size_t i = 0; i < 2; ++i) {
    if (extra[i] < 0 || extra[i] >= std::max(window.stride[i], window.dilation[i])) reject("output_padding holds " + std::to_string(extra[i]) + "; it must be less than the stride or the dilation");
  }
  return {extra[0], extra[1]};
}

std::array<int64_t, 2> transposed_output(const Window2d& window, const std::array<int64_t, 2>& output_padding, const Shape& x) {
  std::array<int64_t, 2> out{};
  for (size_t i = 0; i < 2; ++i) {
    const int64_t in = x[static_cast<int>(i) + 1];
    checked_bytes(DType::u8, Shape{in, window.stride[i]});
    out[i] = (in - 1) * window.stride[i] + output_padding[i] + (window.kernel[i] - 1) * window.dilation[i] + 1 - window.pads[i] - window.pads[i + 2];
    if (in == 0 || out[i] < 0) reject_shape("the padding leaves no result for an input of " + x.to_string());
  }
  return out;
}

TapTable transposed_taps(const Window2d& window, const Shape& x, const std::array<int64_t, 2>& out) {
  std::vector<size_t> kernel(static_cast<size_t>(window.kernel[0] * window.kernel[1]));
  for (size_t t = 0; t < kernel.size(); ++t) kernel[t] = t;
  return gather_taps(window, x, {0, 0}, {1, 1}, out, kernel);
}

TransposedConv::TransposedConv(const Window2d& window, size_t channels, size_t outputs, size_t groups, const GemmF32Variant& gemm)
    : window_(window), channels_(channels), outputs_(outputs), groups_(groups), gemm_(gemm) {
  // Tap t reaches the output pixels i * stride + t * dilation - pad: those of one remainder.
  const auto remainder = [&](size_t axis, int64_t tap) {
    const int64_t s = window.stride[axis];
    return ((tap * window.dilation[axis] - window.pads[axis]) % s + s) % s;
  };
  std::map<std::pair<int64_t, int64_t>, Phase> found;
  for (int64_t y = 0; y < window.kernel[0]; ++y) {
    for (int64_t x = 0; x < window.kernel[1]; ++x) found[{remainder(0, y), remainder(1, x)}].kernel.push_back(static_cast<size_t>(y * window.kernel[1] + x));
  }
  for (auto& [first, phase] : found) {
    phase.top = static_cast<size_t>(first.first);
    phase.left = static_cast<size_t>(first.second);
    phase.packed = packed_bytes_;
    phase.stride = gemm_.packed_bytes(outputs_, phase.kernel.size() * channels_);
    packed_bytes_ += phase.stride * groups_;
    most_taps_ = std::max(most_taps_, phase.kernel.size());
    phases_.push_back(std::move(phase));
  }
}

void TransposedConv::pack(const float* w, float* turned, void* packed) const {
  const size_t all = static_cast<size_t>(window_.kernel[0] * window_.kernel[1]);
  for (const Phase& phase : phases_) {
    const size_t taps = phase.kernel.size(), k = taps * channels_;
    for (size_t g = 0; g < groups_; ++g) {
      // [C][taps][O] as [O][taps][C].
      for (size_t c = 0; c < channels_; ++c) {
        for (size_t t = 0; t < taps; ++t) {
          const float* const from = w + ((g * channels_ + c) * all + phase.kernel[t]) * outputs_;
          for (size_t o = 0; o < outputs_; ++o) turned[(o * taps + t) * channels_ + c] = from[o];
        }
      }
      gemm_.pack(outputs_, k, turned, k, 1, static_cast<char*>(packed) + phase.packed + g * phase.stride);
    }
  }
}

TransposedConv::Plan TransposedConv::plan(const Shape& x, const std::array<int64_t, 2>& out, PrepareContext& ctx) const {
  Plan p;
  p.images = static_cast<size_t>(x[0]);
  p.batch_stride = static_cast<size_t>(x[1] * x[2] * x[3]);
  p.out_h = static_cast<size_t>(out[0]);
  p.out_w = static_cast<size_t>(out[1]);
  for (const Phase& phase : phases_) {
    const std::array<int64_t, 2> first{static_cast<int64_t>(phase.top), static_cast<int64_t>(phase.left)};
    std::array<int64_t, 2> positions{};
    for (size_t a = 0; a < 2; ++a) positions[a] = out[a] <= first[a] ? 0 : (out[a] - first[a] - 1) / window_.stride[a] + 1;
    p.phases.push_back({gather_taps(window_, x, first, window_.stride, positions, phase.kernel), static_cast<size_t>(positions[1])});
  }
  if (!whole()) {
    // Results of so many floats are still in the first-level cache when they are put in their places.
    constexpr size_t kChunkFloats = 4096;
    p.chunk = std::max<size_t>(1, kChunkFloats / outputs_ / gemm_.m_step) * gemm_.m_step;
    p.scratch = ctx.scratch(p.chunk * outputs_ * sizeof(float) * static_cast<size_t>(ctx.threads()));
  }
  return p;
}

void TransposedConv::run(const Plan& p, const void* packed, const float* x, const float* zero, float* y, const EpilogueF32& epilogue, RunContext& ctx) const {
  const size_t ldc = outputs_ * groups_, stride_h = static_cast<size_t>(window_.stride[0]), stride_w = static_cast<size_t>(window_.stride[1]);
  // Pixels that no tap reaches hold the bias; the phases then write the others.
  if (phases_.size() < stride_h * stride_w) fill_rows(ctx.pool(), epilogue, p.images * p.out_h * p.out_w, ldc, y);
  for (size_t i = 0; i < phases_.size(); ++i) {
    const Phase& phase = phases_[i];
    const TapTable& table = p.phases[i].taps;
    if (table.pixels == 0) continue;
    for (size_t g = 0; g < groups_; ++g) {
      ConvF32Args args;
      args.n = outputs_;
      args.taps = table.taps_for(channels_, p.batch_stride);
      args.base = x + g * channels_;
      args.zero = zero;
      args.packed_b = static_cast<const char*>(packed) + phase.packed + g * phase.stride;
      args.epilogue = epilogue;
      if (epilogue.bias != nullptr) args.epilogue.bias += g * outputs_;
      if (whole()) {
        args.rows = p.images * table.pixels;
        args.c = y + g * outputs_;
        args.ldc = ldc;
        run_tiles(ctx.pool(), args.rows, args.n, gemm_.m_step, gemm_.n_step, args.rows * args.n * table.taps * channels_,
                  [&](size_t m0, size_t m1, size_t n0, size_t n1) { gemm_.conv(args, m0, m1, n0, n1); });
        continue;
      }
      const size_t chunks = (table.pixels + p.chunk - 1) / p.chunk, width = p.phases[i].width;
      const size_t work = 1 + std::min(p.chunk, table.pixels) * outputs_ * table.taps * channels_;
      parallel(ctx.pool(), p.images * chunks, 1 + kLeastWork / work, [&](size_t begin, size_t end, int worker) {
        ConvF32Args part = args;
        part.c = ctx.scratch<float>(p.scratch) + static_cast<size_t>(worker) * p.chunk * outputs_;
        part.ldc = outputs_;
        for (size_t job = begin; job < end; ++job) {
          const size_t image = job / chunks, from = job % chunks * p.chunk, to = std::min(from + p.chunk, table.pixels);
          part.rows = part.taps.pixels = to - from;
          part.taps.offsets = table.offsets.data() + from * table.taps;
          part.base = args.base + image * p.batch_stride;
          gemm_.conv(part, 0, part.rows, 0, part.n);
          const float* row = part.c;
          for (size_t pixel = from; pixel < to; ++pixel, row += outputs_) {
            const size_t oy = phase.top + pixel / width * stride_h, ox = phase.left + pixel % width * stride_w;
            std::copy(row, row + outputs_, y + ((image * p.out_h + oy) * p.out_w + ox) * ldc + g * outputs_);
          }
        }
      });
    }
  }
}

}  // namespace cec

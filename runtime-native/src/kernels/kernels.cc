#include "kernels.h"

#include <array>

namespace cec {
namespace {

// The last variant of the list that a CPU of level `isa` is sure to run. Lists are ordered by level and begin with the scalar one.
template <class Variant, size_t N>
const Variant* pick(const Variant* const (&list)[N], Isa isa) {
  const Variant* best = list[0];
  for (const Variant* v : list) {
    if (isa_includes(isa, v->isa)) best = v;
  }
  return best;
}

#define CEC_KERNEL_VARIANT(isa, name) &name,
const GemmF32Variant* const kGemmF32[] = {
#include "gemm_f32/variants.inc"
};
const GemmBf16Variant* const kGemmBf16[] = {
#include "gemm_bf16/variants.inc"
};
const WinogradF32Variant* const kWinogradF32[] = {
#include "winograd_f32/variants.inc"
};
const GemmQVariant* const kGemmQ[] = {
#include "gemm_u8s8_s32/variants.inc"
};
const WinogradQVariant* const kWinogradQ[] = {
#include "winograd_u8s8_s32/variants.inc"
};
const DwconvF32Variant* const kDwconvF32[] = {
#include "dwconv_f32/variants.inc"
};
const DwconvQVariant* const kDwconvQ[] = {
#include "dwconv_u8s8_s32/variants.inc"
};
const PoolVariant* const kPool[] = {
#include "pool/variants.inc"
};
const ElementwiseF32Variant* const kElementwise[] = {
#include "elementwise_f32/variants.inc"
};
const RowsF32Variant* const kRows[] = {
#include "rows_f32/variants.inc"
};
const Quantize8Variant* const kQuantize[] = {
#include "quantize_8bit/variants.inc"
};
const LayoutVariant* const kLayout[] = {
#include "layout/variants.inc"
};
const StatsF32Variant* const kStats[] = {
#include "stats_f32/variants.inc"
};
const ConvWgradF32Variant* const kConvWgrad[] = {
#include "conv_wgrad_f32/variants.inc"
};
const BatchNormF32Variant* const kBatchNorm[] = {
#include "batch_norm_f32/variants.inc"
};
const TrainingF32Variant* const kTraining[] = {
#include "training_f32/variants.inc"
};
const HalfF32Variant* const kHalf[] = {
#include "half_f32/variants.inc"
};
#undef CEC_KERNEL_VARIANT

KernelTable make_table(Isa isa) {
  return {isa,
          pick(kGemmF32, isa),
          pick(kGemmBf16, isa),
          pick(kWinogradF32, isa),
          pick(kGemmQ, isa),
          pick(kWinogradQ, isa),
          pick(kDwconvF32, isa),
          pick(kDwconvQ, isa),
          pick(kPool, isa),
          pick(kElementwise, isa),
          pick(kRows, isa),
          pick(kQuantize, isa),
          pick(kLayout, isa),
          pick(kStats, isa),
          pick(kConvWgrad, isa),
          pick(kBatchNorm, isa),
          pick(kTraining, isa),
          pick(kHalf, isa)};
}

template <class Variant, size_t N>
void append(std::vector<KernelInfo>& out, const char* family, const Variant* const (&list)[N]) {
  const Variant* selected = pick(list, active_isa());
  for (const Variant* v : list) out.push_back({family, v->name, v->isa, isa_supported(v->isa), v == selected});
}

}  // namespace

const KernelTable& kernels_for(Isa isa) {
  static const std::array<KernelTable, kIsaCount> tables = [] {
    std::array<KernelTable, kIsaCount> all;
    for (int i = 0; i < kIsaCount; ++i) all[static_cast<size_t>(i)] = make_table(static_cast<Isa>(i));
    return all;
  }();
  return tables[static_cast<size_t>(isa)];
}

const KernelTable& kernels() {
  static const KernelTable& table = kernels_for(active_isa());
  return table;
}

std::vector<KernelInfo> list_kernels() {
  std::vector<KernelInfo> out;
  append(out, "gemm_f32", kGemmF32);
  append(out, "gemm_bf16", kGemmBf16);
  append(out, "winograd_f32", kWinogradF32);
  append(out, "gemm_u8s8_s32", kGemmQ);
  append(out, "winograd_u8s8_s32", kWinogradQ);
  append(out, "dwconv_f32", kDwconvF32);
  append(out, "dwconv_u8s8_s32", kDwconvQ);
  append(out, "pool", kPool);
  append(out, "elementwise_f32", kElementwise);
  append(out, "rows_f32", kRows);
  append(out, "quantize_8bit", kQuantize);
  append(out, "layout", kLayout);
  append(out, "stats_f32", kStats);
  append(out, "conv_wgrad_f32", kConvWgrad);
  append(out, "batch_norm_f32", kBatchNorm);
  append(out, "training_f32", kTraining);
  append(out, "half_f32", kHalf);
  return out;
}

void build_tap_offsets(const TapGeometry& g, int32_t* offsets) {
  for (size_t oy = 0; oy < g.out_h; ++oy) {
    for (size_t ox = 0; ox < g.out_w; ++ox) {
      for (size_t ky = 0; ky < g.kernel_h; ++ky) {
        const ptrdiff_t y = static_cast<ptrdiff_t>(oy * g.stride_h + ky * g.dilation_h) - g.pad_top;
        for (size_t kx = 0; kx < g.kernel_w; ++kx) {
          const ptrdiff_t x = static_cast<ptrdiff_t>(ox * g.stride_w + kx * g.dilation_w) - g.pad_left;
          const bool inside = y >= 0 && x >= 0 && y < static_cast<ptrdiff_t>(g.in_h) && x < static_cast<ptrdiff_t>(g.in_w);
          *offsets++ = inside ? static_cast<int32_t>((static_cast<size_t>(y) * g.in_w + static_cast<size_t>(x)) * g.pixel_stride) : -1;
        }
      }
    }
  }
}

}  // namespace cec

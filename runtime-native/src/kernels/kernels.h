// The dispatch table: for each kernel family the variant to use on a given instruction-set level.
#pragma once

#include <vector>

#include "common.h"
#include "batch_norm_f32/batch_norm_f32.h"
#include "conv_wgrad_f32/conv_wgrad_f32.h"
#include "dwconv_f32/dwconv_f32.h"
#include "dwconv_u8s8_s32/dwconv_u8s8_s32.h"
#include "elementwise_f32/elementwise_f32.h"
#include "gemm_bf16/gemm_bf16.h"
#include "gemm_f32/gemm_f32.h"
#include "gemm_u8s8_s32/gemm_u8s8_s32.h"
#include "half_f32/half_f32.h"
#include "layout/layout.h"
#include "pool/pool.h"
#include "quantize_8bit/quantize_8bit.h"
#include "rows_f32/rows_f32.h"
#include "stats_f32/stats_f32.h"
#include "training_f32/training_f32.h"
#include "winograd_f32/winograd_f32.h"
#include "winograd_u8s8_s32/winograd_u8s8_s32.h"

namespace cec {

struct KernelTable {
  Isa isa;  ///< the level that the table was made for; single variants may be of a lower one
  const GemmF32Variant* gemm_f32;
  const GemmBf16Variant* gemm_bf16;
  const WinogradF32Variant* winograd_f32;
  const GemmQVariant* gemm_q;
  const WinogradQVariant* winograd_q;
  const DwconvF32Variant* dwconv_f32;
  const DwconvQVariant* dwconv_q;
  const PoolVariant* pool;
  const ElementwiseF32Variant* elementwise;
  const RowsF32Variant* rows;
  const Quantize8Variant* quantize;
  const LayoutVariant* layout;
  const StatsF32Variant* stats;
  const ConvWgradF32Variant* conv_wgrad;
  const BatchNormF32Variant* batch_norm;
  const TrainingF32Variant* training;
  const HalfF32Variant* half;
};

/// The table for active_isa(). Packed weights belong to the table whose pack made them.
const KernelTable& kernels();

/// The table for one level: of each family the last variant that the level includes (isa_includes), the same on every machine. Calling its kernels needs isa_supported(isa).
const KernelTable& kernels_for(Isa isa);

/// One line per variant, for `cec doctor` and bench tables.
struct KernelInfo {
  const char* family;
  const char* name;
  Isa isa;
  bool supported;  ///< runs on this machine
  bool selected;   ///< the pick of kernels()
};
std::vector<KernelInfo> list_kernels();

}  // namespace cec

// Winograd forms of cpu.conv and cpu.qconv: choice by a cost model, packed weights, execution.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "exec/ops/common.h"

namespace cec {

/// A 3 x 3 convolution of stride 1 without dilation or groups.
struct WinogradProblem {
  size_t in_h = 0, in_w = 0, out_h = 0, out_w = 0;
  ptrdiff_t pad_top = 0, pad_left = 0;
  size_t channels = 0, outputs = 0;
};

/// A 3 x 3 kernel, stride 1, no dilation, no groups.
bool fits_winograd(const Window2d& window, int64_t groups);
WinogradProblem winograd_problem_of(const Window2d& window, int64_t in_h, int64_t in_w, int64_t channels, int64_t outputs);

/// The f32 form that takes the least time by a model, or none where the direct convolution does. Depends on one image's geometry and the vector
/// width only, so that a sample's result depends neither on its batch nor on the number of threads.
std::optional<WinogradTile> choose_winograd(const WinogradProblem& problem, Isa isa);
/// Whether the exact integer form takes less time than the direct one. `isa` is that of the direct kernel.
bool choose_winograd_q(const WinogradProblem& problem, Isa isa);

/// How a plan runs it: tiles go in blocks whose matrices fit the caches.
struct WinogradSchedule {
  WinogradShape shape;
  size_t tiles = 0;      // of the whole batch
  size_t block = 0;      // tiles at a time
  size_t scratch = 0;    // offset of the workspaces
  size_t workspace = 0;  // bytes of one
  bool by_blocks = true;  // a worker takes whole blocks; else all workers share the steps of each
};

/// One f32 convolution in Winograd form; its packed weights are the caller's.
class WinogradConv {
 public:
  WinogradConv(WinogradTile tile, size_t channels, size_t outputs, const KernelTable& kernels);
  /// The matrices between the two steps of packing.
  size_t transformed_bytes() const { return matrices() * channels_ * outputs_ * sizeof(float); }
  size_t packed_bytes() const { return stride_ * matrices(); }
  size_t matrices() const { return winograd_matrices(tile_); }
  /// First step, for outputs [begin, end) of `w`, which is [outputs][3][3][channels].
  void transform(const float* w, float* transformed, size_t begin, size_t end) const { winograd_weights(tile_, outputs_, channels_, w, transformed, begin, end); }
  /// Second step, for matrices [begin, end).
  void pack(const float* transformed, void* packed, size_t begin, size_t end) const;
  WinogradSchedule plan(const WinogradProblem& problem, size_t batch, PrepareContext& ctx) const;
  void run(const WinogradSchedule& schedule, const void* packed, const float* x, const float* zero, float* y, const EpilogueF32& epilogue, RunContext& ctx) const;

 private:
  WinogradTile tile_;
  size_t channels_, outputs_;
  const GemmF32Variant& gemm_;
  const WinogradF32Variant& transform_;
  size_t stride_ = 0;  // bytes of one packed matrix
};

/// The same for integers, F(2x2, 3x3), with weights of its own.
class WinogradQWeights {
 public:
  /// `bias` may be null.
  WinogradQWeights(size_t channels, size_t outputs, const int8_t* w, const int32_t* bias, const KernelTable& kernels);
  WinogradSchedule plan(const WinogradProblem& problem, size_t batch, PrepareContext& ctx) const;
  void run(const WinogradSchedule& schedule, const void* x, Q8 type, int32_t zp, void* y, const EpilogueQ& epilogue, RunContext& ctx) const;
  size_t bytes() const { return bytes_; }

 private:
  size_t channels_, outputs_;
  const WinogradQVariant& kernel_;
  std::shared_ptr<void> packed_;
  std::vector<int32_t> bias_;  // whole vectors
  size_t stride_ = 0;
  size_t bytes_ = 0;
};

}  // namespace cec

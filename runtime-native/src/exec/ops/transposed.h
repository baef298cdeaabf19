// Transposed convolutions, channels last, as gathers: an output pixel sums over the taps that reach it.
#pragma once

#include "exec/ops/common.h"

namespace cec {

/// The attribute `output_padding`, less than stride or dilation on each axis.
std::array<int64_t, 2> read_output_padding(const Attrs& attrs, const Window2d& window);
/// Height and width of the result for x [N,H,W,C]; rejects windows that leave none.
std::array<int64_t, 2> transposed_output(const Window2d& window, const std::array<int64_t, 2>& output_padding, const Shape& x);

/// For each output pixel and tap of the kernel the input pixel that is read; -1 where a tap does not reach the pixel.
TapTable transposed_taps(const Window2d& window, const Shape& x, const std::array<int64_t, 2>& out);

/// With strides, output pixels a stride apart are reached by the same few taps and their neighbours by others. Each such phase is a convolution with its own taps
/// alone, so that nothing is multiplied with zeros that the stride puts between pixels.
class TransposedConv {
 public:
  /// `channels` and `outputs` of one group.
  TransposedConv(const Window2d& window, size_t channels, size_t outputs, size_t groups, const GemmF32Variant& gemm);

  struct Plan {
    struct PhaseTaps {
      TapTable taps;     // its pixels are those of the phase
      size_t width = 0;  // pixels in a row
    };
    std::vector<PhaseTaps> phases;  // as in the op
    size_t images = 0, batch_stride = 0, out_h = 0, out_w = 0;
    size_t chunk = 0, scratch = 0;  // rows that a worker takes at a time, and where it puts them
  };

  size_t packed_bytes() const { return packed_bytes_; }
  /// What pack needs in between.
  size_t turned_bytes() const { return outputs_ * channels_ * most_taps_ * sizeof(float); }
  /// `w` is [C][taps][O / groups].
  void pack(const float* w, float* turned, void* packed) const;
  Plan plan(const Shape& x, const std::array<int64_t, 2>& out, PrepareContext& ctx) const;
  /// `zero`: as many zeros as x has channels. The epilogue has no residual.
  void run(const Plan& plan, const void* packed, const float* x, const float* zero, float* y, const EpilogueF32& epilogue, RunContext& ctx) const;

 private:
  struct Phase {
    size_t top = 0, left = 0;    // its first output pixel
    std::vector<size_t> kernel;  // its taps, ascending
    size_t packed = 0, stride = 0;  // bytes: the first group's weights, and from one group to the next
  };
  bool whole() const { return phases_.size() == 1 && window_.stride == std::array<int64_t, 2>{1, 1}; }

  Window2d window_;
  size_t channels_, outputs_, groups_;
  const GemmF32Variant& gemm_;
  std::vector<Phase> phases_;
  size_t packed_bytes_ = 0, most_taps_ = 0;
};

}  // namespace cec

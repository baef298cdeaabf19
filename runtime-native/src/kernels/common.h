// Types that all kernel contracts share. See src/kernels/README.md for the exact integer semantics.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "cec/cpu_features.h"

/// 1 where the x86-64 variants are built; variants.inc files ask it.
#ifndef CEC_KERNELS_X86
#if defined(__x86_64__) || defined(_M_X64)
#define CEC_KERNELS_X86 1
#else
#define CEC_KERNELS_X86 0
#endif
#endif
/// 1 where the AArch64 variants are built.
#ifndef CEC_KERNELS_ARM64
#if defined(__aarch64__) || defined(_M_ARM64)
#define CEC_KERNELS_ARM64 1
#else
#define CEC_KERNELS_ARM64 0
#endif
#endif

namespace cec {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The two 8-bit activation types.
enum class Q8 : uint8_t { u8, s8 };

/// What an integer GEMM or convolution writes.
enum class QOut : uint8_t { u8, s8, s32, f32 };

/// Alignment that packed weights need, in bytes. Activations need none beyond their element's.
inline constexpr size_t kPackedAlignment = 64;

/// How the input of a convolution or pool is found, NHWC, without materializing im2col.
///
/// Output pixel p (0 <= p < pixels, row-major over OH x OW) reads, for tap t (0 <= t < taps, row-major over kh x kw), the
/// `channels` contiguous elements that start `offsets[p * taps + t]` elements after the image's first element; a negative
/// offset means that the tap lies in the padding. Image b starts at base + b * batch_stride (elements).
/// Rows are numbered over the whole batch: row r is pixel r % pixels of image r / pixels. Offsets depend on the geometry
/// only, so they are built once per shape and shared by all images, groups and calls.
struct Taps {
  const int32_t* offsets = nullptr;  ///< [pixels][taps]
  size_t pixels = 0;                 ///< output pixels of one image
  size_t taps = 0;                   ///< kernel positions
  size_t channels = 0;               ///< elements read per tap (input channels of this group)
  size_t batch_stride = 0;           ///< elements between images
};

/// Geometry from which Taps::offsets are built.
struct TapGeometry {
  size_t in_h = 0, in_w = 0, out_h = 0, out_w = 0, kernel_h = 0, kernel_w = 0;
  size_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  ptrdiff_t pad_top = 0, pad_left = 0;
  size_t pixel_stride = 0;  ///< elements between neighbouring input pixels (all channels, not one group's)
};

/// Writes out_h * out_w * kernel_h * kernel_w offsets. The input image must have fewer than 2^31 elements.
void build_tap_offsets(const TapGeometry& geometry, int32_t* offsets);

}  // namespace cec

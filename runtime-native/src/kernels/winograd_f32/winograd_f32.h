// Winograd convolution in f32, 3 x 3, stride 1 (Lavin & Gray 2015, "Fast Algorithms for Convolutional Neural Networks"): the transforms around the
// products, which gemm_f32 does.
#pragma once

#include "../common.h"
#include "../gemm_f32/gemm_f32.h"

namespace cec {

/// F(2x2, 3x3) takes 2.25 times fewer multiplications than the direct form, F(4x4, 3x3) 4 times fewer, with more rounding.
enum class WinogradTile : uint8_t { f2, f4 };

/// Outputs of a tile along one axis.
constexpr size_t winograd_outputs(WinogradTile tile) { return tile == WinogradTile::f2 ? 2 : 4; }
/// Matrices of transformed values: (outputs + 2)^2.
constexpr size_t winograd_matrices(WinogradTile tile) { return tile == WinogradTile::f2 ? 16 : 36; }

/// How an image is cut. Tiles are numbered over the whole batch, row-major in an image; tile t covers output pixels
/// [outputs * (t / tiles_w), +outputs) x [outputs * (t % tiles_w), +outputs), what lies outside of the image being left out.
struct WinogradShape {
  size_t in_h = 0, in_w = 0, out_h = 0, out_w = 0;
  ptrdiff_t pad_top = 0, pad_left = 0;
  size_t tiles_h = 0, tiles_w = 0;
};

struct WinogradInputArgs {
  WinogradShape shape;
  const float* x = nullptr;  ///< NHWC
  size_t channels = 0;       ///< of the image: pixels are contiguous
  const float* zero = nullptr;  ///< `channels` zeros, read for padding
  float* v = nullptr;           ///< matrix i, row r: v + i * stride + r * channels
  size_t stride = 0;
};

struct WinogradOutputArgs {
  WinogradShape shape;
  const float* products = nullptr;  ///< matrix i, row r: products + i * stride + r * channels
  size_t stride = 0;
  size_t channels = 0;  ///< outputs
  float* c = nullptr;   ///< [batch * out_h * out_w][ldc]
  size_t ldc = 0;
  EpilogueF32 epilogue;  ///< y + bias + residual, then the clamp; the residual may be the same memory as c
};

/// One variant. `input` writes rows [0, tile1 - tile0) of all matrices for tiles [tile0, tile1); `output` reads them.
struct WinogradF32Variant {
  const char* name;
  Isa isa;
  void (*input)(WinogradTile tile, const WinogradInputArgs& args, size_t tile0, size_t tile1);
  void (*output)(WinogradTile tile, const WinogradOutputArgs& args, size_t tile0, size_t tile1);
};

/// Transforms the outputs [begin, end) of weights [n][3][3][channels] to their rows of the matrices [n][channels] (`winograd_matrices` of them, one after the
/// other), in f64 inside.
void winograd_weights(WinogradTile tile, size_t n, size_t channels, const float* w, float* u, size_t begin, size_t end);

#define CEC_KERNEL_VARIANT(isa, name) extern const WinogradF32Variant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec

// Integer Winograd convolution, F(2x2, 3x3), exact: the bytes of gemm_u8s8_s32's convolution with 2.25 times fewer multiplications.
#pragma once

#include "../common.h"
#include "../gemm_u8s8_s32/gemm_u8s8_s32.h"
#include "../winograd_f32/winograd_f32.h"

namespace cec {

/// Channels above which the sums could leave the range in which the form is exact (see the README).
constexpr size_t kWinogradQChannels = 1024;

/// Elements of one row of a matrix: whole vectors.
constexpr size_t winograd_q_row(size_t channels) { return (channels + 15) / 16 * 16; }

struct WinogradQInputArgs {
  WinogradShape shape;      ///< tiles of 2 x 2 outputs
  const void* x = nullptr;  ///< NHWC with contiguous pixels
  Q8 type = Q8::u8;
  int32_t zp = 0;
  size_t channels = 0;    ///< at most kWinogradQChannels
  int16_t* v = nullptr;   ///< matrix i, row r: v + i * stride + r * winograd_q_row(channels); columns beyond `channels` become 0
  size_t stride = 0;
};

struct WinogradQOutputArgs {
  WinogradShape shape;
  const int32_t* products = nullptr;  ///< matrix i, row r: products + i * stride + r * winograd_q_row(channels)
  size_t stride = 0;
  size_t channels = 0;           ///< outputs
  const int32_t* bias = nullptr;  ///< winograd_q_row(channels) values
  void* c = nullptr;             ///< [batch * out_h * out_w][ldc] of epilogue.out
  size_t ldc = 0;
  EpilogueQ epilogue;  ///< its own bias is not read
};

/// One variant. Every variant gives the scalar variant's bytes, which are those of the direct convolution.
struct WinogradQVariant {
  const char* name;
  Isa isa;
  size_t m_step;
  /// Bytes of one packed matrix; a multiple of 64.
  size_t (*packed_bytes)(size_t n, size_t k);
  /// Packs u [k][n].
  void (*pack)(size_t n, size_t k, const int16_t* u, void* dst);
  void (*input)(const WinogradQInputArgs& args, size_t tile0, size_t tile1);
  /// c = a * b for `rows` rows: a [rows][winograd_q_row(k)], c [rows][winograd_q_row(n)].
  void (*multiply)(size_t rows, size_t n, size_t k, const int16_t* a, const void* packed, int32_t* c);
  void (*output)(const WinogradQOutputArgs& args, size_t tile0, size_t tile1);
};

/// Transforms weights [n][3][3][channels] to 16 matrices [channels][n] of (2G) g (2G)^T: four times the usual values, so that they are integers.
void winograd_weights_q(size_t n, size_t channels, const int8_t* w, int16_t* u);

#define CEC_KERNEL_VARIANT(isa, name) extern const WinogradQVariant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec

// The reference, and the weights, which are transformed once.
#include <cstring>

#include "../scalar_math.h"
#include "winograd_u8s8_s32.h"

namespace cec {
namespace {

#include "../epilogue_q_scalar.inl"

size_t packed_bytes(size_t n, size_t k) { return (n * k * sizeof(int16_t) + 63) / 64 * 64; }

void pack(size_t n, size_t k, const int16_t* u, void* dst) { std::memcpy(dst, u, n * k * sizeof(int16_t)); }

void input(const WinogradQInputArgs& a, size_t tile0, size_t tile1) {
  const WinogradShape& s = a.shape;
  const size_t per_image = s.tiles_h * s.tiles_w, row = winograd_q_row(a.channels);
  for (size_t t = tile0; t < tile1; ++t) {
    const uint8_t* image = static_cast<const uint8_t*>(a.x) + t / per_image * (s.in_h * s.in_w * a.channels);
    const ptrdiff_t top = static_cast<ptrdiff_t>(t % per_image / s.tiles_w * 2) - s.pad_top, left = static_cast<ptrdiff_t>(t % s.tiles_w * 2) - s.pad_left;
    for (size_t c = 0; c < row; ++c) {
      int32_t d[4][4] = {}, h[4][4];
      for (size_t i = 0; i < 16 && c < a.channels; ++i) {
        const ptrdiff_t y = top + static_cast<ptrdiff_t>(i / 4), x = left + static_cast<ptrdiff_t>(i % 4);
        if (y < 0 || x < 0 || y >= static_cast<ptrdiff_t>(s.in_h) || x >= static_cast<ptrdiff_t>(s.in_w)) continue;
        const uint8_t byte = image[(static_cast<size_t>(y) * s.in_w + static_cast<size_t>(x)) * a.channels + c];
        d[i / 4][i % 4] = (a.type == Q8::u8 ? static_cast<int32_t>(byte) : static_cast<int32_t>(static_cast<int8_t>(byte))) - a.zp;
      }
      for (size_t j = 0; j < 4; ++j) {
        h[0][j] = d[0][j] - d[2][j];
        h[1][j] = d[1][j] + d[2][j];
        h[2][j] = d[2][j] - d[1][j];
        h[3][j] = d[1][j] - d[3][j];
      }
      for (size_t i = 0; i < 4; ++i) {
        const int32_t o[4] = {h[i][0] - h[i][2], h[i][1] + h[i][2], h[i][2] - h[i][1], h[i][1] - h[i][3]};
        for (size_t j = 0; j < 4; ++j) a.v[(i * 4 + j) * a.stride + (t - tile0) * row + c] = static_cast<int16_t>(o[j]);
      }
    }
  }
}

void multiply(size_t rows, size_t n, size_t k, const int16_t* a, const void* packed, int32_t* c) {
  const int16_t* const b = static_cast<const int16_t*>(packed);
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < winograd_q_row(n); ++j) {
      uint32_t sum = 0;
      for (size_t p = 0; p < k && j < n; ++p) sum += static_cast<uint32_t>(static_cast<int32_t>(a[i * winograd_q_row(k) + p]) * static_cast<int32_t>(b[p * n + j]));
      c[i * winograd_q_row(n) + j] = static_cast<int32_t>(sum);
    }
  }
}

void output(const WinogradQOutputArgs& a, size_t tile0, size_t tile1) {
  const WinogradShape& s = a.shape;
  const size_t per_image = s.tiles_h * s.tiles_w, row = winograd_q_row(a.channels), bytes = a.epilogue.out == QOut::u8 || a.epilogue.out == QOut::s8 ? 1 : 4;
  for (size_t t = tile0; t < tile1; ++t) {
    const size_t y0 = t % per_image / s.tiles_w * 2, x0 = t % s.tiles_w * 2;
    for (size_t c = 0; c < a.channels; ++c) {
      uint32_t m[16], h[2][4];
      for (size_t i = 0; i < 16; ++i) m[i] = static_cast<uint32_t>(a.products[i * a.stride + (t - tile0) * row + c]);
      for (size_t j = 0; j < 4; ++j) {
        h[0][j] = m[j] + m[4 + j] + m[8 + j];
        h[1][j] = m[4 + j] - m[8 + j] - m[12 + j];
      }
      for (size_t y = 0; y < 2 && y0 + y < s.out_h; ++y) {
        const uint32_t four[2] = {h[y][0] + h[y][1] + h[y][2], h[y][1] - h[y][2] - h[y][3]};
        for (size_t x = 0; x < 2 && x0 + x < s.out_w; ++x) {
          const int32_t acc = static_cast<int32_t>(static_cast<uint32_t>(static_cast<int32_t>(four[x]) / 4) + static_cast<uint32_t>(a.bias[c]));
          const size_t pixel = t / per_image * (s.out_h * s.out_w) + (y0 + y) * s.out_w + x0 + x;
          write(a.epilogue, acc, c, static_cast<uint8_t*>(a.c) + pixel * a.ldc * bytes);
        }
      }
    }
  }
}

}  // namespace

void winograd_weights_q(size_t n, size_t channels, const int8_t* w, int16_t* u) {
  // Rows of 2G: (2, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 2).
  const auto axis = [](const int32_t (&g)[3], int32_t (&o)[4]) {
    o[0] = 2 * g[0];
    o[1] = g[0] + g[1] + g[2];
    o[2] = g[0] - g[1] + g[2];
    o[3] = 2 * g[2];
  };
  for (size_t o = 0; o < n; ++o) {
    for (size_t c = 0; c < channels; ++c) {
      int32_t half[3][4];  // [column][row]
      for (size_t x = 0; x < 3; ++x) {
        const int32_t g[3] = {w[(o * 9 + x) * channels + c], w[(o * 9 + 3 + x) * channels + c], w[(o * 9 + 6 + x) * channels + c]};
        axis(g, half[x]);
      }
      for (size_t y = 0; y < 4; ++y) {
        const int32_t g[3] = {half[0][y], half[1][y], half[2][y]};
        int32_t t[4];
        axis(g, t);
        for (size_t x = 0; x < 4; ++x) u[((y * 4 + x) * channels + c) * n + o] = static_cast<int16_t>(t[x]);
      }
    }
  }
}

const WinogradQVariant winograd_u8s8_s32__scalar = {"winograd_u8s8_s32__scalar", Isa::scalar, 1, packed_bytes, pack, input, multiply, output};

}  // namespace cec

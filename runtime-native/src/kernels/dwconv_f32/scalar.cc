// The reference.
#include <cstring>

#include "../scalar_math.h"
#include "dwconv_f32.h"

namespace cec {
namespace {

size_t packed_bytes(size_t channels, size_t taps) { return (channels * taps * sizeof(float) + 63) / 64 * 64; }

// [taps][channels]
void pack(size_t channels, size_t taps, const float* w, void* dst) {
  float* out = static_cast<float*>(dst);
  std::memset(dst, 0, packed_bytes(channels, taps));
  for (size_t c = 0; c < channels; ++c) {
    for (size_t t = 0; t < taps; ++t) out[t * channels + c] = w[c * taps + t];
  }
}

void dwconv(const DwconvF32Args& a, size_t m0, size_t m1) {
  const Taps& taps = a.taps;
  const EpilogueF32& e = a.epilogue;
  const float* w = static_cast<const float*>(a.packed_w);
  for (size_t m = m0; m < m1; ++m) {
    const int32_t* offsets = taps.offsets + m % taps.pixels * taps.taps;
    const float* image = a.base + m / taps.pixels * taps.batch_stride;
    float* out = a.c + m * a.ldc;
    for (size_t c = 0; c < taps.channels; ++c) {
      float v = e.bias != nullptr ? e.bias[c] : 0.0f;
      for (size_t t = 0; t < taps.taps; ++t) {
        const float* x = offsets[t] < 0 ? a.zero : image + offsets[t];
        v += x[c] * w[t * taps.channels + c];
      }
      if (e.residual != nullptr) v += e.residual[m * e.ld_residual + c];
      out[c] = clamp_f32(v, e.lo, e.hi);
    }
  }
}

}  // namespace

const DwconvF32Variant dwconv_f32__scalar = {"dwconv_f32__scalar", Isa::scalar, packed_bytes, pack, dwconv};

}  // namespace cec

// The reference: says what every other variant must give, byte for byte.
#include <cstring>

#include "../scalar_math.h"
#include "dwconv_u8s8_s32.h"

namespace cec {
namespace {

size_t packed_bytes(size_t channels, size_t taps) { return (channels * taps + 63) / 64 * 64; }

// [channels][taps] as it came
void pack(size_t channels, size_t taps, const int8_t* w, void* dst) {
  std::memset(dst, 0, packed_bytes(channels, taps));
  std::memcpy(dst, w, channels * taps);
}

template <class X>
void dwconv_of(const DwconvQArgs& a, size_t m0, size_t m1) {
  const Taps& taps = a.taps;
  const EpilogueQ& e = a.epilogue;
  const int8_t* w = static_cast<const int8_t*>(a.packed_w);
  for (size_t m = m0; m < m1; ++m) {
    const int32_t* offsets = taps.offsets + m % taps.pixels * taps.taps;
    const X* image = static_cast<const X*>(a.base) + m / taps.pixels * taps.batch_stride;
    for (size_t c = 0; c < taps.channels; ++c) {
      uint32_t sum = e.bias != nullptr ? static_cast<uint32_t>(e.bias[c]) : 0u;
      for (size_t t = 0; t < taps.taps; ++t) {
        const int32_t x = offsets[t] < 0 ? static_cast<const X*>(a.zero)[c] : image[offsets[t] + static_cast<ptrdiff_t>(c)];
        sum += static_cast<uint32_t>((x - a.a_zp) * w[c * taps.taps + t]);
      }
      const int32_t acc = static_cast<int32_t>(sum);
      const size_t at = m * a.ldc + c;
      switch (e.out) {
        case QOut::s32: static_cast<int32_t*>(a.c)[at] = acc; break;
        case QOut::f32: {
          float v = static_cast<float>(acc) * e.multiplier[c];
          if (e.bias_f32 != nullptr) v += e.bias_f32[c];
          static_cast<float*>(a.c)[at] = clamp_f32(v, e.lo, e.hi);
          break;
        }
        case QOut::u8:
        case QOut::s8:
          static_cast<uint8_t*>(a.c)[at] =
              static_cast<uint8_t>(round_to_q(static_cast<float>(acc) * e.multiplier[c], e.y_zp, e.q_min, e.q_max));
          break;
      }
    }
  }
}

void dwconv(const DwconvQArgs& a, size_t m0, size_t m1) {
  if (a.a_type == Q8::u8) dwconv_of<uint8_t>(a, m0, m1);
  else dwconv_of<int8_t>(a, m0, m1);
}

}  // namespace

const DwconvQVariant dwconv_u8s8_s32__scalar = {"dwconv_u8s8_s32__scalar", Isa::scalar, packed_bytes, pack, dwconv};

}  // namespace cec

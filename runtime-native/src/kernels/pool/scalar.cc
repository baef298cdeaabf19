// The reference.
#include "../scalar_math.h"
#include "pool.h"

namespace cec {
namespace {

// Calls at(row, channel, first element of the channel, offsets) for every output.
template <class X, class F>
void each_output(const PoolArgs& a, const X* x, size_t m0, size_t m1, const F& at) {
  for (size_t m = m0; m < m1; ++m) {
    const int32_t* offsets = a.taps.offsets + m % a.taps.pixels * a.taps.taps;
    const X* image = x + m / a.taps.pixels * a.taps.batch_stride;
    for (size_t c = 0; c < a.taps.channels; ++c) at(m, c, image + c, offsets);
  }
}

size_t count_of(const PoolArgs& a, size_t m) {
  return a.counts != nullptr ? static_cast<size_t>(a.counts[m % a.taps.pixels]) : a.taps.taps;
}

void max_f32(const PoolArgs& a, const float* x, float* y, size_t m0, size_t m1) {
  each_output(a, x, m0, m1, [&](size_t m, size_t c, const float* source, const int32_t* offsets) {
    float most = -kInfinity;
    for (size_t t = 0; t < a.taps.taps; ++t) {
      if (offsets[t] < 0) continue;
      const float v = source[offsets[t]];
      most = v > most || v != v ? v : most;
    }
    y[m * a.ldc + c] = most;
  });
}

template <class X>
void max_of(const PoolArgs& a, X lowest, const void* x, void* y, size_t m0, size_t m1) {
  each_output(a, static_cast<const X*>(x), m0, m1, [&](size_t m, size_t c, const X* source, const int32_t* offsets) {
    X most = lowest;
    for (size_t t = 0; t < a.taps.taps; ++t) {
      if (offsets[t] >= 0 && source[offsets[t]] > most) most = source[offsets[t]];
    }
    static_cast<X*>(y)[m * a.ldc + c] = most;
  });
}

void max_q(const PoolArgs& a, Q8 type, const void* x, void* y, size_t m0, size_t m1) {
  if (type == Q8::u8) max_of<uint8_t>(a, 0, x, y, m0, m1);
  else max_of<int8_t>(a, -128, x, y, m0, m1);
}

void average_f32(const PoolArgs& a, const float* x, float* y, size_t m0, size_t m1) {
  each_output(a, x, m0, m1, [&](size_t m, size_t c, const float* source, const int32_t* offsets) {
    float sum = 0;
    for (size_t t = 0; t < a.taps.taps; ++t) {
      if (offsets[t] >= 0) sum += source[offsets[t]];
    }
    const size_t count = count_of(a, m);
    y[m * a.ldc + c] = count == 0 ? 0.0f : sum / static_cast<float>(count);
  });
}

template <class X>
void average_of(const PoolArgs& a, const AverageQ& q, const void* x, void* y, size_t m0, size_t m1) {
  each_output(a, static_cast<const X*>(x), m0, m1, [&](size_t m, size_t c, const X* source, const int32_t* offsets) {
    int32_t sum = 0;
    for (size_t t = 0; t < a.taps.taps; ++t) {
      if (offsets[t] >= 0) sum += static_cast<int32_t>(source[offsets[t]]) - q.x_zp;
    }
    const float scale = q.x_scale / (q.y_scale * static_cast<float>(count_of(a, m)));
    const int32_t v = round_to_q(static_cast<float>(sum) * scale, q.y_zp, q.q_min, q.q_max);
    static_cast<uint8_t*>(y)[m * a.ldc + c] = static_cast<uint8_t>(v);
  });
}

void average_q(const PoolArgs& a, const AverageQ& q, const void* x, void* y, size_t m0, size_t m1) {
  if (q.x_type == Q8::u8) average_of<uint8_t>(a, q, x, y, m0, m1);
  else average_of<int8_t>(a, q, x, y, m0, m1);
}

}  // namespace

const PoolVariant pool__scalar = {"pool__scalar", Isa::scalar, max_f32, max_q, average_f32, average_q};

}  // namespace cec

// The reference: says what every other variant must give, byte for byte.
#include <cmath>

#include "../scalar_math.h"
#include "quantize_8bit.h"

namespace cec {

AddSteps add_steps(const QParams& a, const QParams& b, const QParams& y) {
  const float ra = a.scale / y.scale, rb = b.scale / y.scale;
  return {ra, rb, static_cast<float>(y.zp) - std::fma(ra, static_cast<float>(a.zp), rb * static_cast<float>(b.zp))};
}

namespace {

int32_t read(const void* x, Q8 type, size_t i) {
  return type == Q8::u8 ? static_cast<const uint8_t*>(x)[i] : static_cast<const int8_t*>(x)[i];
}

void write(void* y, size_t i, int32_t v) { static_cast<uint8_t*>(y)[i] = static_cast<uint8_t>(v); }

void quantize(size_t n, const float* x, const QParams& q, int32_t q_min, int32_t q_max, void* y) {
  for (size_t i = 0; i < n; ++i) write(y, i, round_to_q(x[i] / q.scale, q.zp, q_min, q_max));
}

void dequantize(size_t n, const void* x, const QParams& q, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = static_cast<float>(read(x, q.type, i) - q.zp) * q.scale;
}

void requantize(size_t n, const void* x, const QParams& xq, const QParams& yq, int32_t q_min, int32_t q_max, void* y) {
  const float scale = xq.scale / yq.scale;
  for (size_t i = 0; i < n; ++i) {
    write(y, i, round_to_q(static_cast<float>(read(x, xq.type, i) - xq.zp) * scale, yq.zp, q_min, q_max));
  }
}

void add(size_t n, const void* a, bool a_scalar, const QParams& aq, const void* b, bool b_scalar, const QParams& bq, const QParams& yq,
         int32_t q_min, int32_t q_max, void* y) {
  if (n == 0) return;
  const AddSteps s = add_steps(aq, bq, yq);
  const int32_t first_a = read(a, aq.type, 0), first_b = read(b, bq.type, 0);  // y may be the memory of either
  for (size_t i = 0; i < n; ++i) {
    const float p = static_cast<float>(a_scalar ? first_a : read(a, aq.type, i));
    const float q = static_cast<float>(b_scalar ? first_b : read(b, bq.type, i));
    write(y, i, round_to_q(std::fma(p, s.a, std::fma(q, s.b, s.c)), 0, q_min, q_max));
  }
}

void mul(size_t n, const void* a, bool a_scalar, const QParams& aq, const void* b, bool b_scalar, const QParams& bq, const QParams& yq,
         int32_t q_min, int32_t q_max, void* y) {
  if (n == 0) return;
  const float scale = aq.scale * bq.scale / yq.scale;
  const int32_t first_a = read(a, aq.type, 0), first_b = read(b, bq.type, 0);
  for (size_t i = 0; i < n; ++i) {
    const int32_t p = (a_scalar ? first_a : read(a, aq.type, i)) - aq.zp;
    const int32_t q = (b_scalar ? first_b : read(b, bq.type, i)) - bq.zp;
    write(y, i, round_to_q(static_cast<float>(p * q) * scale, yq.zp, q_min, q_max));
  }
}

void lut(size_t n, const uint8_t* x, const uint8_t table[256], uint8_t* y) {
  for (size_t i = 0; i < n; ++i) y[i] = table[x[i]];
}

void row_sums(size_t rows, size_t k, const void* x, Q8 type, size_t ldx, int32_t* sums) {
  for (size_t r = 0; r < rows; ++r) {
    uint32_t sum = 0;
    for (size_t i = 0; i < k; ++i) sum += static_cast<uint32_t>(read(x, type, r * ldx + i));
    sums[r] = static_cast<int32_t>(sum);
  }
}

}  // namespace

const Quantize8Variant quantize_8bit__scalar = {
    "quantize_8bit__scalar", Isa::scalar, quantize, dequantize, requantize, add, mul, lut, row_sums};

}  // namespace cec

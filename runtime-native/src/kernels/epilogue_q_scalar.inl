// The integer epilogue, one value. Included inside an unnamed namespace after scalar_math.h and the contract of EpilogueQ.
void write(const EpilogueQ& e, int32_t acc, size_t column, void* row) {
  switch (e.out) {
    case QOut::s32: static_cast<int32_t*>(row)[column] = acc; return;
    case QOut::f32: {
      float v = static_cast<float>(acc) * e.multiplier[column];
      if (e.bias_f32 != nullptr) v += e.bias_f32[column];
      static_cast<float*>(row)[column] = clamp_f32(v, e.lo, e.hi);
      return;
    }
    case QOut::u8:
    case QOut::s8: {
      const int32_t q = round_to_q(static_cast<float>(acc) * e.multiplier[column], e.y_zp, e.q_min, e.q_max);
      static_cast<uint8_t*>(row)[column] = static_cast<uint8_t>(q);
      return;
    }
  }
}

// vdpbf16ps where there is none: two fused steps of f32. Subnormals are zero by the mode that tiles.inl sets.
struct PairVec : Vec {
  static Reg high(Reg v) { return from_bits(int_and(bits(v), int1(static_cast<int32_t>(0xffff0000u)))); }
  static Reg low(Reg v) { return from_bits(shift_left<16>(bits(v))); }
  static Reg fma(Reg a, Reg b, Reg c) { return Vec::fma(low(a), low(b), Vec::fma(high(a), high(b), c)); }
};

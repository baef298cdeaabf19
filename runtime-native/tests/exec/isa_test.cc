// Also run by ctest with CEC_MAX_ISA set to each level.
#include <cstdlib>

#include "cec/cpu_features.h"
#include "program_builder.h"

namespace cec::test {
namespace {

std::vector<Bytes> run_on(const std::string& isa) {
  LoadOptions options;
  options.isa = isa;
  Session session(small_network().load(options), {});
  const std::vector<float> x = random_values<float>(2 * kSample, 9, -3, 3);
  return all_bytes(session.run({view(DType::f32, {2, 9, 7, 3}, x.data())}));
}

TEST(Isa, TheEnvironmentCapsWhatIsUsed) {
  const char* cap = std::getenv("CEC_MAX_ISA");
  Isa level{};
  if (cap == nullptr || *cap == '\0') {
    EXPECT_TRUE(isa_cap_is_valid());
    EXPECT_TRUE(active_isa() == max_isa());
  } else if (parse_isa(cap, &level)) {
    EXPECT_TRUE(isa_cap_is_valid());
    // The highest level up to the cap that runs here; none of another architecture does.
    Isa expected = Isa::scalar;
    for (int i = 0; i <= static_cast<int>(level); ++i) {
      if (isa_supported(static_cast<Isa>(i))) expected = static_cast<Isa>(i);
    }
    EXPECT_TRUE(active_isa() == expected);
  } else {
    EXPECT_FALSE(isa_cap_is_valid());
    EXPECT_TRUE(active_isa() == max_isa());
  }
}

TEST(Isa, FloatResultsOfAllLevelsAgreeToRoundingAndIntegerOnesToTheByteFromEqualInputs) {
  const std::vector<Bytes> scalar = run_on("scalar");
  for (const char* isa : {"neon", "neondot", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16", ""}) {
    const std::vector<Bytes> other = run_on(isa);  // a level that the machine lacks means the best below it
    ASSERT_EQ(scalar[0].size(), other[0].size());
    for (size_t i = 0; i < scalar[0].size() / 4; ++i) {
      float a, b;
      std::memcpy(&a, &scalar[0][i * 4], 4);
      std::memcpy(&b, &other[0][i * 4], 4);
      EXPECT_NEAR(a, b, 1e-4f);
    }
  }
}

TEST(Isa, IntegerProgramsGiveTheScalarBytesOnEachLevel) {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::u8, {-1, 6, 5, 19});
  const int32_t w = b.constant("w", DType::i8, {37, 3, 3, 19}, random_values<int8_t>(37 * 171, 1, -128, 127));
  const int32_t s = b.constant("s", DType::f32, {1}, std::vector<float>{0.01f});
  const AttrList attrs{{"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"x_scale", 0.02}, {"x_zp", int64_t{255}}, {"y_scale", 7.0}, {"y_zp", int64_t{100}}};
  const int32_t c = b.op("cpu.qconv", {x, w, -1, s}, DType::u8, 4, attrs);
  const int32_t dw = b.constant("dw", DType::i8, {37, 3, 3, 1}, random_values<int8_t>(37 * 9, 2, -128, 127));
  AttrList grouped = attrs;
  grouped.emplace_back("group", int64_t{37});
  const int32_t d = b.op("cpu.qconv", {c, dw, -1, s}, DType::u8, 4, grouped);
  b.output("y", b.op("cpu.qadd", {c, d}, DType::u8, 4, {{"a_scale", 0.5}, {"b_scale", 0.3}, {"y_scale", 1.1}, {"y_zp", int64_t{3}}}));
  std::vector<uint8_t> data = random_values<uint8_t>(3 * 6 * 5 * 19, 3, 0, 255);
  for (size_t i = 0; i < 500; ++i) data[i] = 255;  // runs where saturating 16-bit sums would show
  std::vector<Bytes> first;
  for (const char* isa : {"scalar", "neon", "neondot", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16"}) {
    LoadOptions options;
    options.isa = isa;
    Session session(b.load(options), {});
    const std::vector<Bytes> got = all_bytes(session.run({view(DType::u8, {3, 6, 5, 19}, data.data())}));
    if (first.empty()) first = got;
    EXPECT_TRUE(got == first);
  }
}

TEST(Isa, AnUnknownNameIsRejected) {
  LoadOptions options;
  options.isa = "avx1024";
  EXPECT_EQ(code_of([&] { small_network().load(options); }), std::string("CEC6007"));
}

}  // namespace
}  // namespace cec::test

// Whole integer ops at the extremes: 255 times +-127 (and -128 times -128) along the whole depth, up to 4608. Every instruction set gives the scalar bytes, and
// the sums are those of a closed form, so that a saturating product of 16 bits or a wrong correction for zero points shows.
#include <algorithm>

#include "cec/cpu_features.h"
#include "program_builder.h"

namespace cec::test {
namespace {

const char* const kLevels[] = {"scalar", "neon", "neondot", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16"};

Bytes run_on(const char* isa, const ProgramBuilder& b, DType type, Shape shape, const void* x, int threads = 1) {
  LoadOptions options;
  options.isa = isa;
  Session session(b.load(options), {threads, {}, false});
  return bytes_of(session.run({view(type, shape, x)})[0]);
}

/// What every level gives, after checking that they agree.
Bytes agreed(const ProgramBuilder& b, DType type, Shape shape, const void* x, const std::string& what) {
  const Bytes first = run_on("scalar", b, type, shape, x);
  for (const char* isa : kLevels) {
    for (const int threads : {1, 2}) EXPECT_TRUE(run_on(isa, b, type, shape, x, threads) == first) << what << " on " << isa << ", " << threads << " threads";
  }
  return first;
}

/// Weights of one output channel each: all 127, all -127, all -128, in turns, random.
int8_t weight(size_t output, size_t k) {
  switch (output % 5) {
    case 0: return 127;
    case 1: return -127;
    case 2: return -128;
    case 3: return k % 2 == 0 ? 127 : -128;
    default: return static_cast<int8_t>((k * 7919 + output * 31) % 256 - 128);
  }
}

struct Input {
  DType type;
  int value;  // of every element
  int zero_point;
};
const Input kInputs[] = {{DType::u8, 255, 0}, {DType::u8, 255, 255}, {DType::u8, 0, 255}, {DType::u8, 255, 7}, {DType::i8, -128, 0}, {DType::i8, 127, -128}, {DType::i8, -128, 127}};

AttrList scales(const Input& in, const char* y_type, double y_scale) {
  AttrList attrs{{"x_scale", 1.0}, {"x_zp", static_cast<int64_t>(in.zero_point)}, {"y_type", std::string(y_type)}};
  if (y_scale != 0) {
    attrs.emplace_back("y_scale", y_scale);
    attrs.emplace_back("y_zp", int64_t{std::string(y_type) == "u8" ? 128 : 0});
  }
  return attrs;
}

std::string describe(const char* op, const Input& in, size_t k) { return std::string(op) + " of " + name_of(in.type) + " " + std::to_string(in.value) + ", zero point " + std::to_string(in.zero_point) + ", depth " + std::to_string(k); }

/// Sums of one depth as f32, and requantized to 8 bits, for `op` over weights [n, k]. `weights_of` gives the dims of the weights, x is constant over `shape`.
void check_sums(const char* kind, const AttrList& more, const std::vector<int64_t>& weight_dims, Shape shape, size_t n, size_t k) {
  std::vector<int8_t> w(n * k);
  for (size_t o = 0; o < n; ++o) {
    for (size_t i = 0; i < k; ++i) w[o * k + i] = weight(o, i);
  }
  for (const Input& in : kInputs) {
    const std::vector<uint8_t> x(static_cast<size_t>(shape.count()), static_cast<uint8_t>(in.value));
    const auto program = [&](const char* y_type, double y_scale) {
      ProgramBuilder b;
      const int32_t input = b.input("x", in.type, std::vector<int64_t>(shape.begin(), shape.end()));
      const int32_t weights = b.constant("w", DType::i8, weight_dims, w);
      const int32_t one = b.constant("s", DType::f32, {1}, std::vector<float>{1});
      AttrList attrs = scales(in, y_type, y_scale);
      attrs.insert(attrs.end(), more.begin(), more.end());
      const DType out = std::string(y_type) == "f32" ? DType::f32 : std::string(y_type) == "u8" ? DType::u8 : DType::i8;
      b.output("y", b.op(kind, {input, weights, -1, one}, out, static_cast<size_t>(shape.rank()), attrs));
      return b;
    };
    const std::string what = describe(kind, in, k);
    const Bytes sums = agreed(program("f32", 0), in.type, shape, x.data(), what);
    ASSERT_EQ(sums.size() % (n * 4), size_t{0});
    for (size_t at = 0; at < sums.size() / 4; ++at) {
      const size_t o = at % n;
      int64_t acc = 0;
      for (size_t i = 0; i < k; ++i) acc += static_cast<int64_t>(in.value - in.zero_point) * w[o * k + i];
      float got;
      std::memcpy(&got, &sums[at * 4], 4);
      ASSERT_EQ(got, static_cast<float>(static_cast<int32_t>(acc))) << what << ", output " << o;
    }
    agreed(program("u8", 1e6), in.type, shape, x.data(), what);
    agreed(program("i8", 3e5), in.type, shape, x.data(), what);
  }
}

TEST(Exact, GemmAtTheExtremesAlongTheWholeDepth) {
  for (const size_t k : {3, 64, 577, 4608}) check_sums("cpu.qgemm", {}, {13, static_cast<int64_t>(k)}, {5, static_cast<int64_t>(k)}, 13, k);
}

TEST(Exact, ConvolutionAtTheExtremesAlongTheWholeDepth) {
  // 512 channels under 3 x 3: a depth of 4608, without padding so that every tap counts; a stem of 3 channels; 1 x 1.
  check_sums("cpu.qconv", {{"algorithm", std::string("direct")}}, {11, 3, 3, 512}, {1, 4, 5, 512}, 11, 4608);
  check_sums("cpu.qconv", {{"strides", std::vector<int64_t>{2, 2}}}, {17, 7, 7, 3}, {1, 11, 9, 3}, 17, 147);
  check_sums("cpu.qconv", {}, {33, 1, 1, 130}, {2, 3, 3, 130}, 33, 130);
}

TEST(Exact, WinogradAtTheExtremesAlongTheWholeDepth) {
  check_sums("cpu.qconv", {{"algorithm", std::string("winograd_f2")}}, {11, 3, 3, 512}, {1, 6, 5, 512}, 11, 4608);
  check_sums("cpu.qconv", {{"algorithm", std::string("winograd_f2")}}, {8, 3, 3, 1024}, {1, 4, 4, 1024}, 8, 9216);
}

TEST(Exact, DepthwiseAtTheExtremes) {
  for (const int64_t size : {3, 5, 11}) {
    check_sums("cpu.qconv", {{"group", int64_t{35}}}, {35, size, size, 1}, {2, size + 2, size + 3, 35}, 35, static_cast<size_t>(size * size));
  }
}

/// The same sums by the ONNX operators, whose results are i32.
TEST(Exact, MatMulIntegerAtTheExtremesAlongTheWholeDepth) {
  constexpr size_t kDepth = 4608, kColumns = 9;
  for (const Input& in : kInputs) {
    std::vector<int8_t> w(kDepth * kColumns);
    for (size_t i = 0; i < kDepth; ++i) {
      for (size_t o = 0; o < kColumns; ++o) w[i * kColumns + o] = weight(o, i);
    }
    const std::vector<uint8_t> x(3 * kDepth, static_cast<uint8_t>(in.value));
    ProgramBuilder b;
    const int32_t input = b.input("x", in.type, {3, kDepth});
    const int32_t weights = b.constant("w", DType::i8, {kDepth, kColumns}, w);
    const int32_t zero = b.constant("zp", in.type, {}, std::vector<uint8_t>{static_cast<uint8_t>(in.zero_point)});
    b.output("y", b.op("matmul_integer", {input, weights, zero}, DType::i32, 2));
    const Bytes y = agreed(b, in.type, {3, kDepth}, x.data(), describe("matmul_integer", in, kDepth));
    for (size_t at = 0; at < 3 * kColumns; ++at) {
      int64_t acc = 0;
      for (size_t i = 0; i < kDepth; ++i) acc += static_cast<int64_t>(in.value - in.zero_point) * w[i * kColumns + at % kColumns];
      int32_t got;
      std::memcpy(&got, &y[at * 4], 4);
      ASSERT_EQ(got, static_cast<int32_t>(acc));
    }
  }
}

}  // namespace
}  // namespace cec::test

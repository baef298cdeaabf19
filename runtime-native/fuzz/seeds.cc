// Writes small valid programs of one op and of several: cec_fuzz_seeds FOLDER
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "../tests/exec/program_builder.h"

namespace {

using namespace cec;
using test::Bytes;
using test::ProgramBuilder;

std::vector<float> ramp(size_t n) {
  std::vector<float> v(n);
  for (size_t i = 0; i < n; ++i) v[i] = static_cast<float>(i % 7) * 0.25f - 0.5f;
  return v;
}

std::vector<Bytes> programs() {
  std::vector<Bytes> out;
  const auto add = [&](ProgramBuilder& b, int32_t y) {
    b.output("y", y);
    out.push_back(b.write());
  };
  for (const char* kind : {"relu", "neg", "exp", "tanh", "sigmoid", "erf", "sqrt", "abs", "floor"}) {
    ProgramBuilder b;
    add(b, b.op(kind, {b.input("x", DType::f32, {-1, 3})}, DType::f32, 2));
  }
  for (const char* kind : {"add", "sub", "mul", "div", "pow"}) {
    ProgramBuilder b;
    add(b, b.op(kind, {b.input("x", DType::f32, {-1, 3}), b.constant("c", DType::f32, {3}, ramp(3))}, DType::f32, 2));
  }
  {
    ProgramBuilder b;
    add(b, b.op("matmul", {b.input("x", DType::f32, {-1, 4}), b.constant("w", DType::f32, {4, 5}, ramp(20))}, DType::f32, 2));
  }
  {
    ProgramBuilder b;
    add(b, b.op("softmax", {b.input("x", DType::f32, {-1, 4})}, DType::f32, 2, {{"axis", int64_t{1}}}));
  }
  {
    ProgramBuilder b;
    add(b, b.op("transpose", {b.input("x", DType::f32, {-1, 4, 3})}, DType::f32, 3, {{"perm", std::vector<int64_t>{2, 0, 1}}}));
  }
  {
    ProgramBuilder b;
    const int32_t x = b.input("x", DType::f32, {-1, 6});
    add(b, b.op("reshape", {x, b.constant("to", DType::i64, {2}, std::vector<int64_t>{-1, 3})}, DType::f32, 2));
  }
  {
    ProgramBuilder b;
    const int32_t x = b.input("x", DType::f32, {-1, 2, 5, 5});
    add(b, b.op("conv", {x, b.constant("w", DType::f32, {3, 2, 3, 3}, ramp(54))}, DType::f32, 4, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"strides", std::vector<int64_t>{2, 1}}}));
  }
  {
    ProgramBuilder b;
    const int32_t x = b.input("x", DType::f32, {-1, 2, 5, 5});
    add(b, b.op("max_pool", {x}, DType::f32, 4, {{"kernel_shape", std::vector<int64_t>{2, 2}}, {"strides", std::vector<int64_t>{2, 2}}}));
  }
  {
    ProgramBuilder b;
    const int32_t x = b.input("x", DType::f32, {-1, 4});
    const int32_t s = b.constant("s", DType::f32, {}, std::vector<float>{0.1f}), z = b.constant("z", DType::u8, {}, std::vector<uint8_t>{3});
    add(b, b.op("dequantize_linear", {b.op("quantize_linear", {x, s, z}, DType::u8, 2), s, z}, DType::f32, 2));
  }
  {
    ProgramBuilder b;
    const int32_t x = b.input("x", DType::f32, {-1, 4}), axes = b.constant("axes", DType::i64, {1}, std::vector<int64_t>{1});
    add(b, b.op("reduce_sum", {x, axes}, DType::f32, 2, {{"keepdims", int64_t{1}}}));
  }
  {
    ProgramBuilder b;
    const int32_t x = b.input("x", DType::f32, {-1, 4});
    add(b, b.op("concat", {x, x}, DType::f32, 2, {{"axis", int64_t{1}}}));
  }
  {
    ProgramBuilder b;
    const int32_t x = b.input("x", DType::f32, {5, 4}), i = b.input("i", DType::i64, {-1});
    add(b, b.op("gather", {x, i}, DType::f32, 2, {{"axis", int64_t{0}}}));
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 1;
  std::filesystem::create_directories(argv[1]);
  size_t n = 0;
  for (const Bytes& bytes : programs()) {
    std::ofstream file(std::string(argv[1]) + "/" + std::to_string(n++) + ".cecb", std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  std::printf("%zu files\n", n);
  return 0;
}

// write_bundle FILE: a small program file for the test of the example, y = x + [1, 2, 3] over f32[N, 3].
#include <fstream>

#include "program_builder.h"

int main(int argc, char** argv) {
  using namespace cec;
  if (argc != 2) return 1;
  test::ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {-1, 3});
  const int32_t c = b.constant("c", DType::f32, {3}, std::vector<float>{1, 2, 3});
  b.output("y", b.op("add", {x, c}, DType::f32, 2));
  const test::Bytes bytes = b.write();
  std::ofstream file(argv[1], std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return file.flush() ? 0 : 1;
}

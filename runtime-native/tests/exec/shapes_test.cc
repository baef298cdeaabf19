// One session at many batches and image sizes, without a rebuild: the bytes of a session made for that shape alone, in an arena that grows to the largest and stays.
#include "program_builder.h"

namespace cec::test {
namespace {

/// A fully convolutional network over x f32[N, H, W, 3] of any size: f32 and integer convolutions, depthwise, pools, a resize by 2 and a head.
ProgramBuilder any_size() {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {-1, -1, -1, 3});
  const AttrList same{{"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"activation", std::string("relu")}};
  const int32_t w1 = b.constant("w1", DType::f32, {16, 3, 3, 3}, random_values<float>(16 * 27, 1, -1, 1));
  const int32_t c1 = b.op("cpu.conv", {x, w1}, DType::f32, 4, same);
  const int32_t w2 = b.constant("w2", DType::f32, {16, 3, 3, 16}, random_values<float>(16 * 144, 2, -1, 1));
  const int32_t c2 = b.op("cpu.conv", {c1, w2, -1, c1}, DType::f32, 4, same);
  AttrList depthwise = same;
  depthwise.emplace_back("group", int64_t{16});
  depthwise.emplace_back("strides", std::vector<int64_t>{2, 2});
  const int32_t w3 = b.constant("w3", DType::f32, {16, 3, 3, 1}, random_values<float>(144, 3, -1, 1));
  const int32_t c3 = b.op("cpu.conv", {c2, w3}, DType::f32, 4, depthwise);
  const int32_t scale = b.constant("scale", DType::f32, {}, std::vector<float>{0.25f});
  const int32_t zero = b.constant("zero", DType::u8, {}, std::vector<uint8_t>{7});
  const int32_t q1 = b.op("quantize_linear", {c3, scale, zero}, DType::u8, 4);
  const int32_t w4 = b.constant("w4", DType::i8, {24, 3, 3, 16}, random_values<int8_t>(24 * 144, 4, -128, 127));
  const int32_t s4 = b.constant("s4", DType::f32, {1}, std::vector<float>{0.01f});
  const int32_t q2 = b.op("cpu.qconv", {q1, w4, -1, s4}, DType::u8, 4, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"x_scale", 0.25}, {"x_zp", int64_t{7}}, {"y_scale", 9.0}, {"y_zp", int64_t{128}}});
  b.output("map", b.op("cpu.max_pool", {q2}, DType::u8, 4, {{"kernel_shape", std::vector<int64_t>{2, 2}}}));
  b.output("y", b.op("softmax", {b.op("flatten", {b.op("cpu.global_average_pool", {c3}, DType::f32, 4)}, DType::f32, 2)}, DType::f32, 2));
  return b;
}

TEST(Shapes, OneSessionRunsAnyBatchAndImageSizeAndItsArenaGrowsOnce) {
  const auto program = any_size().load();
  const Shape shapes[] = {{1, 8, 8, 3}, {1, 33, 17, 3}, {4, 24, 24, 3}, {3, 5, 40, 3}, {1, 64, 48, 3}};
  const std::vector<float> x = random_values<float>(4 * 64 * 48 * 3, 9, -2, 2);
  std::vector<std::vector<Bytes>> alone;
  size_t largest = 0;
  for (const Shape& shape : shapes) {
    Session session(program, {1, {}, false});
    alone.push_back(all_bytes(session.run({view(DType::f32, shape, x.data())})));
    largest = std::max(largest, session.arena_bytes());
  }
  for (const int threads : {1, 3}) {
    Session session(program, {threads, {}, false});
    size_t before = 0;
    for (int round = 0; round < 3; ++round) {
      for (size_t i = 0; i < std::size(shapes); ++i) {
        EXPECT_TRUE(all_bytes(session.run({view(DType::f32, shapes[i], x.data())})) == alone[i]) << shapes[i].to_string() << ", " << threads << " threads";
        EXPECT_TRUE(session.arena_capacity() >= session.arena_bytes() && session.arena_capacity() >= before);
        before = session.arena_capacity();
      }
      if (threads == 1) EXPECT_EQ(session.arena_capacity(), largest);
    }
    const size_t after = session.arena_capacity();
    session.run({view(DType::f32, shapes[0], x.data())});
    EXPECT_EQ(session.arena_capacity(), after);
  }
}

TEST(Shapes, ASizeThatDoesNotFitIsAnErrorAfterWhichTheSessionGoesOn) {
  Session session(any_size().load(), {});
  const std::vector<float> x(8 * 8 * 3, 0.5f);
  const std::vector<Bytes> first = all_bytes(session.run({view(DType::f32, {1, 8, 8, 3}, x.data())}));
  EXPECT_EQ(code_of([&] { session.run({view(DType::f32, {1, 2, 2, 3}, x.data())}); }), std::string("CEC6004"));  // nothing is left for the pool
  EXPECT_EQ(code_of([&] { session.run({view(DType::f32, {1, 8, 6, 4}, x.data())}); }), std::string("CEC6005"));
  EXPECT_TRUE(all_bytes(session.run({view(DType::f32, {1, 8, 8, 3}, x.data())})) == first);
}

}  // namespace
}  // namespace cec::test

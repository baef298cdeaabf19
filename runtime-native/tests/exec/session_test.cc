#include "cec/session.h"

#include <thread>

#include "program_builder.h"

namespace cec::test {
namespace {

SessionOptions threads(int n) {
  SessionOptions options;
  options.threads = n;
  return options;
}

TEST(Session, NoBatchSizeOrThreadCountChangesAByteOfASample) {
  const auto program = small_network().load();
  constexpr size_t kCount = 7;
  const std::vector<float> x = random_values<float>(kCount * kSample, 21, -3, 3);
  Session single(program, threads(1));
  std::vector<std::vector<Bytes>> want;
  for (size_t i = 0; i < kCount; ++i) want.push_back(all_bytes(single.run({view(DType::f32, {1, 9, 7, 3}, x.data() + i * kSample)})));
  for (const int count : {1, 2, 3, 8}) {
    Session session(program, threads(count));
    for (const size_t batch : {size_t{1}, size_t{2}, size_t{3}, size_t{7}}) {
      for (size_t at = 0; at + batch <= kCount; at += batch) {
        const std::vector<Bytes> got = all_bytes(session.run({view(DType::f32, {static_cast<int64_t>(batch), 9, 7, 3}, x.data() + at * kSample)}));
        for (size_t o = 0; o < got.size(); ++o) {
          const size_t each = got[o].size() / batch;
          for (size_t i = 0; i < batch; ++i) {
            ASSERT_EQ(each, want[at + i][o].size());
            EXPECT_EQ(std::memcmp(got[o].data() + i * each, want[at + i][o].data(), each), 0);
          }
        }
      }
    }
  }
}

TEST(Session, NoBatchSizeOrThreadCountChangesAByteOfAWinogradConvolution) {
  for (const char* algorithm : {"winograd_f2", "winograd_f4"}) {
    ProgramBuilder b;
    const int32_t x = b.input("x", DType::f32, {-1, 30, 26, 20});
    const int32_t w = b.constant("w", DType::f32, {24, 3, 3, 20}, random_values<float>(24 * 9 * 20, 5, -1, 1));
    const int32_t bias = b.constant("b", DType::f32, {24}, random_values<float>(24, 6, -1, 1));
    b.output("y", b.op("cpu.conv", {x, w, bias}, DType::f32, 4, {{"algorithm", std::string(algorithm)}, {"pads", std::vector<int64_t>{1, 1, 1, 1}}}));
    const auto program = b.load();
    constexpr size_t kImage = 30 * 26 * 20, kCount = 3;
    const std::vector<float> images = random_values<float>(kCount * kImage, 31, -3, 3);
    Session single(program, threads(1));
    Bytes want;
    for (size_t i = 0; i < kCount; ++i) {
      const std::vector<Bytes> one = all_bytes(single.run({view(DType::f32, {1, 30, 26, 20}, images.data() + i * kImage)}));
      want.insert(want.end(), one[0].begin(), one[0].end());
    }
    // Many threads share the steps of few blocks; few threads take whole blocks.
    for (const int count : {1, 2, 3, 8}) {
      Session session(program, threads(count));
      const std::vector<Bytes> got = all_bytes(session.run({view(DType::f32, {kCount, 30, 26, 20}, images.data())}));
      EXPECT_TRUE(got[0] == want) << algorithm << ", " << count << " threads";
    }
  }
}

TEST(Session, TheIntegerWinogradFormGivesTheBytesOfTheDirectOneOnAnyNumberOfThreads) {
  const auto build = [](const char* algorithm) {
    ProgramBuilder b;
    const int32_t x = b.input("x", DType::u8, {-1, 22, 17, 20});
    const int32_t w = b.constant("w", DType::i8, {24, 3, 3, 20}, random_values<int8_t>(24 * 9 * 20, 5, -128, 127));
    const int32_t bias = b.constant("b", DType::i32, {24}, random_values<int32_t>(24, 6, -9999, 9999));
    const int32_t scale = b.constant("s", DType::f32, {1}, std::vector<float>{0.002f});
    b.output("y", b.op("cpu.qconv", {x, w, bias, scale}, DType::u8, 4,
                       {{"algorithm", std::string(algorithm)}, {"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"x_scale", 0.02}, {"x_zp", int64_t{113}}, {"y_scale", 0.3}, {"y_zp", int64_t{120}}}));
    return b.load();
  };
  const std::vector<uint8_t> images = random_values<uint8_t>(3 * 22 * 17 * 20, 31, 0, 255);
  const std::vector<TensorView> feeds{view(DType::u8, {3, 22, 17, 20}, images.data())};
  Session direct(build("direct"), threads(1));
  const std::vector<Bytes> want = all_bytes(direct.run(feeds));
  const auto program = build("winograd_f2");
  for (const int count : {1, 2, 3, 8}) {
    Session session(program, threads(count));
    EXPECT_TRUE(all_bytes(session.run(feeds)) == want) << count << " threads";
  }
}

TEST(Session, AnEmptyBatchGivesEmptyResults) {
  Session session(small_network().load(), threads(2));
  const std::vector<OwnedTensor> y = session.run({view(DType::f32, {0, 9, 7, 3}, nullptr)});
  EXPECT_EQ(y[0].type.shape[0], 0);
  EXPECT_EQ(y[0].type.bytes(), size_t{0});
}

TEST(Session, SeveralSessionsOfOneProgramRunAtOnce) {
  const auto program = small_network().load();
  const std::vector<float> x = random_values<float>(2 * kSample, 4, -3, 3);
  const std::vector<TensorView> feeds{view(DType::f32, {2, 9, 7, 3}, x.data())};
  Session first(program, threads(1));
  const std::vector<Bytes> want = all_bytes(first.run(feeds));
  Session shared(program, threads(2));
  std::vector<std::thread> runners;
  std::vector<int> wrong(4, 0);
  for (size_t r = 0; r < 4; ++r) {
    runners.emplace_back([&, r] {
      Session own(program, threads(2));
      for (int round = 0; round < 5; ++round) {
        if (all_bytes(own.run(feeds)) != want) ++wrong[r];
        if (all_bytes(shared.run(feeds)) != want) ++wrong[r];  // runs of one session take turns
      }
    });
  }
  for (std::thread& runner : runners) runner.join();
  for (const int w : wrong) EXPECT_EQ(w, 0);
}

TEST(Session, TheArenaReusesMemoryAndItsPeakIsThatOfTheLivingTensors) {
  // matmul never works in place: a chain needs two buffers at a time, whatever its length.
  ProgramBuilder b;
  int32_t t = b.input("x", DType::f32, {-1, 16});
  const int32_t w = b.constant("w", DType::f32, {16, 16}, random_values<float>(256, 1, -1, 1));
  for (int i = 0; i < 9; ++i) t = b.op("cpu.gemm", {t, w}, DType::f32, 2);
  b.output("y", t);
  Session session(b.load(), threads(1));
  const std::vector<float> x(64 * 16, 1);
  session.run({view(DType::f32, {64, 16}, x.data())});
  EXPECT_GE(session.arena_bytes(), size_t{2 * 64 * 16 * 4});
  EXPECT_LT(session.arena_bytes(), size_t{3 * 64 * 16 * 4});
  // Elementwise ops work in place: one buffer.
  ProgramBuilder e;
  t = e.input("x", DType::f32, {-1});
  for (int i = 0; i < 9; ++i) t = e.op(i % 2 == 0 ? "sigmoid" : "relu", {t}, DType::f32, 1);
  e.output("y", t);
  Session inplace(e.load(), threads(1));
  const std::vector<float> v(1024, 1);
  inplace.run({view(DType::f32, {1024}, v.data())});
  EXPECT_LE(inplace.arena_bytes(), size_t{4096});
}

TEST(Session, WorkingInPlaceNeverHurtsAnotherReader) {
  // x is fed: it may not be written. a is read again after relu(a); v is a view of a; both operands of the last add are one tensor.
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {2, 3});
  const int32_t a = b.op("neg", {x}, DType::f32, 2);
  const int32_t shape = b.constant("shape", DType::i64, {1}, std::vector<int64_t>{6});
  const int32_t v = b.op("reshape", {a, shape}, DType::f32, 1);
  const int32_t r = b.op("relu", {a}, DType::f32, 2);
  const int32_t s = b.op("sub", {r, a}, DType::f32, 2);
  const int32_t e = b.op("exp", {v}, DType::f32, 1);
  const int32_t d = b.op("add", {s, s}, DType::f32, 2);
  b.output("d", d);
  b.output("e", e);
  b.output("v", v);
  b.output("again", v);
  b.output("x", x);
  Session session(b.load(), threads(1));
  const std::vector<float> data{-3, -2, -1, 0, 1, 2};
  for (int round = 0; round < 2; ++round) {
    const std::vector<OwnedTensor> y = session.run({view(DType::f32, {2, 3}, data.data())});
    EXPECT_TRUE(values_of<float>(y[0]) == (std::vector<float>{0, 0, 0, 0, 2, 4}));
    for (size_t i = 0; i < 6; ++i) {
      EXPECT_NEAR(values_of<float>(y[1])[i], std::exp(-data[i]), 1e-5f * std::exp(-data[i]));
      EXPECT_EQ(values_of<float>(y[2])[i], -data[i]);
      EXPECT_EQ(values_of<float>(y[3])[i], -data[i]);
      EXPECT_EQ(values_of<float>(y[4])[i], data[i]);
    }
    EXPECT_EQ(data[0], -3.0f);
  }
}

TEST(Session, KeptTensorsAreReturnedAfterTheOutputs) {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {3});
  const int32_t m = b.op("neg", {x}, DType::f32, 1);
  b.output("y", b.op("relu", {m}, DType::f32, 1));
  SessionOptions options;
  options.keep = {b.name(m), "x"};
  Session session(b.load(), options);
  const std::vector<float> data{1, -2, 3};
  const std::vector<OwnedTensor> y = session.run({view(DType::f32, {3}, data.data())});
  ASSERT_EQ(y.size(), size_t{3});
  EXPECT_EQ(session.output_name(1), b.name(m));
  EXPECT_TRUE(values_of<float>(y[0]) == (std::vector<float>{0, 2, 0}));
  EXPECT_TRUE(values_of<float>(y[1]) == (std::vector<float>{-1, 2, -3}));
  EXPECT_TRUE(values_of<float>(y[2]) == data);
  SessionOptions wrong;
  wrong.keep = {"nobody"};
  EXPECT_EQ(code_of([&] { Session(b.load(), wrong); }), std::string("CEC6007"));
}

TEST(Session, ShapesThatDependOnFedValuesFollowThem) {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {-1});
  const int32_t shape = b.input("shape", DType::i64, {2});
  const int32_t zero = b.constant("zero", DType::i64, {2}, std::vector<int64_t>{0, 0});
  const int32_t sum = b.op("add", {shape, zero}, DType::i64, 1);
  b.output("y", b.op("relu", {b.op("reshape", {x, sum}, DType::f32, 2)}, DType::f32, 2));
  Session session(b.load(), threads(1));
  const std::vector<float> data{1, -2, 3, -4, 5, -6};
  for (const std::vector<int64_t>& dims : {std::vector<int64_t>{2, 3}, {3, 2}, {-1, 1}, {2, 3}}) {
    const std::vector<OwnedTensor> y = session.run({view(DType::f32, {6}, data.data()), view(DType::i64, {2}, dims.data())});
    EXPECT_EQ(y[0].type.shape[1], dims[1]);
    EXPECT_TRUE(values_of<float>(y[0]) == (std::vector<float>{1, 0, 3, 0, 5, 0}));
  }
  const std::vector<int64_t> bad{4, 2};
  EXPECT_EQ(code_of([&] { session.run({view(DType::f32, {6}, data.data()), view(DType::i64, {2}, bad.data())}); }), std::string("CEC6004"));
  const std::vector<int64_t> good{6, 1};  // the session still works
  EXPECT_EQ(session.run({view(DType::f32, {6}, data.data()), view(DType::i64, {2}, good.data())})[0].type.shape[0], 6);
}

TEST(Session, MoreShapesThanPlansAreKeptStillGiveRightResults) {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {-1});
  b.output("y", b.op("neg", {x}, DType::f32, 1));
  Session session(b.load(), threads(1));
  const std::vector<float> data = random_values<float>(64, 1, -1, 1);
  for (int round = 0; round < 3; ++round) {
    for (int64_t n = 20; n >= 1; --n) {
      const std::vector<float> y = values_of<float>(session.run({view(DType::f32, {n}, data.data())})[0]);
      ASSERT_EQ(y.size(), static_cast<size_t>(n));
      for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], -data[i]);
    }
  }
}

TEST(Session, WrongFeedsHaveTheirCode) {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {-1, 3});
  b.output("y", b.op("relu", {x}, DType::f32, 2));
  Session session(b.load(), threads(1));
  const std::vector<float> data(6, 1);
  EXPECT_EQ(code_of([&] { session.run({}); }), std::string("CEC6005"));
  EXPECT_EQ(code_of([&] { session.run({view(DType::i32, {2, 3}, data.data())}); }), std::string("CEC6005"));
  EXPECT_EQ(code_of([&] { session.run({view(DType::f32, {3, 2}, data.data())}); }), std::string("CEC6005"));
  EXPECT_EQ(code_of([&] { session.run({view(DType::f32, {6}, data.data())}); }), std::string("CEC6005"));
  EXPECT_EQ(code_of([&] { session.run({view(DType::f32, {2, 3}, nullptr)}); }), std::string("CEC6005"));
  EXPECT_EQ(code_of([&] { Session(b.load(), threads(0)); }), std::string("CEC6007"));
}

TEST(Session, IndicesOutOfRangeAndIntegerDivisionByZeroAreErrorsOfTheData) {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {4});
  const int32_t i = b.input("i", DType::i64, {-1});
  b.output("y", b.op("gather", {x, i}, DType::f32, 1));
  Session gather(b.load(), threads(2));
  const std::vector<float> data(4, 1);
  for (const int64_t index : {int64_t{4}, int64_t{-5}, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()}) {
    EXPECT_EQ(code_of([&] { gather.run({view(DType::f32, {4}, data.data()), view(DType::i64, {1}, &index)}); }), std::string("CEC6008"));
  }
  for (const char* kind : {"div", "mod"}) {
    ProgramBuilder d;
    const int32_t p = d.input("p", DType::i32, {3});
    const int32_t q = d.input("q", DType::i32, {3});
    d.output("y", d.op(kind, {p, q}, DType::i32, 1));
    Session session(d.load(), threads(1));
    const std::vector<int32_t> a{1, std::numeric_limits<int32_t>::min(), 3}, zero{1, 0, 1}, minus{1, -1, 1};
    EXPECT_EQ(code_of([&] { session.run({view(DType::i32, {3}, a.data()), view(DType::i32, {3}, zero.data())}); }), std::string("CEC6008"));
    // The least integer by -1 overflows: no trap.
    session.run({view(DType::i32, {3}, a.data()), view(DType::i32, {3}, minus.data())});
  }
}

TEST(Session, NanAndInfinityPassThroughEveryStageWithoutHarm) {
  Session session(small_network().load(), threads(2));
  std::vector<float> x(kSample, 1);
  for (const float v : {std::nanf(""), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::max()}) {
    for (size_t i = 0; i < x.size(); i += 3) x[i] = v;
    const std::vector<OwnedTensor> y = session.run({view(DType::f32, {1, 9, 7, 3}, x.data())});
    EXPECT_EQ(y.size(), size_t{2});
  }
}

TEST(Session, ProfilesCountEachRunOfEachOp) {
  SessionOptions options;
  options.profile = true;
  Session session(small_network().load(), options);
  const std::vector<float> x(kSample, 1);
  for (int i = 0; i < 3; ++i) session.run({view(DType::f32, {1, 9, 7, 3}, x.data())});
  const std::vector<OpProfile> rows = session.profile();
  EXPECT_EQ(rows.size(), session.program().nodes().size());
  EXPECT_EQ(rows[0].kind, std::string("cpu.conv"));
  EXPECT_EQ(rows[0].calls, uint64_t{3});
}

}  // namespace
}  // namespace cec::test

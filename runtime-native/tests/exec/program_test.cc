// Program files that are damaged, truncated or hostile: an Error, never a crash (the sanitizer presets run these tests too).
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <limits>

#include "program_builder.h"

namespace cec::test {
namespace {

std::string load_code(const Bytes& bytes) {
  // An exact copy on the heap, so that a read past the end is one past an allocation.
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[bytes.size()]);
  if (!bytes.empty()) std::memcpy(copy.get(), bytes.data(), bytes.size());
  return code_of([&] { Program::load(copy.get(), bytes.size()); });
}

/// A program of a few hundred bytes with every kind of table entry.
ProgramBuilder tiny() {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {2, 3});
  const int32_t c = b.constant("c", DType::f32, {3}, std::vector<float>{1, 2, 3});
  const int32_t axes = b.constant("axes", DType::i64, {1}, std::vector<int64_t>{1});
  const int32_t sum = b.op("add", {x, c}, DType::f32, 2, {{"activation", std::string("clip")}, {"clip_min", -1.5}, {"clip_max", 4.0}});
  const int32_t r = b.op("reduce_sum", {sum, axes}, DType::f32, 2, {{"keepdims", int64_t{1}}});
  b.output("y", b.op("transpose", {r}, DType::f32, 2, {{"perm", std::vector<int64_t>{1, 0}}}));
  return b;
}

const std::vector<float> kFeed{1, 2, 3, 4, 5, 6};

/// Loads and, where that works, runs: only Errors may come out.
std::string try_all(const Bytes& bytes) {
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[bytes.size()]);
  if (!bytes.empty()) std::memcpy(copy.get(), bytes.data(), bytes.size());
  return code_of([&] {
    const auto program = Program::load(copy.get(), bytes.size());
    Session session(program, {});
    std::vector<TensorView> feeds;
    for (size_t i = 0; i < program->inputs().size(); ++i) feeds.push_back(view(DType::f32, {2, 3}, kFeed.data()));
    session.run(feeds);
  });
}

/// Mutated sizes may ask for more than the machine has: refused memory is what is tested, not the machine.
struct MemoryLimit {
  rlimit before{};
  MemoryLimit() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    getrlimit(RLIMIT_AS, &before);
    rlimit limit = before;
    limit.rlim_cur = std::min<rlim_t>(before.rlim_max, rlim_t{4} << 30);
    setrlimit(RLIMIT_AS, &limit);
#endif
  }
  ~MemoryLimit() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    setrlimit(RLIMIT_AS, &before);
#endif
  }
};

TEST(Program, TheWholeFileRuns) {
  Session session(tiny().load(), {});
  const std::vector<OwnedTensor> y = session.run({view(DType::f32, {2, 3}, kFeed.data())});
  EXPECT_TRUE(y[0].type.shape == (Shape{1, 2}));
  EXPECT_TRUE(values_of<float>(y[0]) == (std::vector<float>{2 + 4 + 4, 4 + 4 + 4}));
}

/// A file that goes away with it.
struct TemporaryFile {
  std::string path;
  explicit TemporaryFile(const Bytes& bytes) {
    char name[] = "/tmp/cec-program-XXXXXX";
    const int fd = mkstemp(name);
    path = name;
    EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    close(fd);
  }
  ~TemporaryFile() { unlink(path.c_str()); }
};

TEST(Program, AMappedFileRunsAndOutlivesItsName) {
  const std::vector<float> expected{2 + 4 + 4, 4 + 4 + 4};
  std::shared_ptr<const Program> program;
  {
    const TemporaryFile file(tiny().write());
    program = Program::map(file.path);
  }
  Session session(program, {});
  EXPECT_TRUE(values_of<float>(session.run({view(DType::f32, {2, 3}, kFeed.data())})[0]) == expected);
}

TEST(Program, MappedFilesThatAreNoneAreRefusedWithTheirPath) {
  const auto refused = [](const std::string& path, const std::string& code) {
    try {
      Program::map(path);
      ADD_FAILURE() << path << " was accepted";
    } catch (const Error& e) {
      EXPECT_EQ(e.code, code);
      EXPECT_NE(std::string(e.what()).find(path), std::string::npos);
    }
  };
  refused("/tmp/cec-no-such-folder/x.cecb", "CEC6007");
  refused("/tmp", "CEC6007");
  const TemporaryFile empty(Bytes{});
  refused(empty.path, "CEC6001");
  Bytes cut = tiny().write();
  cut.resize(cut.size() / 2);
  const TemporaryFile half(cut);
  refused(half.path, "CEC6001");
  const std::string fifo = "/tmp/cec-fifo-" + std::to_string(getpid());
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  refused(fifo, "CEC6007");
  unlink(fifo.c_str());
}

TEST(Session, ACancelledRunEndsWithItsCodeAndTheNextOneRuns) {
  Session session(tiny().load(), {});
  const std::vector<TensorView> feeds{view(DType::f32, {2, 3}, kFeed.data())};
  std::vector<float> y(2);
  const auto into = [&](size_t, const TensorType&) -> void* { return y.data(); };
  std::atomic<int32_t> cancel{1};
  EXPECT_EQ(code_of([&] { session.run(feeds, into, nullptr, &cancel); }), "CEC6013");
  EXPECT_TRUE(y == std::vector<float>(2));
  cancel = 0;
  session.run(feeds, into, nullptr, &cancel);
  EXPECT_TRUE(y == (std::vector<float>{10, 12}));
}

TEST(Program, EveryTruncationIsRejected) {
  const Bytes whole = tiny().write();
  for (size_t n = 0; n < whole.size(); ++n) {
    Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_EQ(load_code(part), std::string("CEC6001"));
    // With a header that agrees with the length, the tables are what ends too early.
    if (n < 48) continue;
    const uint64_t total = n;
    std::memcpy(part.data() + 8, &total, 8);
    EXPECT_NE(load_code(part), std::string(""));
    for (const uint64_t blobs_at : {uint64_t{64}, n / 64 * 64}) {
      const uint64_t tables = blobs_at > 48 ? blobs_at - 48 : 0, blobs = n - std::min<uint64_t>(n, blobs_at);
      std::memcpy(part.data() + 24, &tables, 8);
      std::memcpy(part.data() + 32, &blobs_at, 8);
      std::memcpy(part.data() + 40, &blobs, 8);
      EXPECT_NE(load_code(part), std::string(""));
    }
  }
}

TEST(Program, BytesBehindTheEndAreRejected) {
  Bytes longer = tiny().write();
  longer.push_back(0);
  EXPECT_EQ(load_code(longer), std::string("CEC6001"));
}

TEST(Program, EveryBitFlipIsRejectedOrRuns) {
  const MemoryLimit limit;
  const Bytes whole = tiny().write();
  size_t rejected = 0;
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes flipped = whole;
    flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ (1u << (bit % 8)));
    if (!try_all(flipped).empty()) ++rejected;
  }
  EXPECT_GT(rejected, whole.size());  // most bits matter
}

TEST(Program, SeededMutationsOfANetworkAreRejectedOrRun) {
  const MemoryLimit limit;
  const Bytes whole = small_network().write();
  uint64_t tables = 0;
  std::memcpy(&tables, whole.data() + 24, 8);
  std::mt19937 random(11);
  const std::vector<float> x(kSample, 0.5f);
  size_t rejected = 0;
  for (int round = 0; round < 1500; ++round) {
    Bytes changed = whole;
    for (unsigned k = 0; k < 1 + random() % 3; ++k) {
      const size_t at = 48 + random() % tables;
      switch (random() % 3) {
        case 0: changed[at] = static_cast<uint8_t>(random()); break;
        case 1: changed[at] = random() % 2 == 0 ? 0xff : 0; break;
        default: std::swap(changed[at], changed[48 + random() % tables]);
      }
    }
    const std::string code = code_of([&] {
      const auto program = Program::load(changed.data(), changed.size());
      Session session(program, {});
      session.run({view(DType::f32, {1, 9, 7, 3}, x.data())});
    });
    if (!code.empty()) ++rejected;
  }
  EXPECT_GT(rejected, size_t{500});
}

TEST(Program, DimensionsWhoseProductOverflowsAreRejected) {
  const int64_t big = int64_t{1} << 32, most = std::numeric_limits<int64_t>::max();
  for (const std::vector<int64_t>& dims : {std::vector<int64_t>{big, big}, {most, most, most}, {most}, {big, big, 0}, {most, 0, 2}}) {
    ProgramBuilder b;
    const int32_t x = b.input("x", DType::f32, {1});
    const int32_t c = b.constant("c", DType::f32, dims, std::vector<float>{});
    b.output("y", b.op("add", {x, c}, DType::f32, dims.size()));
    EXPECT_EQ(code_of([&] { b.load(); }), std::string("CEC6001"));
  }
  // Shapes that only arise while running.
  for (const std::vector<int64_t>& dims : {std::vector<int64_t>{big, big}, {most, 2}, {most, most}, {-5}}) {
    ProgramBuilder b;
    const int32_t x = b.input("x", DType::f32, {1});
    const int32_t shape = b.constant("s", DType::i64, {static_cast<int64_t>(dims.size())}, dims);
    b.output("y", b.op("expand", {x, shape}, DType::f32, dims.size()));
    Session session(b.load(), {});
    const float v = 1;
    EXPECT_EQ(code_of([&] { session.run({view(DType::f32, {1}, &v)}); }), std::string("CEC6004"));
  }
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {-1, -1, -1});
  b.output("y", b.op("relu", {x}, DType::f32, 3));
  Session session(b.load(), {});
  const float v = 1;
  EXPECT_NE(code_of([&] { session.run({view(DType::f32, {big, big, big}, &v)}); }), std::string(""));
  EXPECT_NE(code_of([&] { session.run({view(DType::f32, {-1, 1, 1}, &v)}); }), std::string(""));
}

TEST(Program, CyclesMissingProducersAndSecondSourcesAreRejected) {
  {
    ProgramBuilder b;  // a reads b, b reads a
    const int32_t p = b.tensor("p", DType::f32, {1}), q = b.tensor("q", DType::f32, {1});
    b.raw_op("relu", {p}, {q});
    b.raw_op("relu", {q}, {p});
    b.output("y", p);
    EXPECT_EQ(code_of([&] { b.load(); }), std::string("CEC6001"));
  }
  {
    ProgramBuilder b;  // an op that reads its own result
    const int32_t p = b.tensor("p", DType::f32, {1});
    b.raw_op("relu", {p}, {p});
    b.output("y", p);
    EXPECT_EQ(code_of([&] { b.load(); }), std::string("CEC6001"));
  }
  {
    ProgramBuilder b;  // an output that nothing makes
    b.output("y", b.tensor("p", DType::f32, {1}));
    EXPECT_EQ(code_of([&] { b.load(); }), std::string("CEC6001"));
  }
  {
    ProgramBuilder b;  // a result that is an input
    const int32_t x = b.input("x", DType::f32, {1});
    b.raw_op("relu", {x}, {x});
    b.output("y", x);
    EXPECT_EQ(code_of([&] { b.load(); }), std::string("CEC6001"));
  }
  {
    ProgramBuilder b;  // one tensor twice in one op's results
    const int32_t x = b.input("x", DType::f32, {4}), p = b.tensor("p", DType::f32, {2});
    b.raw_op("split", {x}, {p, p});
    b.output("y", p);
    EXPECT_EQ(code_of([&] { b.load(); }), std::string("CEC6001"));
  }
  for (const int32_t id : {-2, 99, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()}) {
    ProgramBuilder b;
    const int32_t x = b.input("x", DType::f32, {1});
    b.output("y", b.op("add", {x, id}, DType::f32, 1));
    EXPECT_EQ(code_of([&] { b.load(); }), std::string("CEC6001"));
  }
  ProgramBuilder twice;
  twice.input("x", DType::f32, {1});
  twice.output("y", twice.input("x", DType::f32, {1}));
  EXPECT_EQ(code_of([&] { twice.load(); }), std::string("CEC6001"));
}

TEST(Program, UnknownKindsAndWrongOperandsHaveTheirCodes) {
  ProgramBuilder unknown;
  unknown.output("y", unknown.op("frobnicate", {unknown.input("x", DType::f32, {1})}, DType::f32, 1));
  EXPECT_EQ(code_of([&] { unknown.load(); }), std::string("CEC6002"));
  ProgramBuilder few;
  few.output("y", few.op("add", {few.input("x", DType::f32, {1})}, DType::f32, 1));
  EXPECT_EQ(code_of([&] { few.load(); }), std::string("CEC6003"));
  ProgramBuilder absent;
  absent.output("y", absent.op("add", {absent.input("x", DType::f32, {1}), -1}, DType::f32, 1));
  EXPECT_EQ(code_of([&] { absent.load(); }), std::string("CEC6003"));
  ProgramBuilder weights;  // weights must be constant
  const int32_t x = weights.input("x", DType::f32, {1, 4, 4, 2});
  weights.output("y", weights.op("cpu.conv", {x, weights.input("w", DType::f32, {3, 1, 1, 2})}, DType::f32, 4));
  EXPECT_EQ(code_of([&] { weights.load(); }), std::string("CEC6003"));
  for (const AttrList& attrs : {AttrList{{"strides", std::vector<int64_t>{0, 1}}}, {{"strides", std::vector<int64_t>{1}}}, {{"dilations", std::vector<int64_t>{-1, 1}}},
                                {{"pads", std::vector<int64_t>{1, 1}}}, {{"group", int64_t{0}}}, {{"group", int64_t{5}}}, {{"group", std::string("x")}},
                                {{"pads", std::vector<int64_t>{std::numeric_limits<int64_t>::max(), 0, 0, 0}}}, {{"activation", std::string("swish")}}}) {
    ProgramBuilder b;
    const int32_t in = b.input("x", DType::f32, {1, 4, 4, 2});
    const int32_t w = b.constant("w", DType::f32, {3, 1, 1, 2}, std::vector<float>(6, 1));
    b.output("y", b.op("cpu.conv", {in, w}, DType::f32, 4, attrs));
    const std::vector<float> data(32, 1);
    const std::string code = code_of([&] {
      Session session(b.load(), {});
      session.run({view(DType::f32, {1, 4, 4, 2}, data.data())});
    });
    EXPECT_TRUE(code == "CEC6003" || code == "CEC6004");
  }
}

TEST(Program, AConstantThatOnlyAPackingOpReadsIsNotKeptTwice) {
  const size_t raw = size_t{64} * 576 * 4;
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {1, 8, 8, 576});
  const int32_t w = b.constant("w", DType::f32, {64, 1, 1, 576}, std::vector<float>(raw / 4, 1));
  b.output("y", b.op("cpu.conv", {x, w}, DType::f32, 4));
  const auto program = b.load();
  EXPECT_GE(program->constant_bytes(), raw);
  EXPECT_LT(program->constant_bytes(), raw + raw / 4);
}

// What fuzzing found (fuzz/regressions has the files).

TEST(Program, AnOpWhoseResultsNobodyWantsIsRejected) {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {2});
  b.raw_op("equal", {x, x}, {-1});
  b.output("y", x);
  EXPECT_EQ(code_of([&] { b.load(); }), std::string("CEC6003"));
}

TEST(Program, ADeclaredDimensionThatNoTensorCanHaveIsRejected) {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {1, std::numeric_limits<int64_t>::max(), 3, 1});
  const int32_t w = b.constant("w", DType::f32, {1, 3, 3, 1}, std::vector<float>(9, 1));
  b.output("y", b.op("cpu.conv", {x, w}, DType::f32, 4, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}}));
  EXPECT_EQ(code_of([&] { b.load(); }), std::string("CEC6001"));
}

template <typename T>
std::vector<T> run_one(const ProgramBuilder& b, DType type, Shape shape, const std::vector<T>& x) {
  Session session(b.load(), {});
  return values_of<T>(session.run({view(type, shape, x.data())})[0]);
}

TEST(Session, ReductionsOfIntegersWrapAndThoseOfNothingGiveTheirNeutralElement) {
  const auto reduced = [](const char* kind, Shape shape, const std::vector<int64_t>& values, int64_t axis) {
    ProgramBuilder b;
    const int32_t x = b.input("x", DType::i64, {-1, -1});
    const int32_t axes = b.constant("axes", DType::i64, {1}, std::vector<int64_t>{axis});
    b.output("y", b.op(kind, {x, axes}, DType::i64, 2, {{"keepdims", int64_t{0}}}));
    return run_one<int64_t>(b, DType::i64, shape, values);
  };
  const int64_t most = std::numeric_limits<int64_t>::max();
  EXPECT_TRUE(reduced("reduce_sum", {1, 2}, {most, 1}, 1) == (std::vector<int64_t>{std::numeric_limits<int64_t>::min()}));
  EXPECT_TRUE(reduced("reduce_log_sum_exp", {1, 2}, {0, 0}, 1) == (std::vector<int64_t>{0}));
  EXPECT_TRUE(reduced("reduce_l2", {1, 2}, {3, 4}, 1) == (std::vector<int64_t>{5}));
  EXPECT_TRUE(reduced("reduce_log_sum", {2, 1}, {0, 1}, 1) == (std::vector<int64_t>{0, 0}));  // log 0 is no integer
  EXPECT_TRUE(reduced("reduce_prod", {0, 3}, {}, 0) == (std::vector<int64_t>{1, 1, 1}));
  EXPECT_TRUE(reduced("reduce_sum", {3, 0}, {}, 1) == (std::vector<int64_t>{0, 0, 0}));
}

TEST(Session, AnOpWithoutElementsDoesNotWalkTheOtherDimensions) {
  ProgramBuilder b;
  const int64_t many = int64_t{1} << 37;  // an hour of steps that do nothing
  const int32_t x = b.input("x", DType::i32, {0, many});
  b.output("y", b.op("cum_sum", {x, b.constant("axis", DType::i64, {}, std::vector<int64_t>{0})}, DType::i32, 2));
  Session session(b.load(), {});
  EXPECT_EQ(session.run({view(DType::i32, {0, many}, nullptr)})[0].type.count(), 0);
}

TEST(Session, IntegerGemmWrapsInItsSumAsInItsProduct) {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::i64, {1, 1});
  const int32_t one = b.constant("one", DType::i64, {1, 1}, std::vector<int64_t>{1});
  const int32_t c = b.constant("c", DType::i64, {1}, std::vector<int64_t>{1});
  b.output("y", b.op("gemm", {x, one, c}, DType::i64, 2));
  EXPECT_TRUE(run_one<int64_t>(b, DType::i64, {1, 1}, {std::numeric_limits<int64_t>::max()}) == (std::vector<int64_t>{std::numeric_limits<int64_t>::min()}));
}

}  // namespace
}  // namespace cec::test

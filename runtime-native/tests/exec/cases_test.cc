// Every kind of op against the IR's reference evaluation, at every instruction set of this machine, on 1 and 3 threads. The cases are those of
// test/unit/runtime-native/cases.ts; ctest lets write-cases.ts write them into the folder that CEC_CASES names. CEC_CASES_STEP=n takes each nth of them.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cec/cpu_features.h"
#include "program_builder.h"

namespace cec::test {
namespace {

namespace fs = std::filesystem;

// Relative to the largest magnitude of the result: sums in another order, Winograd forms, vector approximations of exp (2 ulp).
constexpr double kTolerance = 1e-5;

std::shared_ptr<const Program> load(const fs::path& path, const LoadOptions& options = {}) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return Program::load(bytes.data(), bytes.size(), options);
}

/// A tensor in memory of exactly its size, so that a sanitizer or memcheck sees each access beside it.
struct Exact {
  TensorType type;
  std::unique_ptr<uint8_t[]> data;
  TensorView view() const { return {type.dtype, type.shape, data.get()}; }
};

std::vector<Exact> run(Session& session, const std::vector<Exact>& feeds) {
  std::vector<TensorView> views;
  for (const Exact& feed : feeds) views.push_back(feed.view());
  std::vector<Exact> results(session.output_count());
  session.run(views, [&](size_t i, const TensorType& type) -> void* {
    results[i] = {type, std::unique_ptr<uint8_t[]>(new uint8_t[type.bytes()])};
    return results[i].data.get();
  });
  return results;
}

template <typename T>
std::string compare(const Exact& got, const Exact& want) {
  const T* a = reinterpret_cast<const T*>(got.data.get());
  const T* b = reinterpret_cast<const T*>(want.data.get());
  const size_t n = static_cast<size_t>(want.type.count());
  double scale = 1;
  for (size_t i = 0; i < n; ++i) {
    if (std::isfinite(b[i])) scale = std::max(scale, std::abs(static_cast<double>(b[i])));
  }
  for (size_t i = 0; i < n; ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    if (std::isfinite(a[i]) && std::isfinite(b[i]) && std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])) <= kTolerance * scale) continue;
    return "element " + std::to_string(i) + " is " + std::to_string(a[i]) + ", want " + std::to_string(b[i]);
  }
  return "";
}

std::string difference(const Exact& got, const Exact& want) {
  if (got.type.to_string() != want.type.to_string()) return "type " + got.type.to_string() + ", want " + want.type.to_string();
  if (want.type.dtype == DType::f32) return compare<float>(got, want);
  if (want.type.dtype == DType::f64) return compare<double>(got, want);
  return std::equal(got.data.get(), got.data.get() + got.type.bytes(), want.data.get()) ? "" : "the bytes differ";
}

std::string fault(const fs::path& path, const std::string& isa, int threads) {
  try {
    Session data(load(fs::path(path).replace_extension(".data.cecb")), {});
    std::vector<Exact> feeds, want;
    std::vector<Exact> rows = run(data, {});
    for (size_t i = 0; i < rows.size(); ++i) (data.output_name(i)[0] == 'x' ? feeds : want).push_back(std::move(rows[i]));
    LoadOptions options;
    options.isa = isa;
    SessionOptions session_options;
    session_options.threads = threads;
    Session session(load(path, options), session_options);
    const std::vector<Exact> got = run(session, feeds);
    if (got.size() != want.size()) return "there are " + std::to_string(got.size()) + " results, want " + std::to_string(want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      const std::string why = difference(got[i], want[i]);
      if (!why.empty()) return "result " + std::to_string(i) + ": " + why;
    }
  } catch (const Error& error) {
    if (error.code == codes::kUnknownOp) return "";  // the IR has a few kinds that the engine does not have
    return error.code + ": " + error.what();
  }
  return "";
}

TEST(Cases, EveryOpComputesWhatTheReferenceDoesOnEveryInstructionSet) {
  const char* folder = std::getenv("CEC_CASES");
  if (folder == nullptr) GTEST_SKIP() << "CEC_CASES names no folder of cases";
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().stem().extension() != ".data") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  EXPECT_GT(paths.size(), size_t{1000});
  const char* step_text = std::getenv("CEC_CASES_STEP");
  const size_t step = step_text == nullptr ? 1 : static_cast<size_t>(std::max(1, std::atoi(step_text)));
  // CEC_MAX_ISA lowers what is run here, as everywhere.
  for (int level = 0; level <= static_cast<int>(active_isa()); ++level) {
    if (!isa_supported(static_cast<Isa>(level))) continue;
    const std::string isa = isa_name(static_cast<Isa>(level));
    for (size_t n = 0; n < paths.size(); n += step) {
      const fs::path& path = paths[n];
      for (const int threads : {1, 3}) {
        const std::string why = fault(path, isa, threads);
        EXPECT_TRUE(why.empty()) << path.filename().string() << " on " << isa << ", " << threads << " threads: " << why;
      }
    }
  }
}

}  // namespace
}  // namespace cec::test

#include "cec/cpu_features.h"

#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "test_util.h"

namespace cec {
namespace {

// An independent witness: what the kernel of the operating system says.
std::set<std::string> proc_flags() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  std::set<std::string> flags;
  while (std::getline(file, line)) {
    if (line.rfind("flags", 0) != 0) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    for (std::string word; words >> word;) flags.insert(word);
    break;
  }
  return flags;
}

TEST(CpuFeatures, AgreeWithTheOperatingSystem) {
  const std::set<std::string> flags = proc_flags();
  if (flags.empty()) GTEST_SKIP() << "no x86 flags in /proc/cpuinfo";
  const CpuFeatures& f = cpu_features();
  EXPECT_EQ(f.avx2, flags.count("avx2") != 0);
  EXPECT_EQ(f.fma, flags.count("fma") != 0);
  EXPECT_EQ(f.f16c, flags.count("f16c") != 0);
  EXPECT_EQ(f.avx512f, flags.count("avx512f") != 0);
  EXPECT_EQ(f.avx512bw, flags.count("avx512bw") != 0);
  EXPECT_EQ(f.avx512dq, flags.count("avx512dq") != 0);
  EXPECT_EQ(f.avx512vl, flags.count("avx512vl") != 0);
  EXPECT_EQ(f.avx512vnni, flags.count("avx512_vnni") != 0);
}

TEST(CpuFeatures, NamesRoundTrip) {
  for (int i = 0; i < kIsaCount; ++i) {
    Isa isa = Isa::scalar;
    ASSERT_TRUE(parse_isa(isa_name(static_cast<Isa>(i)), &isa));
    EXPECT_EQ(static_cast<int>(isa), i);
  }
  Isa isa = Isa::avx2;
  EXPECT_FALSE(parse_isa("avx3", &isa));
  EXPECT_EQ(isa, Isa::avx2);
}

TEST(CpuFeatures, ScalarIsAlwaysSupportedAndTheActiveLevelRuns) {
  EXPECT_TRUE(isa_supported(Isa::scalar));
  EXPECT_TRUE(isa_supported(active_isa()));
  EXPECT_LE(active_isa(), max_isa());
}

TEST(Dispatch, TablesNeverHoldAVariantAboveTheirLevel) {
  for (int i = 0; i < kIsaCount; ++i) {
    const Isa isa = static_cast<Isa>(i);
    const KernelTable& t = kernels_for(isa);
    EXPECT_EQ(t.isa, isa);
    for (const Isa used : {t.gemm_f32->isa, t.gemm_q->isa, t.dwconv_f32->isa, t.dwconv_q->isa, t.pool->isa, t.elementwise->isa, t.rows->isa,
                           t.quantize->isa, t.layout->isa, t.stats->isa}) {
      EXPECT_LE(used, isa);
    }
  }
#if CEC_KERNELS_X86
  EXPECT_EQ(kernels_for(Isa::avx512vnni).gemm_q->isa, Isa::avx512vnni);
  EXPECT_EQ(kernels_for(Isa::avx512).gemm_f32->isa, Isa::avx512);
#endif
}

TEST(Dispatch, EachFamilyHasOneSelectedVariantAndNamesTellTheirLevel) {
  std::set<std::string> families, selected;
  for (const KernelInfo& k : list_kernels()) {
    families.insert(k.family);
    if (k.selected) {
      EXPECT_TRUE(selected.insert(k.family).second) << k.family;
      EXPECT_TRUE(k.supported) << k.name;
    }
    EXPECT_NE(std::string(k.name).find(std::string("__") + isa_name(k.isa)), std::string::npos) << k.name;
  }
  EXPECT_EQ(selected, families);
}

}  // namespace
}  // namespace cec

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
  const char* const key = CEC_KERNELS_ARM64 ? "Features" : "flags";
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  std::set<std::string> flags;
  while (std::getline(file, line)) {
    if (line.rfind(key, 0) != 0) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    for (std::string word; words >> word;) flags.insert(word);
    break;
  }
  return flags;
}

TEST(CpuFeatures, AgreeWithTheOperatingSystem) {
  const std::set<std::string> flags = proc_flags();
  if (flags.empty()) GTEST_SKIP() << "no features of this architecture in /proc/cpuinfo (under qemu-user it may be the host's)";
  const CpuFeatures& f = cpu_features();
  EXPECT_EQ(f.neon, flags.count("asimd") != 0);
  EXPECT_EQ(f.neon_dot, flags.count("asimddp") != 0);
  EXPECT_EQ(f.avx2, flags.count("avx2") != 0);
  EXPECT_EQ(f.fma, flags.count("fma") != 0);
  EXPECT_EQ(f.f16c, flags.count("f16c") != 0);
  EXPECT_EQ(f.avx512f, flags.count("avx512f") != 0);
  EXPECT_EQ(f.avx512bw, flags.count("avx512bw") != 0);
  EXPECT_EQ(f.avx512dq, flags.count("avx512dq") != 0);
  EXPECT_EQ(f.avx512vl, flags.count("avx512vl") != 0);
  EXPECT_EQ(f.avx512vnni, flags.count("avx512_vnni") != 0);
  EXPECT_EQ(f.avx512bf16, flags.count("avx512_bf16") != 0);
  // Linux before 5.12 does not name AVX-VNNI.
  EXPECT_GE(f.avx_vnni, flags.count("avx_vnni") != 0);
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

CpuFeatures haswell() {
  CpuFeatures f;
  f.avx2 = f.fma = f.f16c = true;
  return f;
}

CpuFeatures skylake_server() {
  CpuFeatures f = haswell();
  f.avx512f = f.avx512bw = f.avx512dq = f.avx512vl = true;
  return f;
}

TEST(CpuFeatures, LevelsOfRealProcessors) {
  EXPECT_EQ(best_isa(Isa::avx512bf16, CpuFeatures{}), Isa::scalar);
  EXPECT_EQ(best_isa(Isa::avx512bf16, haswell()), Isa::avx2);

  CpuFeatures alder_lake = haswell();
  alder_lake.avx_vnni = true;
  EXPECT_EQ(best_isa(Isa::avx512bf16, alder_lake), Isa::avxvnni);
  EXPECT_EQ(best_isa(Isa::avx2, alder_lake), Isa::avx2);

  CpuFeatures ice_lake = skylake_server();
  EXPECT_EQ(best_isa(Isa::avx512bf16, ice_lake), Isa::avx512);
  ice_lake.avx512vnni = true;
  EXPECT_EQ(best_isa(Isa::avx512bf16, ice_lake), Isa::avx512vnni);
  EXPECT_EQ(best_isa(Isa::avxvnni, ice_lake), Isa::avx2) << "it has no AVX-VNNI";

  CpuFeatures zen4 = ice_lake;
  zen4.avx512bf16 = true;
  EXPECT_EQ(best_isa(Isa::avx512bf16, zen4), Isa::avx512bf16);
  EXPECT_FALSE(isa_supported(Isa::avxvnni, zen4));

  CpuFeatures sapphire_rapids = zen4;
  sapphire_rapids.avx_vnni = true;
  EXPECT_EQ(best_isa(Isa::avxvnni, sapphire_rapids), Isa::avxvnni);
  EXPECT_EQ(best_isa(Isa::avx512bf16, sapphire_rapids), Isa::avx512bf16);

  CpuFeatures arm;
  arm.neon = true;
  EXPECT_EQ(best_isa(Isa::neondot, arm), Isa::neon);
  EXPECT_EQ(best_isa(Isa::avx512bf16, arm), Isa::scalar) << "a cap of another architecture";
  EXPECT_EQ(best_isa(Isa::neondot, zen4), Isa::scalar);
  arm.neon_dot = true;
  EXPECT_EQ(best_isa(Isa::neondot, arm), Isa::neondot);
}

TEST(CpuFeatures, AvxVnniIsPartOfNoOtherLevelAndArchitecturesDoNotMix) {
  for (int i = 0; i < kIsaCount; ++i) {
    const Isa isa = static_cast<Isa>(i);
    EXPECT_TRUE(isa_includes(isa, Isa::scalar));
    EXPECT_TRUE(isa_includes(isa, isa));
    EXPECT_EQ(isa_includes(isa, Isa::avxvnni), isa == Isa::avxvnni) << isa_name(isa);
    EXPECT_EQ(isa_includes(isa, Isa::avx2), isa >= Isa::avx2) << isa_name(isa);
    EXPECT_EQ(isa_includes(isa, Isa::neon), isa == Isa::neon || isa == Isa::neondot) << isa_name(isa);
    EXPECT_NE(std::string(isa_names()).find(isa_name(isa)), std::string::npos);
  }
  EXPECT_TRUE(isa_includes(Isa::avx512bf16, Isa::avx512vnni));
}

TEST(Dispatch, TablesOnlyHoldVariantsThatTheirLevelIncludes) {
  for (int i = 0; i < kIsaCount; ++i) {
    const Isa isa = static_cast<Isa>(i);
    const KernelTable& t = kernels_for(isa);
    EXPECT_EQ(t.isa, isa);
    for (const Isa used : {t.gemm_f32->isa, t.gemm_q->isa, t.dwconv_f32->isa, t.dwconv_q->isa, t.pool->isa, t.elementwise->isa, t.rows->isa,
                           t.quantize->isa, t.layout->isa, t.stats->isa}) {
      EXPECT_TRUE(isa_includes(isa, used)) << isa_name(used) << " in the table of " << isa_name(isa);
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

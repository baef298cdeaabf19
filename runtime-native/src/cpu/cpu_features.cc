#include "cec/cpu_features.h"

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__) || defined(_M_X64)
#define CEC_CPU_X86 1
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#else
#define CEC_CPU_X86 0
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace cec {
namespace {

#if CEC_CPU_X86

struct Registers {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
#if defined(_MSC_VER)
  int out[4];
  __cpuidex(out, static_cast<int>(leaf), static_cast<int>(subleaf));
  r = {static_cast<uint32_t>(out[0]), static_cast<uint32_t>(out[1]), static_cast<uint32_t>(out[2]), static_cast<uint32_t>(out[3])};
#else
  // Fails for a leaf above the highest one, and leaves zeros.
  if (!__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d)) r = {};
#endif
  return r;
}

// XCR0: which register states the OS saves on a context switch. Only legal where cpuid says OSXSAVE.
uint64_t saved_states() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  uint32_t lo, hi;
  __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
  return (static_cast<uint64_t>(hi) << 32) | lo;
#endif
}

bool bit(uint32_t word, int index) { return ((word >> index) & 1u) != 0; }

// Bit positions: Intel SDM volume 2A, CPUID; volume 1, section 13.1 for XCR0.
CpuFeatures detect() {
  CpuFeatures f;
  const Registers one = cpuid(1, 0);
  if (!bit(one.c, 27) || !bit(one.c, 28)) return f;  // OSXSAVE, AVX
  const uint64_t states = saved_states();
  constexpr uint64_t kYmm = 0x06, kZmm = 0xe6;  // SSE + AVX; and opmask, upper ZMM, high ZMM
  if ((states & kYmm) != kYmm) return f;
  const Registers seven = cpuid(7, 0);
  f.fma = bit(one.c, 12);
  f.f16c = bit(one.c, 29);
  f.avx2 = bit(seven.b, 5);
  f.avx_vnni = f.avx2 && bit(cpuid(7, 1).a, 4);
  if ((states & kZmm) == kZmm) {
    f.avx512f = bit(seven.b, 16);
    f.avx512dq = bit(seven.b, 17);
    f.avx512bw = bit(seven.b, 30);
    f.avx512vl = bit(seven.b, 31);
    f.avx512vnni = bit(seven.c, 11);
    f.avx512bf16 = f.avx512f && bit(cpuid(7, 1).a, 5);
  }
  return f;
}

#elif defined(__aarch64__)

CpuFeatures detect() {
  CpuFeatures f;
  f.neon = true;  // part of the base architecture
#if defined(__linux__)
  constexpr unsigned long kDotProduct = 1ul << 20;  // HWCAP_ASIMDDP, arch/arm64/include/uapi/asm/hwcap.h
  f.neon_dot = (getauxval(AT_HWCAP) & kDotProduct) != 0;
#elif defined(__APPLE__)
  f.neon_dot = true;  // every Apple CPU that runs macOS on Arm has it
#endif
  return f;
}

#else

CpuFeatures detect() { return {}; }

#endif

struct Cap {
  Isa isa = Isa::scalar;
  bool set = false, valid = true;
};

const Cap& environment_cap() {
  static const Cap cap = [] {
    Cap c;
    const char* value = std::getenv("CEC_MAX_ISA");
    if (value != nullptr && *value != '\0') c.set = c.valid = parse_isa(value, &c.isa);
    return c;
  }();
  return cap;
}

constexpr const char* kNames[kIsaCount] = {"scalar", "neon", "neondot", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16"};

// 0 for scalar, which belongs to all.
int architecture(Isa isa) {
  if (isa == Isa::scalar) return 0;
  return isa <= Isa::neondot ? 1 : 2;
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

const char* isa_name(Isa isa) { return kNames[static_cast<int>(isa)]; }

bool parse_isa(const char* name, Isa* out) {
  for (int i = 0; i < kIsaCount; ++i) {
    if (std::strcmp(name, kNames[i]) == 0) {
      *out = static_cast<Isa>(i);
      return true;
    }
  }
  return false;
}

const char* isa_names() { return "scalar, neon, neondot, avx2, avxvnni, avx512, avx512vnni, avx512bf16"; }

bool isa_includes(Isa level, Isa part) {
  if (part == Isa::scalar || part == level) return true;
  if (part == Isa::avxvnni) return false;  // of the levels above it no one has it on every CPU
  return architecture(level) == architecture(part) && part < level;
}

bool isa_supported(Isa isa, const CpuFeatures& f) {
  const bool avx2 = f.avx2 && f.fma && f.f16c;
  const bool avx512 = avx2 && f.avx512f && f.avx512bw && f.avx512dq && f.avx512vl;
  switch (isa) {
    case Isa::scalar: return true;
    case Isa::neon: return f.neon;
    case Isa::neondot: return f.neon && f.neon_dot;
    case Isa::avx2: return avx2;
    case Isa::avxvnni: return avx2 && f.avx_vnni;
    case Isa::avx512: return avx512;
    case Isa::avx512vnni: return avx512 && f.avx512vnni;
    case Isa::avx512bf16: return avx512 && f.avx512vnni && f.avx512bf16;
  }
  return false;
}

bool isa_supported(Isa isa) { return isa_supported(isa, cpu_features()); }

Isa best_isa(Isa cap, const CpuFeatures& features) {
  for (int i = static_cast<int>(cap); i > 0; --i) {
    const Isa isa = static_cast<Isa>(i);
    if (architecture(isa) == architecture(cap) && isa_supported(isa, features)) return isa;
  }
  return Isa::scalar;
}

Isa best_isa(Isa cap) { return best_isa(cap, cpu_features()); }

Isa max_isa() {
  for (int i = kIsaCount - 1; i > 0; --i) {
    if (isa_supported(static_cast<Isa>(i))) return static_cast<Isa>(i);
  }
  return Isa::scalar;
}

Isa active_isa() {
  const Cap& cap = environment_cap();
  return cap.set ? best_isa(cap.isa) : max_isa();
}

bool isa_cap_is_valid() { return environment_cap().valid; }

}  // namespace cec

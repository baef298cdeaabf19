// What the processor and the operating system let us use, found once at start-up.
#pragma once

#include <cstdint>

namespace cec {

/// Instruction-set levels that kernels are written for, weakest first. A variant of level L may use everything below L.
enum class Isa : uint8_t {
  scalar,      ///< the compiler's baseline; always runnable
  avx2,        ///< AVX2 + FMA + F16C
  avx512,      ///< AVX-512 F, BW, DQ, VL
  avx512vnni,  ///< avx512 + AVX512-VNNI (vpdpbusd)
};
inline constexpr int kIsaCount = 4;

/// Single features, true only if the CPU has them (cpuid) and the OS saves their registers (xgetbv).
struct CpuFeatures {
  bool avx2 = false, fma = false, f16c = false;
  bool avx512f = false, avx512bw = false, avx512dq = false, avx512vl = false, avx512vnni = false;
  bool avx_vnni = false;  ///< VEX-encoded vpdpbusd; reported, no variant uses it yet
};

/// Features of this machine; computed on first use, thread-safe.
const CpuFeatures& cpu_features();

/// "scalar", "avx2", "avx512", "avx512vnni".
const char* isa_name(Isa isa);
/// Reads such a name; false if it is none (out is left alone).
bool parse_isa(const char* name, Isa* out);

/// Can code of this level run here? Not capped by CEC_MAX_ISA.
bool isa_supported(Isa isa);
/// The highest level that this machine can run.
Isa max_isa();
/// max_isa() capped by the environment variable CEC_MAX_ISA (read once). A value that is no level is ignored;
/// `cec doctor` shows it through isa_cap_is_valid().
Isa active_isa();
/// False if CEC_MAX_ISA is set to something that parse_isa does not know.
bool isa_cap_is_valid();

}  // namespace cec

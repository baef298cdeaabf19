// What the processor and the operating system let us use, found once at start-up.
#pragma once

#include <cstdint>

namespace cec {

/// Instruction-set levels that kernels are written for, weakest first within an architecture. The order is what CEC_MAX_ISA caps by; what a
/// level's kernels may use is said by isa_includes, as a higher level need not have all of a lower one.
enum class Isa : uint8_t {
  scalar,      ///< the compiler's baseline; always runnable
  neon,        ///< AArch64: Advanced SIMD, which every such CPU has
  neondot,     ///< neon + sdot, udot (FEAT_DotProd)
  avx2,        ///< x86-64: AVX2 + FMA + F16C
  avxvnni,     ///< avx2 + AVX-VNNI (vpdpbusd on 256 bits)
  avx512,      ///< avx2 + AVX-512 F, BW, DQ, VL; not avxvnni: Ice Lake and Zen 4 lack it
  avx512vnni,  ///< avx512 + AVX512-VNNI (vpdpbusd on 512 bits)
  avx512bf16,  ///< avx512vnni + AVX512-BF16 (vdpbf16ps)
};
inline constexpr int kIsaCount = 8;

/// Single features, true only if the CPU has them (cpuid; hwcap on Linux AArch64) and the OS saves their registers (xgetbv).
struct CpuFeatures {
  bool neon = false, neon_dot = false;
  bool avx2 = false, fma = false, f16c = false;
  bool avx_vnni = false;  ///< VEX-encoded vpdpbusd
  bool avx512f = false, avx512bw = false, avx512dq = false, avx512vl = false, avx512vnni = false, avx512bf16 = false;
};

/// Features of this machine; computed on first use, thread-safe.
const CpuFeatures& cpu_features();

/// "scalar", "avx2" and so on.
const char* isa_name(Isa isa);
/// Reads such a name; false if it is none (out is left alone).
bool parse_isa(const char* name, Isa* out);
/// All names in order, "scalar, neon, ..."; for messages.
const char* isa_names();

/// May kernels of level `part` be used wherever those of `level` run? True of every CPU, not only of this one.
bool isa_includes(Isa level, Isa part);

/// Can code of this level run here? Not capped by CEC_MAX_ISA. The second form asks about a CPU with the features given.
bool isa_supported(Isa isa);
bool isa_supported(Isa isa, const CpuFeatures& features);
/// The highest level not above `cap` that this machine (or a CPU with the features given) can run. A cap of another architecture gives scalar.
Isa best_isa(Isa cap);
Isa best_isa(Isa cap, const CpuFeatures& features);
/// The highest level that this machine can run.
Isa max_isa();
/// max_isa(), or best_isa of the environment variable CEC_MAX_ISA (read once). A value that is no level is ignored;
/// `cec doctor` shows it through isa_cap_is_valid().
Isa active_isa();
/// False if CEC_MAX_ISA is set to something that parse_isa does not know.
bool isa_cap_is_valid();

}  // namespace cec

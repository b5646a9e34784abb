// The only file outside isa/ that names instruction sets.
#include "kernels/cpu/dispatch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <string>

#include "base/machine/cpu_info.h"

namespace dray::kernels {

namespace portable {
extern const IsaKernels kKernels;
}
#ifdef DRAY_X86_KERNELS
namespace avx2 {
extern const IsaKernels kKernels;
}
namespace avx_vnni {
extern const IsaKernels kKernels;
}
namespace avx512 {
extern const IsaKernels kKernels;
}
namespace avx512_vnni {
extern const IsaKernels kKernels;
}
namespace avx512_bf16 {
extern const IsaKernels kKernels;
}
#endif

std::vector<const IsaKernels*> AvailableIsas() {
  std::vector<const IsaKernels*> isas;
#ifdef DRAY_X86_KERNELS
  const CpuFeatures& cpu = DetectCpuFeatures();
  // Every processor with bf16 instructions has the VNNI ones, but a virtual machine may hide them.
  if (cpu.avx512_bf16 && cpu.avx512_vnni) isas.push_back(&avx512_bf16::kKernels);
  if (cpu.avx512_vnni) isas.push_back(&avx512_vnni::kKernels);
  if (cpu.avx512) isas.push_back(&avx512::kKernels);
  if (cpu.avx_vnni) isas.push_back(&avx_vnni::kKernels);
  if (cpu.avx2) isas.push_back(&avx2::kKernels);
#endif
  isas.push_back(&portable::kKernels);
  return isas;
}

Result<const IsaKernels*> SelectIsa(std::string_view forced) {
  std::string_view source = "option isa";
  if (forced.empty()) {
    const char* variable = std::getenv("DRAY_ISA");
    if (variable != nullptr) forced = variable;
    source = "DRAY_ISA";
  }
  const std::vector<const IsaKernels*> isas = AvailableIsas();
  if (forced.empty()) return isas.front();
  std::vector<std::string_view> names;
  for (const IsaKernels* isa : isas) {
    if (forced == isa->name) return isa;
    names.push_back(isa->name);
  }
  return Status(StatusCode::kUnsupported,
                fmt::format("{}: instruction set '{}' is unknown or missing on this processor; use "
                            "one of {}, or leave it empty",
                            source, forced, fmt::join(names, ", ")));
}

}  // namespace dray::kernels

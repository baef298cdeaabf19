import { execFileSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import type { Command } from "commander";
import { cpuInfo, isas, nativeIsBuilt } from "../../../../runtime-native/ts/index.js";
import { ortVersion } from "../../engine/ort.js";
import { version } from "../../version.js";
import { jsonOption } from "../options.js";
import { print, printJson, style } from "../output.js";

/** First line that a tool prints about its version; `null` where it is not installed. */
function tool(command: string): string | null {
  try {
    return execFileSync(command, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split("\n")[0] ?? null;
  } catch {
    return null;
  }
}

export function addDoctor(program: Command): void {
  program
    .command("doctor")
    .description("what this machine has and what cec would use")
    .addOption(jsonOption())
    .action(async (o: { readonly json?: true }) => {
      const built = nativeIsBuilt();
      const info = built ? cpuInfo() : null;
      const result = {
        cec: version,
        node: process.version,
        cpu: cpus()[0]?.model.trim() ?? "unknown",
        cores: cpus().length,
        memoryGiB: Number((totalmem() / 2 ** 30).toFixed(1)),
        native: info === null ? null : { isa: info.isa, maxIsa: info.maxIsa, features: info.features, kernels: info.kernels },
        onnxruntime: await ortVersion(),
        cmake: tool("cmake"),
        compiler: tool("c++"),
        data: process.env["CEC_DATA"] ?? null,
      };
      if (o.json === true) return void printJson(result);
      const line = (what: string, value: string | null, help: string): unknown =>
        print(`${what.padEnd(14)} ${value ?? `${style.yellow("missing")}: ${help}`}`);
      line("cec", result.cec, "");
      line("node", result.node, "");
      line("cpu", `${result.cpu}, ${result.cores} cores, ${result.memoryGiB} GiB`, "");
      line(
        "native engine",
        info === null
          ? null
          : `built, uses ${info.isa}${info.isa === info.maxIsa ? "" : ` of ${info.maxIsa} (CEC_MAX_ISA)`}: ${info.features.join(" ")}`,
        "npm run build:native",
      );
      if (info !== null && !info.capIsValid) print(style.yellow(`CEC_MAX_ISA names no instruction set: ${isas.join(", ")}`));
      line("ONNX Runtime", result.onnxruntime, "npm install onnxruntime-node@1.30.0");
      line("cmake", result.cmake, "install CMake 3.20 or later (apt install cmake, brew install cmake)");
      line("C++ compiler", result.compiler, "install g++ or clang (apt install g++, xcode-select --install)");
      line("CEC_DATA", result.data, "only for tests and benches on real data");
      if (info !== null) {
        print("kernels");
        for (const k of info.kernels.filter((e) => e.selected)) print(`  ${k.family.padEnd(20)} ${k.name}`);
      }
    });
}

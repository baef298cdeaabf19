/** The table of outputs: what `emit KIND "path" { … }` may name. */
import { writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { z } from "zod";
import { createSession, serialize } from "../../../runtime-native/ts/index.js";
import { blobsOf, fail, NEWEST_EXPORT, OLDEST_EXPORT, packBlobs, printGraph } from "../../core/index.js";
import { reportHtml } from "../build/html.js";
import { lowerGraph } from "../engine/native.js";
import { loadOrt, ortSession } from "../engine/ort.js";
import { misfits, type TargetName } from "../targets.js";
import { type Emit, emit } from "./emit.js";
import { writeOnnx } from "./onnx.js";

const path = z.string().min(1).describe("file, relative to the output folder");

export const emits: ReadonlyMap<string, Emit> = new Map(
  [
    emit({
      name: "onnx",
      summary: "ONNX file, loaded and compared in ONNX Runtime before it appears",
      kind: "model",
      options: z
        .object({
          path,
          opset: z.number().int().min(OLDEST_EXPORT).max(NEWEST_EXPORT).default(17).describe("opset, raised where an op needs it"),
          profile: z.enum(["cpu", "tensorrt"]).default("cpu").describe("runtime that must run every op: cpu (ONNX Runtime) or tensorrt"),
        })
        .strict(),
      positional: ["path"],
      write({ graph, staged, name, warn }, o) {
        const target: TargetName = o.profile === "tensorrt" ? "tensorrt" : "ort";
        const bad = misfits(graph, target);
        if (bad.length > 0 && o.profile === "tensorrt") {
          fail("CEC4008", {
            message: `the model does not fit ${target}`,
            why: bad
              .slice(0, 3)
              .map((m) => `${m.op} (${m.kind}): ${m.reason}`)
              .join("; "),
            help: "use `quantize int8 { profile: tensorrt }`",
          });
        }
        const file = join(staged.path, name);
        const { opset, raised } = writeOnnx(graph, file, o.opset);
        for (const line of raised) warn(`opset raised to ${opset}: ${line}`);
        return { opset, open: async (threads, exact = true) => ((await loadOrt()) === null ? null : ortSession(file, { threads, exact })) };
      },
    }),
    emit({
      name: "native",
      summary: "Program of the native engine (.cecb)",
      kind: "model",
      options: z
        .object({
          path,
          precision: z
            .enum(["f32", "bf16"])
            .default("f32")
            .describe(
              "precision of f32 products: bf16 rounds their operands to 8 significant bits, for CPUs with AVX512-BF16 (others run it too, no faster); the file stores f32, the weights take half in memory",
            ),
        })
        .strict(),
      positional: ["path"],
      async write({ graph, staged, name }, o) {
        const bytes = serialize((await lowerGraph(graph, [], false, { precision: o.precision })).graph);
        writeFileSync(join(staged.path, name), bytes);
        return {
          open: async (threads) => {
            const session = createSession(bytes, { threads });
            return { run: (feeds) => session.run(feeds), dispose: () => session.dispose() };
          },
        };
      },
    }),
    emit({
      name: "cir",
      summary: "IR text, with constants beside it in a .blobs file",
      kind: "model",
      options: z.object({ path }).strict(),
      positional: ["path"],
      write({ graph, staged, name }) {
        writeFileSync(join(staged.path, name), printGraph(graph));
        writeFileSync(join(staged.path, `${name.replace(/\.cir$/, "")}.blobs`), packBlobs(blobsOf(graph)));
        return {};
      },
    }),
    emit({
      name: "report",
      summary: "Report: a self-contained HTML page, or JSON by the file's ending",
      kind: "report",
      options: z.object({ path }).strict(),
      positional: ["path"],
      text: (report, file) => (extname(file).toLowerCase() === ".json" ? `${JSON.stringify(report, null, 2)}\n` : reportHtml(report)),
    }),
  ].map((e) => [e.name, e]),
);

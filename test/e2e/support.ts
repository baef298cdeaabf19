/** Runs `cec` as a child process, as a user does, in a temporary folder. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll } from "vitest";
import { exportOnnx, f32, type Graph, graphBuilder, normalFrom, randomFrom } from "../../compiler/core/index.js";
import { encodeNpy } from "../../compiler/driver/data/npy.js";

export const root = new URL("../..", import.meta.url).pathname;
const bundle = join(root, "dist/bundle/cli.js");
const made = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** The command, as it is built. */
function main(): string {
  for (const part of ["compiler-core", "dsl", "passes", "runtime-native-ts", "compiler-driver"])
    if (made(bundle) < made(join(root, `dist/.tsbuildinfo/${part}.tsbuildinfo`)))
      throw new Error("dist/bundle is older than what tsc wrote: npm run build");
  return bundle;
}

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "cec-e2e-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const environment = (extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv => ({ ...process.env, NO_COLOR: "1", ...extra });

export function cec(cwd: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Ran {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main(), ...args], { cwd, encoding: "utf8", env: environment(env) });
  return { status, stdout, stderr };
}

/** The same in a shell, for limits and pipes. `$CEC` is the command. */
export function shell(cwd: string, script: string): Ran {
  const { status, stdout, stderr } = spawnSync("bash", ["-c", script], {
    cwd,
    encoding: "utf8",
    env: environment({ CEC: `${process.execPath} ${main()}` }),
  });
  return { status, stdout, stderr };
}

/** Starts a command and signals it as soon as `when` says so. */
export function interrupted(cwd: string, args: readonly string[], signal: NodeJS.Signals, when: () => boolean): Promise<Ran> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [main(), ...args], { cwd, env: environment({}) });
    let [stdout, stderr, sent] = ["", "", false];
    child.stdout.on("data", (d: Buffer) => (stdout += d.toString()));
    child.stderr.on("data", (d: Buffer) => (stderr += d.toString()));
    const timer = setInterval(() => {
      if (sent || !when()) return;
      sent = true;
      child.kill(signal);
    }, 5);
    child.on("error", fail);
    child.on("close", (status) => {
      clearInterval(timer);
      done({ status, stdout, stderr });
    });
  });
}

export function write(folder: string, name: string, data: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, data);
  return path;
}

/** Every file below a folder, by its relative path. */
export const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile())
    .map((e) => join(e.parentPath, e.name).slice(folder.length + 1))
    .sort();

/** A small classifier: conv, relu, pool, conv, relu, global pool, gemm, for [N, 1, 12, 12]. */
export function smallNet(seed = 1): Graph {
  const b = graphBuilder("small");
  const random = randomFrom(seed);
  const weights = (name: string, dims: readonly number[], fanIn: number) =>
    b.constant(
      name,
      f32(
        dims,
        Array.from({ length: dims.reduce((x, y) => x * y, 1) }, () => Math.sqrt(2 / fanIn) * normalFrom(random)),
      ),
    );
  const x = b.input("image", "f32", ["N", 1, 12, 12]);
  const conv = (name: string, v: typeof x, from: number, to: number) =>
    b.value(
      "relu",
      [
        b.value(
          "conv",
          [v, weights(`${name}.w`, [to, from, 3, 3], 9 * from), weights(`${name}.b`, [to], 8)],
          { pads: [1, 1, 1, 1], kernel_shape: [3, 3] },
          name,
        ),
      ],
      {},
      `${name}.relu`,
    );
  const y = conv("second", b.value("max_pool", [conv("first", x, 1, 16)], { kernel_shape: [2, 2], strides: [2, 2] }, "pool"), 16, 32);
  const flat = b.value("flatten", [b.value("global_average_pool", [y], {}, "gap")], { axis: 1 }, "flat");
  b.output("logits", b.value("gemm", [flat, weights("fc.w", [10, 32], 32), weights("fc.b", [10], 8)], { transB: 1 }, "fc"));
  return b.graph;
}

export const smallNetOnnx = (seed = 1): Uint8Array => exportOnnx(smallNet(seed)).bytes;

/** Normal values with the sample as first axis. */
export function samples(count: number, seed = 5): Uint8Array {
  const random = randomFrom(seed);
  return encodeNpy(
    f32(
      [count, 1, 12, 12],
      Array.from({ length: count * 144 }, () => normalFrom(random)),
    ),
  );
}

/** A plan over `net.onnx` with generated data. */
export const smallPlan = (more = ""): string => `data shapes {
  calibrate: generated { kind: shapes, shape: [1, 12, 12], count: 32, seed: 1 }
  test: generated { kind: shapes, shape: [1, 12, 12], count: 64, seed: 2 }
}

param range: string = "mse"

plan small {
  source onnx "net.onnx"
  calibrate shapes.calibrate
  evaluate top1, agreement, cosine on shapes.test
  fold_batch_norm
  fuse
  quantize int8 { range: range }
  emit onnx "net.int8.onnx"
  emit native "net.int8.cecb"
  emit report "report.html"
${more}}
`;

/** Engines as processes that run files on request, so that rounds of ours and of others alternate: cec_program_bench --serve and bench/peers/serve.py. */
import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

export const networks = ["resnet20", "mobilenetv2", "squeezenet", "resnet18", "resnet50"] as const;
export const engines = ["cec", "ort", "openvino", "ort-exact"] as const;
export type Engine = (typeof engines)[number];

const build = resolve("runtime-native/build/tests-release");
const binary = join(build, "tests/exec/cec_program_bench");
const files = resolve("out/bench/latency");
const python = process.env["CEC_PEERS"];

export const median = (v: readonly number[]): number => [...v].sort((a, b) => a - b)[v.length >> 1] as number;

/** Peers that are installed; says what is not. */
export function availableEngines(): Engine[] {
  if (python === undefined) {
    process.stderr.write("CEC_PEERS is not set (a Python with onnxruntime and openvino; ../shared/peers/setup.sh makes one): ours alone\n");
    return ["cec"];
  }
  return engines.filter((e) => {
    if (e === "cec") return true;
    const module = e === "openvino" ? "openvino" : "onnxruntime";
    const there = spawnSync(python, ["-c", `import ${module}`]).status === 0;
    if (!there) process.stderr.write(`${module} is not installed in ${python}: left out\n`);
    return there;
  });
}

function run(command: string, args: readonly string[]): void {
  const { status } = spawnSync(command, args, { stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}`);
}

/** Builds the bench program, and the networks where they are not there yet (they need CEC_DATA). */
export function prepare(): void {
  run("cmake", ["-S", "runtime-native", "-B", build, "-DCMAKE_BUILD_TYPE=Release", "-DCEC_BUILD_TESTS=ON"]);
  run("cmake", ["--build", build, "--parallel", "2", "--target", "cec_program_bench"]);
  for (const n of networks)
    for (const kind of ["f32", "int8"])
      if (!existsSync(file(n, kind, "cecb")) || !existsSync(file(n, kind, "onnx")))
        run(process.execPath, ["dist/bundle/cli.js", "build", "bench/e2e/latency.cplan", "--plan", `${n}_${kind}`, "--out", files]);
}

export const file = (network: string, kind: string, extension: "cecb" | "onnx"): string => join(files, `${network}.${kind}.${extension}`);

export class Server {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  private constructor(engine: Engine, threads: number, paths: readonly string[]) {
    const [command, args] =
      engine === "cec"
        ? [binary, ["--serve", "--threads", String(threads), ...paths]]
        : [python as string, ["bench/peers/serve.py", engine, String(threads), ...paths]];
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** A process of the engine that has loaded the files and warmed them up. */
  static async start(engine: Engine, threads: number, models: readonly (readonly [network: string, kind: string])[]): Promise<Server> {
    const server = new Server(
      engine,
      threads,
      models.map(([n, kind]) => file(n, kind, engine === "cec" ? "cecb" : "onnx")),
    );
    const line = await server.#line();
    if (line !== "ready") throw new Error(`${engine} said ${line}`);
    return server;
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error("the engine's process ended");
    return value;
  }

  /** Milliseconds of each run of file `index`, for about `seconds`. */
  async time(index: number, seconds: number): Promise<number[]> {
    this.#child.stdin.write(`${index} ${seconds}\n`);
    return (await this.#line()).trim().split(" ").map(Number);
  }

  /** Highest resident memory of the process so far, in bytes (Linux). */
  peakBytes(): number {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${this.#child.pid}/status`, "utf8"))?.[1]) * 1024;
  }

  stop(): void {
    this.#child.kill();
  }
}

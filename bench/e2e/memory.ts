/**
 * Peak resident memory of a session beside ONNX Runtime's and OpenVINO's: a process that loads one network and runs it, less an idle process of the same engine.
 *   CEC_DATA=… CEC_PEERS=/path/to/venv/bin/python npm run bench:memory
 * JSON lines: out/bench/latency/memory.jsonl. Linux only (VmHWM).
 */
import { appendFileSync, mkdirSync, rmSync } from "node:fs";
import Table from "cli-table3";
import { availableEngines, type Engine, networks, prepare, Server } from "./servers.js";

const lines = "out/bench/latency/memory.jsonl";
mkdirSync("out/bench/latency", { recursive: true });
rmSync(lines, { force: true });
prepare();
const available = availableEngines().filter((e) => e !== "ort-exact");

async function peak(engine: Engine, models: readonly (readonly [string, string])[]): Promise<number> {
  const server = await Server.start(engine, 1, models);
  if (models.length > 0) await server.time(0, 0.3);
  const bytes = server.peakBytes();
  server.stop();
  return bytes;
}

const idle = new Map<Engine, number>();
for (const e of available) idle.set(e, await peak(e, []));
const table = new Table({
  head: ["network", "", ...available.map((e) => (e === "cec" ? "cec" : `${e} (ours / ${e})`))],
  style: { head: [], border: [] },
});
for (const network of networks)
  for (const kind of ["f32", "int8"]) {
    const bytes = new Map<Engine, number>();
    for (const e of available) bytes.set(e, (await peak(e, [[network, kind]])) - (idle.get(e) as number));
    const ours = bytes.get("cec") as number;
    table.push([network, kind, ...[...bytes].map(([e, b]) => `${(b / 2 ** 20).toFixed(1)}${e === "cec" ? "" : ` (${(ours / b).toFixed(2)})`}`)]);
    for (const [engine, b] of bytes) appendFileSync(lines, `${JSON.stringify({ network, kind, engine, bytes: b })}\n`);
  }
process.stdout.write(`MiB above an idle process, 1 thread\n${table}\n`);

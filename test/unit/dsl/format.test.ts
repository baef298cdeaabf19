import { expect, it } from "vitest";
import { CecError } from "../../../compiler/core/diagnostics/index.js";
import { format } from "../../../dsl/index.js";

it("spaces and indentation follow the brackets", () => {
  expect(
    format(`plan   p{
source onnx    "a.onnx"
    calibrate  d [ 0 : 512 ]
quantize int8{weights:per_channel,keep:[ "fc" ,"a"]}
   quantize {
range:mse   // the best
      overrides :{ fc : {bits:4} }
}
      require latency( native,threads:1 )<=0.5x
}`),
  ).toBe(`plan p {
  source onnx "a.onnx"
  calibrate d[0:512]
  quantize int8 { weights: per_channel, keep: ["fc", "a"] }
  quantize {
    range: mse // the best
    overrides: { fc: { bits: 4 } }
  }
  require latency(native, threads: 1) <= 0.5x
}
`);
});

it("models keep their line breaks, and pipes on lines of their own stand further in", () => {
  expect(
    format(`model m(a=1,b = -2){
input x:f32[N,3]
let y=x|>relu
|>conv2d(a*2,- b ,kernel:3)
if a==1 and not (b!=-1){y=y+x}else{ y = y-x*-2 }
for i in[1,2]{ y=y }
output y
}`),
  ).toBe(`model m(a = 1, b = -2) {
  input x: f32[N, 3]
  let y = x |> relu
    |> conv2d(a * 2, -b, kernel: 3)
  if a == 1 and not (b != -1) { y = y + x } else { y = y - x * -2 }
  for i in [1, 2] { y = y }
  output y
}
`);
});

it("comments keep their places, and blank lines are at most one", () => {
  expect(
    format(`


// first
import "./a.cplan"   // beside



// own line
param a=1
plan p {

  // inside
  fuse


  // last
}
// end`),
  ).toBe(`// first
import "./a.cplan" // beside

// own line
param a = 1
plan p {

  // inside
  fuse

  // last
}
// end
`);
});

it("nothing gives nothing", () => {
  expect(format(" \n\n ")).toBe("");
});

it("text that does not parse is not touched", () => {
  expect(() => format("plan { }\nparam = 3\n", "x.cplan")).toThrow(CecError);
  try {
    format("plan { }\nparam = 3\n", "x.cplan");
  } catch (error) {
    expect((error as CecError).diagnostics.map((d) => [d.code, d.span?.start.line])).toEqual([
      ["CEC2002", 1],
      ["CEC2002", 2],
    ]);
  }
});

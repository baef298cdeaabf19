/**
 * The set-up commands, each enough alone on a clean clone: `npm start`, `npm test`, `npm run build`. Plain Node, as nothing is installed yet when it runs.
 */
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const windows = process.platform === "win32";
const NODE = [20, 19];

/** Says what is missing and how to get it, and ends. */
function missing(what, how) {
  process.stderr.write(`cec needs ${what}\n  ${how}\n`);
  process.exit(1);
}

const works = (command, args = ["--version"]) => spawnSync(command, args, { stdio: "ignore", shell: windows }).status === 0;

function checkTools() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < NODE[0] || (major === NODE[0] && minor < NODE[1]))
    missing(`Node ${NODE.join(".")} or later; this is ${process.version}`, "get it from https://nodejs.org, or with nvm: nvm install 20");
  if (!works("npm")) missing("npm", "it comes with Node: https://nodejs.org");
  if (!works("cmake"))
    missing("CMake 3.20 or later", "Debian, Ubuntu: apt install cmake · macOS: brew install cmake · Windows: winget install Kitware.CMake");
  const compilers = [process.env.CXX, "c++", "g++", "clang++"].filter(Boolean);
  if (!windows && !compilers.some((c) => works(c))) missing("a C++17 compiler", "Debian, Ubuntu: apt install g++ · macOS: xcode-select --install");
  if (!windows && !works("make") && !works("ninja")) missing("make or ninja", "Debian, Ubuntu: apt install make · macOS: xcode-select --install");
}

/** Runs a step in the project's folder; ends with its exit code when it fails. */
function run(title, command, args, env = {}) {
  process.stdout.write(`\n> ${title}\n`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", shell: windows, env: { ...process.env, ...env } });
  if (error) process.stderr.write(`${error.message}\n`);
  if (status !== 0) process.exit(status ?? 1);
}

const at = (path) => join(root, path);
const time = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

/** Packages as the lock file says. The install script of onnxruntime-node would fetch a CUDA provider from outside the registry. */
function install() {
  if (time(at("node_modules/.package-lock.json")) >= time(at("package-lock.json"))) return;
  run("installing packages", "npm", ["ci", "--no-audit", "--no-fund"], { ONNXRUNTIME_NODE_INSTALL: "skip" });
}

const bin = (name) => at(`node_modules/.bin/${name}${windows ? ".cmd" : ""}`);

function buildTypeScript() {
  run("compiling TypeScript", bin("tsc"), ["-b"]);
}

function buildNative() {
  run("building the native engine", bin("cmake-js"), ["build", "-d", "runtime-native", "--log-level", "error"]);
}

function testNative() {
  run("configuring the C++ tests", "cmake", [
    "-S",
    "runtime-native",
    "-B",
    "runtime-native/build/tests-release",
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCEC_BUILD_TESTS=ON",
  ]);
  run("building the C++ tests", "cmake", ["--build", "runtime-native/build/tests-release", "--parallel", "2"]);
  run("C++ tests", "ctest", ["--test-dir", "runtime-native/build/tests-release", "--output-on-failure", "--parallel", "2"]);
}

const steps = {
  build() {
    buildTypeScript();
    buildNative();
  },
  start() {
    steps.build();
    const out = "out/quickstart";
    run("making a model and data", process.execPath, ["models/quickstart/make-model.mjs", `${out}/shapes.onnx`]);
    run("cec build models/quickstart/shapes.cplan --out out/quickstart", process.execPath, [
      "dist/compiler/driver/cli/main.js",
      "build",
      "models/quickstart/shapes.cplan",
      "--out",
      out,
    ]);
    process.stdout.write(`\nThe report is ${out}/report.html; the plan is models/quickstart/shapes.cplan.\n`);
  },
  test() {
    steps.build();
    // The C++ tests first: the end-to-end tests compare with the C++ example.
    testNative();
    run("TypeScript tests", bin("vitest"), ["run", "--config", "test/vitest.config.ts"]);
  },
  "test:native"() {
    testNative();
  },
  "build:native"() {
    buildNative();
  },
};

const wanted = process.argv[2] ?? "";
if (!Object.hasOwn(steps, wanted)) {
  process.stderr.write(`usage: node .config/run.mjs ${Object.keys(steps).join("|")}\n`);
  process.exit(1);
}
checkTools();
install();
steps[wanted]();

/**
 * The set-up commands, each enough alone on a clean clone: `npm start`, `npm test`, `npm run build`. Plain Node, as nothing is installed yet when it runs.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, statSync } from "node:fs";
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
function run(title, command, args, env = {}, { cwd = root } = {}) {
  process.stdout.write(`\n> ${title}\n`);
  const { status, error } = spawnSync(command, args, { cwd, stdio: "inherit", shell: windows, env: { ...process.env, ...env } });
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

/** What runs: the files that package.json names, each a few of the 400 modules in one. Loading those one by one takes as long as quantizing a small net. */
const bundles = {
  cli: "compiler/driver/cli/main.js",
  index: "compiler/driver/index.js",
  core: "compiler/core/index.js",
  runtime: "runtime-native/ts/inference.js",
  "loader-worker": "compiler/driver/train/loader-worker.js",
};

function buildTypeScript() {
  run("compiling TypeScript", bin("tsc"), ["-b"]);
  rmSync(at("dist/bundle"), { recursive: true, force: true });
  run("bundling", bin("esbuild"), [
    ...Object.entries(bundles).map(([name, from]) => `${name}=dist/${from}`),
    ...["--bundle", "--splitting", "--platform=node", "--target=node20", "--format=esm", "--outdir=dist/bundle", "--log-level=warning"],
    // Binaries of their own, loaded where they are used.
    ...["--external:onnxruntime-node", "--external:sharp"],
    // For packages that are CommonJS.
    "--banner:js=import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
  ]);
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

/** Configures and builds a preset of runtime-native/CMakePresets.json (CMake 3.21 or later); gives its folder. */
function buildPreset(preset) {
  const inNative = { cwd: at("runtime-native") };
  run(`configuring the C++ tests: ${preset}`, "cmake", ["--preset", preset], {}, inNative);
  run(`building the C++ tests: ${preset}`, "cmake", ["--build", "--preset", preset], {}, inNative);
  return `runtime-native/build/tests-${preset}`;
}

function testPreset(preset) {
  const folder = buildPreset(preset);
  run(`C++ tests: ${preset}`, "ctest", ["--preset", preset, "--parallel", "2"], {}, { cwd: at("runtime-native") });
  return folder;
}

/**
 * Memcheck knows no AVX-512: the engine sees a CPU without it and takes its AVX2 path. Left out are mutants (the sanitizers have them) and the test that counts
 * allocations, whose counter Valgrind replaces.
 */
function memcheck() {
  if (!works("valgrind")) missing("Valgrind", "Debian, Ubuntu: apt install valgrind");
  testNative();
  const folder = "runtime-native/build/tests-release";
  const valgrind = ["--leak-check=full", "--show-leak-kinds=all", "--errors-for-leak-kinds=all", "--error-exitcode=1"];
  const programs = [
    [`${folder}/tests/exec/cec_exec_test`, "--gtest_filter=-Program.EveryBitFlip*:Program.SeededMutations*:Allocation.*"],
    [`${folder}/tests/exec/cec_cases_test`],
    [`${folder}/tests/exec/cec_write_bundle`, `${folder}/memcheck.cecb`],
    [`${folder}/examples/run_bundle`, `${folder}/memcheck.cecb`, "--threads", "2"],
  ];
  for (const program of programs)
    run(`memcheck: ${program[0].split("/").at(-1)}`, "valgrind", [...valgrind, ...program], {
      CEC_CASES: at(`${folder}/cases`),
      CEC_CASES_STEP: "4",
    });
}

/** Lines of runtime-native/src that the C++ tests execute. The Node addon is not among them: the TypeScript tests run it. */
function coverage() {
  if (!works("gcovr")) missing("gcovr", "Debian, Ubuntu: apt install gcovr");
  const folder = testPreset("coverage");
  run("lines of runtime-native/src that the C++ tests execute (without src/addon, which TypeScript tests run)", "gcovr", [
    ...["--root", "runtime-native", "--filter", "runtime-native/src/", "--exclude", "runtime-native/src/addon/"],
    ...["--exclude-throw-branches", "--fail-under-line", "90", "--sort-percentage", folder],
  ]);
}

/** Everything that depends on the instruction set, at each level that there is. */
function isa() {
  testNative();
  for (const level of ["scalar", "avx2", "avx512"]) {
    run(`C++ tests, CEC_MAX_ISA=${level}`, "ctest", ["--test-dir", "runtime-native/build/tests-release", "--output-on-failure", "--parallel", "2"], {
      CEC_MAX_ISA: level,
    });
    const native = ["test/unit/runtime-native", "test/numeric", "test/e2e"];
    run(`TypeScript tests of the engine, CEC_MAX_ISA=${level}`, bin("vitest"), ["run", "--config", "test/vitest.config.ts", ...native], {
      CEC_MAX_ISA: level,
    });
  }
}

/** libFuzzer on program files for some seconds, from the corpus of earlier runs and the cases of every op. */
function fuzz(seconds = "600") {
  if (!works("clang++")) missing("Clang with libFuzzer", "Debian, Ubuntu: apt install clang libclang-rt-14-dev");
  const folder = buildPreset("fuzz");
  run("cases of every op", process.execPath, ["--import", "tsx", "test/unit/runtime-native/write-cases.ts", `${folder}/cases`]);
  run("seeds", `${folder}/fuzz/cec_fuzz_seeds`, [`${folder}/seeds`]);
  mkdirSync(at(`${folder}/corpus`), { recursive: true });
  const options = [
    "-timeout=20",
    "-rss_limit_mb=2500",
    "-malloc_limit_mb=0",
    "-max_len=16384",
    `-artifact_prefix=${folder}/`,
    `-max_total_time=${seconds}`,
  ];
  run(`fuzzing for ${seconds} s`, `${folder}/fuzz/cec_program_fuzz`, [...options, `${folder}/corpus`, `${folder}/seeds`, `${folder}/cases`], {
    UBSAN_OPTIONS: "print_stacktrace=1",
  });
}

const steps = {
  build() {
    buildTypeScript();
    buildNative();
  },
  start() {
    steps.build();
    const out = "out/quickstart";
    for (const [title, plan] of [
      ["training a small net on generated pictures", "trained"],
      ["compressing it to INT8", "int8"],
    ])
      run(`${title}: cec build models/quickstart/shapes.cplan --plan ${plan} --out ${out}`, process.execPath, [
        "dist/bundle/cli.js",
        "build",
        "models/quickstart/shapes.cplan",
        "--plan",
        plan,
        "--out",
        out,
        "--threads",
        "2",
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
  "test:asan": () => testPreset("asan"),
  "test:tsan": () => testPreset("tsan"),
  "test:memcheck": memcheck,
  "test:sanitize"() {
    testPreset("asan");
    testPreset("tsan");
    memcheck();
  },
  "test:coverage": coverage,
  "test:isa"() {
    steps.build();
    isa();
  },
  "test:fuzz": () => fuzz(process.argv[3]),
};

const wanted = process.argv[2] ?? "";
if (!Object.hasOwn(steps, wanted)) {
  process.stderr.write(`usage: node .config/run.mjs ${Object.keys(steps).join("|")}\n`);
  process.exit(1);
}
checkTools();
install();
steps[wanted]();

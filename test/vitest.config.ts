import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["test/**/*.test.ts"],
    // Two workers: the machine that CI has. Native sessions bring their own threads.
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    coverage: { include: ["dsl/**", "compiler/**", "passes/**", "runtime-native/ts/**"], reporter: ["text-summary"] },
  },
});

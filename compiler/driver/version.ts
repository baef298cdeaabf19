/** The version in package.json, found from where this file was built to. */
import { readFileSync } from "node:fs";

function findVersion(): string {
  for (let folder = new URL("./", import.meta.url); ; folder = new URL("../", folder)) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL("package.json", folder), "utf8")) as { name?: string; version?: string };
      if (name === "cec" && version !== undefined) return version;
    } catch {
      // Not in this folder: look in the one above.
    }
    if (folder.pathname === "/" || new URL("../", folder).href === folder.href) return "unknown";
  }
}

export const version = findVersion();

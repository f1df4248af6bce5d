/** `npm run generate` writes the generated files; with `--check` it only compares, and exits 1 where one is out of date. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateFiles } from "./generated-files.ts";

const ROOT = join(import.meta.dirname, "..");
const checkOnly = process.argv.includes("--check");

for (const { path, text } of await generateFiles()) {
  const there = await readFile(join(ROOT, path), "utf8").catch(() => null);
  if (there === text) continue;
  if (checkOnly) {
    console.error(`${path} is not what the migrations make of it.`);
    process.exitCode = 1;
  } else {
    await writeFile(join(ROOT, path), text);
    console.log(`${path} written`);
  }
}

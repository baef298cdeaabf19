/** Images in a folder with labels in a CSV file, decoded by sharp (JPEG, PNG, WebP). Without a CSV, files of class folders or unlabelled files in name order. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { z } from "zod";
import { fail } from "../../core/index.js";
import type { Dataset } from "./dataset.js";
import { normalizeOptions, pixelTable, writePixels } from "./normalize.js";

export const imageFolderOptions = z
  .object({
    path: z.string().describe("folder of JPEG, PNG or WebP files"),
    labels: z.string().optional().describe("CSV file with columns `file` and `label`, relative to the folder; labels.csv where it exists"),
    resize: z.number().int().min(1).max(8192).optional().describe("shorter side in pixels, bilinear, before the crop"),
    crop: z
      .union([z.number().int().min(1), z.tuple([z.number().int().min(1), z.number().int().min(1)])])
      .optional()
      .describe("centre crop: a side, or [height, width]"),
    channels: z.enum(["rgb", "bgr", "gray"]).default("rgb").describe("channel order"),
    ...normalizeOptions,
  })
  .strict();

const IMAGE = /\.(jpe?g|png|webp)$/i;

interface Entry {
  readonly file: string;
  readonly label: number | null;
}

function readCsv(path: string, what: string): Entry[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    return fail("CEC5001", {
      message: `${what}: cannot read ${path}`,
      why: (error as Error).message,
      help: "set `labels` to a CSV file with the columns file,label",
    });
  }
  const lines = text.split(/\r?\n/).filter((l) => l.trim() !== "");
  const columns = (lines[0] ?? "").split(",").map((c) => c.trim());
  const file = columns.indexOf("file");
  const label = columns.indexOf("label");
  if (file < 0 || label < 0) {
    fail("CEC5002", {
      message: `${what}: ${path} has no columns \`file\` and \`label\``,
      why: `its first line is ${JSON.stringify(lines[0] ?? "")}`,
      help: "the first line must name the columns: file,label",
    });
  }
  return lines.slice(1).map((line, i) => {
    const cells = line.split(",").map((c) => c.trim());
    const value = Number(cells[label]);
    if (!Number.isInteger(value) || value < 0 || cells[file] === undefined || cells[file] === "") {
      fail("CEC5003", {
        message: `${what}: ${path} line ${i + 2} is no file name with a class index`,
        why: `it reads ${JSON.stringify(line)}`,
        help: "labels are whole numbers from 0",
      });
    }
    return { file: cells[file] as string, label: value };
  });
}

function list(path: string, what: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true, recursive: true })
      .filter((e) => e.isFile() && IMAGE.test(e.name))
      .map((e) => relative(path, join(e.parentPath, e.name)))
      .sort();
  } catch (error) {
    return fail("CEC5001", {
      message: `${what}: cannot read folder ${path}`,
      why: (error as Error).message,
      help: "check the path in the `data` block",
    });
  }
}

function entries(o: z.infer<typeof imageFolderOptions>, what: string): Entry[] {
  const files = list(o.path, what);
  if (o.labels !== undefined) return readCsv(join(o.path, o.labels), what);
  try {
    if (readdirSync(o.path).includes("labels.csv")) return readCsv(join(o.path, "labels.csv"), what);
  } catch {
    // The folder was readable a moment ago; an unreadable one now is reported when a file is read.
  }
  const classes = [...new Set(files.filter((f) => f.includes("/")).map((f) => f.split("/")[0] as string))].sort();
  if (classes.length > 1 && files.every((f) => f.includes("/")))
    return files.map((file) => ({ file, label: classes.indexOf(file.split("/")[0] as string) }));
  return files.map((file) => ({ file, label: null }));
}

export async function openImageFolder(name: string, o: z.infer<typeof imageFolderOptions>): Promise<Dataset> {
  const what = `data set ${name}`;
  const items = entries(o, what);
  if (items.length === 0)
    fail("CEC5001", { message: `${what}: no JPEG, PNG or WebP files in ${o.path}`, help: "check the path in the `data` block" });
  // Loaded here: only image folders need its decoders.
  const { default: sharp } = await import("sharp");
  const channels = o.channels === "gray" ? 1 : 3;
  const table = pixelTable(o, channels);
  const decode = async (file: string): Promise<{ pixels: Uint8Array; height: number; width: number }> => {
    try {
      let image = sharp(join(o.path, file), { failOn: "error" }).rotate();
      image = o.channels === "gray" ? image.greyscale() : image.toColourspace("srgb").removeAlpha();
      if (o.resize !== undefined) image = image.resize(o.resize, o.resize, { fit: "outside", kernel: "linear" });
      let { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
      if (o.crop !== undefined) {
        const [height, width] = typeof o.crop === "number" ? [o.crop, o.crop] : o.crop;
        if (info.height < height || info.width < width) {
          return fail("CEC5004", {
            message: `${what}: ${file} is ${info.width} x ${info.height} pixels, smaller than the crop ${width} x ${height}`,
            help: "add `resize`, or a smaller `crop`",
          });
        }
        if (info.height !== height || info.width !== width) {
          ({ data, info } = await sharp(data, { raw: { width: info.width, height: info.height, channels: info.channels } })
            .extract({ left: Math.round((info.width - width) / 2), top: Math.round((info.height - height) / 2), width, height })
            .raw()
            .toBuffer({ resolveWithObject: true }));
        }
      }
      if (info.channels !== channels)
        return fail("CEC5004", {
          message: `${what}: ${file} decodes to ${info.channels} channels`,
          why: `${channels} are expected`,
          help: "convert the image",
        });
      const pixels = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      if (o.channels === "bgr")
        for (let i = 0; i < pixels.length; i += 3) [pixels[i], pixels[i + 2]] = [pixels[i + 2] as number, pixels[i] as number];
      return { pixels, height: info.height, width: info.width };
    } catch (error) {
      if ((error as { diagnostics?: unknown }).diagnostics !== undefined) throw error;
      return fail("CEC5002", {
        message: `${what}: cannot decode ${join(o.path, file)}`,
        why: (error as Error).message,
        help: "the file is missing, damaged, or no image",
      });
    }
  };
  const first = await decode((items[0] as Entry).file);
  const { height, width } = first;
  const area = height * width;
  return {
    name,
    size: items.length,
    shapes: { [o.input]: o.layout === "nchw" ? [channels, height, width] : [height, width, channels] },
    hasLabels: items.every((i) => i.label !== null),
    async read(start, count) {
      const data = new Float32Array(count * area * channels);
      const wanted = items.slice(start, start + count);
      // sharp decodes on its own threads; a batch at a time bounds the memory.
      const decoded = await Promise.all(wanted.map((i) => decode(i.file)));
      decoded.forEach((d, i) => {
        if (d.height !== height || d.width !== width) {
          fail("CEC5004", {
            message: `${what}: ${(wanted[i] as Entry).file} is ${d.width} x ${d.height} pixels, the first image is ${width} x ${height}`,
            why: "all samples of a set have one shape",
            help: "add `resize` and `crop` to the `data` block",
          });
        }
        writePixels(data, i * area * channels, d.pixels, channels, area, table, false, o.layout);
      });
      const labels = wanted.every((i) => i.label !== null) ? Int32Array.from(wanted, (i) => i.label as number) : null;
      return {
        arrays: { [o.input]: { type: "f32", dims: o.layout === "nchw" ? [count, channels, height, width] : [count, height, width, channels], data } },
        labels,
      };
    },
  };
}

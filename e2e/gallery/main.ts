/**
 * The gallery: takes the picture of every view at both sizes in both themes into e2e/pictures/, and runs axe
 * on it.
 *
 * `node e2e/gallery/main.ts [name …]` takes the pictures; `--serve` keeps serving on a port it prints.
 */
import { fileURLToPath } from "node:url";
import { takePictures } from "./pictures.ts";
import { serveGallery } from "./serve.ts";

const pictures = fileURLToPath(new URL("../pictures", import.meta.url));
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const gallery = await serveGallery();
if (process.argv.includes("--serve")) {
  console.log(gallery.names.map((name) => `${gallery.origin}/${name}`).join("\n"));
} else {
  const found = await takePictures(gallery.origin, wanted.length > 0 ? wanted : gallery.names, pictures);
  for (const line of found) console.log(line);
  console.log(`${gallery.names.length} views, ${found.length} findings`);
  gallery.close();
  process.exitCode = found.length === 0 ? 0 : 1;
}

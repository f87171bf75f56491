// Runs a TypeScript program of this project: node tools/node.js FILE [ARGUMENT…]
import { launch } from '../bin/launch.js';

const [file, ...args] = process.argv.slice(2);
if (file) {
  await launch(file, args);
} else {
  process.stderr.write('usage: node tools/node.js FILE [ARGUMENT…]\n');
  process.exitCode = 2;
}

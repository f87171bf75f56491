import { runCli } from './cli.ts';
import { defaultServices } from './default-services.ts';
import { runProcess } from './run-process.ts';

await runProcess((io) => runCli(process.argv.slice(2), io, defaultServices));

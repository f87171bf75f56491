#!/usr/bin/env node
import { bundledProgram } from './bundle.js';
import { launch } from './launch.js';

await launch('packages/cli/src/main.ts', process.argv.slice(2), bundledProgram);

#!/usr/bin/env node
// Runs the emulator as a command: npx webpubsub-emulator -addr localhost:8080

import { spawn } from 'node:child_process';
import { findBinary } from './binary.js';

const args = process.argv.slice(2);
const commands = new Set(['dev', 'emulator', 'token', 'send', 'listen', 'client', 'tunnel', 'check', 'health', 'completion', 'version', 'help', '--version', '--help', '-h', '-help', '-version']);
const child = spawn(findBinary(), commands.has(args[0]) ? args : ['emulator', ...args], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('error', (err) => { console.error(err.message); process.exitCode = 1; });
child.on('exit', (code, signal) => { process.exitCode = code ?? (signal ? 1 : 0); });

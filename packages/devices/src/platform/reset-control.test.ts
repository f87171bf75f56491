import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResetControl } from './reset-control.ts';

test('port 0xCF9 resets when RST_CPU is written', () => {
  let resets = 0;
  const control = new ResetControl(() => void resets++);
  control.resetPort.write(0, 0x02, 1);
  assert.equal(control.resetPort.read(0, 1), 2);
  assert.equal(resets, 0);
  control.resetPort.write(0, 0x06, 1);
  assert.equal(resets, 1);
  assert.equal(control.resetPort.read(0, 1), 2, 'RST_CPU does not stay');
});

test('the keyboard controller knows only the reset pulse', () => {
  let resets = 0;
  const control = new ResetControl(() => void resets++);
  assert.equal(control.keyboardPort.read(0, 1), 0);
  control.keyboardPort.write(0, 0xaa, 1);
  control.keyboardPort.write(0, 0xfe, 1);
  assert.equal(resets, 1);
});

test('save and restore', () => {
  const control = new ResetControl(() => {});
  control.resetPort.write(0, 0x0a, 1);
  const other = new ResetControl(() => {});
  other.restore(JSON.parse(JSON.stringify(control.save())));
  assert.equal(other.resetPort.read(0, 1), 0x0a);
  assert.throws(() => other.restore({ version: 1, register: 'x' }), /reset-control.*"register"/);
});

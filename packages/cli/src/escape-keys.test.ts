import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EscapeKeys } from './escape-keys.ts';

function type(...chunks: string[]): { sent: string; actions: string[] } {
  const actions: string[] = [];
  const keys = new EscapeKeys({
    quit: () => void actions.push('quit'),
    pressPowerButton: () => void actions.push('power'),
    showHelp: () => void actions.push('help'),
  });
  const sent = chunks.map((chunk) => Buffer.from(keys.filter(Buffer.from(chunk, 'latin1'))).toString('latin1')).join('');
  return { sent, actions };
}

test('everything but the escape key goes to the guest', () => {
  const all = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => byte !== 0x1d));
  assert.deepEqual(type(all), { sent: all, actions: [] });
});

test('the key after the escape key acts and is not sent', () => {
  assert.deepEqual(type('a\x1dqb'), { sent: 'ab', actions: ['quit'] });
  assert.deepEqual(type('\x1dp'), { sent: '', actions: ['power'] });
  assert.deepEqual(type('\x1d?x\x1dz'), { sent: 'x', actions: ['help', 'help'] });
  assert.deepEqual(type('q\x1d\x1dq'), { sent: 'q\x1dq', actions: [] });
});

test('the two keys may come apart', () => {
  assert.deepEqual(type('a\x1d', 'qb'), { sent: 'ab', actions: ['quit'] });
  assert.deepEqual(type('\x1d', '\x1d', 'q'), { sent: '\x1dq', actions: [] });
});

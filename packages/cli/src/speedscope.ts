import type { MachineProfile, ProfilePlace } from '@hanok/vmm';

/** The frames of a place, outermost first: whose code, which symbol or page, and what was done there. */
function framesOf({ activity, code }: ProfilePlace): string[] {
  if (!code) return [activity];
  return [code.space, code.name, activity === 'compiled code' ? `compiled 0x${code.address.toString(16)}` : activity];
}

/** A profile in the file format of speedscope (speedscope.app/file-format-schema.json), which has one track of samples a vCPU. */
export function speedscopeFile(profile: MachineProfile, name: string): string {
  const frames: { name: string }[] = [];
  const indices = new Map<string, number>();
  const indexOf = (frame: string): number => {
    const known = indices.get(frame);
    if (known !== undefined) return known;
    const index = frames.push({ name: frame }) - 1;
    indices.set(frame, index);
    return index;
  };
  const stacks = profile.places.map((place) => framesOf(place).map(indexOf));
  const profiles = profile.vcpus.map(({ places, weightsNs }, vcpu) => ({
    type: 'sampled',
    name: `vCPU ${vcpu}`,
    unit: 'nanoseconds',
    startValue: 0,
    endValue: weightsNs.reduce((sum, ns) => sum + ns, 0),
    samples: places.map((place) => stacks[place]!),
    weights: weightsNs,
  }));
  const file = { $schema: 'https://www.speedscope.app/file-format-schema.json', exporter: 'hanok', name, activeProfileIndex: 0, shared: { frames }, profiles };
  return `${JSON.stringify(file)}\n`;
}

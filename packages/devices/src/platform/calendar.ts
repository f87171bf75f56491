/** A moment in UTC, as a clock chip shows it. Month and day count from 1, weekday from 1 (Sunday). */
export interface CalendarTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly weekday: number;
}

export function calendarFromSeconds(secondsSince1970: number): CalendarTime {
  const date = new Date(secondsSince1970 * 1000);
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
    weekday: date.getUTCDay() + 1,
  };
}

/** Fields beyond their range carry over, as a month 14 does into the next year. */
export function secondsFromCalendar(time: Omit<CalendarTime, 'weekday'>): number {
  return Date.UTC(time.year, time.month - 1, time.day, time.hour, time.minute, time.second) / 1000;
}

/** An alarm's fields; undefined matches every value. */
export interface AlarmTime {
  readonly hour: number | undefined;
  readonly minute: number | undefined;
  readonly second: number | undefined;
}

/** The first second at or after `fromSeconds` whose time of day matches, or Infinity when no time of day does. */
export function nextAlarmSeconds(alarm: AlarmTime, fromSeconds: number): number {
  const matches = (want: number | undefined, have: number): boolean => want === undefined || want === have;
  let at = fromSeconds;
  // One wrong hour, minute or second is skipped a step, so a day takes at most 24 + 60 + 60 of them, twice for the wrap.
  for (let step = 0; step < 300; step++) {
    const inDay = ((at % 86400) + 86400) % 86400;
    if (!matches(alarm.hour, Math.floor(inDay / 3600))) at += 3600 - (inDay % 3600);
    else if (!matches(alarm.minute, Math.floor(inDay / 60) % 60)) at += 60 - (inDay % 60);
    else if (!matches(alarm.second, inDay % 60)) at += 1;
    else return at;
  }
  return Infinity;
}

// Verdicts on their way: kept in the browser until the server has confirmed that they are on its disk.

import { Refused, post } from "./server.js";
import * as store from "./store.js";

const PREFIX = "verdict "; // one entry for each: pages that are open side by side never write the same one

export function waiting() {
  const items = store.names(PREFIX).map((name) => ({ name, ...store.load(name, {}) }));
  return items.sort((a, b) => a.given - b.given);
}

/** Keep a verdict, in place of one about the same goal that still waits, and send all. `told` as in `flush`. */
export function put(verdict, told) {
  const before = waiting().filter((item) => item.verdict.record === verdict.record);
  store.save(`${PREFIX}${Date.now()} ${Math.random()}`, { given: Date.now(), verdict });
  before.forEach(drop);
  return flush(told);
}

export function discard() {
  waiting().forEach(drop);
}

/** Send what waits; throws Away.
 *
 * `told` hears of each: stored(verdict, row), or refused(verdict, sentence) if it never can be. Returns why some still
 * wait, "" if none does.
 */
export function flush(told) {
  // One page at a time: those that are open side by side share what waits. A browser without locks may send a verdict
  // twice, which the server stores once.
  return navigator.locks ? navigator.locks.request(`${location.pathname} outbox`, () => sendAll(told)) : sendAll(told);
}

async function sendAll(told) {
  let stuck = "";
  for (const item of waiting()) {
    try {
      const row = await post("verdict", item.verdict);
      drop(item);
      told.stored(item.verdict, row);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.again) {
        stuck ||= error.message;
      } else {
        drop(item);
        told.refused(item.verdict, error.message);
      }
    }
  }
  return stuck;
}

function drop(item) {
  store.remove(item.name);
}

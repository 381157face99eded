// Talking to the server: every request, and whether it is there.

export class Away extends Error {}

/** The server understood, and says no; `again` where the same may work later. */
export class Refused extends Error {
  constructor(sentence, again) {
    super(sentence);
    this.again = again;
  }
}

export function address(name, query) {
  return `${name}?${new URLSearchParams(query)}`;
}

export const get = (name, query = {}, seconds = 15) => request(address(name, query), {}, seconds);

export const post = (name, body, seconds = 30) =>
  request(name, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }, seconds);

async function request(url, options, seconds) {
  let response, answer;
  try {
    response = await fetch(url, { ...options, signal: AbortSignal.timeout(1000 * seconds) });
    answer = await response.json();
  } catch {
    throw new Away("The server does not answer."); // gone, hung, or something else has its port
  }
  if (response.ok) return answer;
  if (response.status === 403 || response.status === 421) throw new Away(answer.error);
  throw new Refused(answer.error ?? response.statusText, response.status >= 500);
}

// What this browser keeps until the server has it: drafts, and verdicts on their way. Survives the page and the server.

const PREFIX = `${location.pathname} `; // the path holds the token, and that is one of a folder
const memory = new Map();

/** Whether the browser refuses to keep anything: then all lasts only as long as the page. */
export let forgetful = false;

export function load(name, otherwise) {
  const text = memory.get(name) ?? kept(() => localStorage.getItem(PREFIX + name));
  try {
    return text ? JSON.parse(text) : otherwise;
  } catch {
    return otherwise; // somebody else wrote there
  }
}

export function save(name, value) {
  const text = JSON.stringify(value);
  memory.set(name, text);
  kept(() => {
    localStorage.setItem(PREFIX + name, text);
    memory.delete(name);
  });
}

export function remove(name) {
  memory.delete(name);
  kept(() => localStorage.removeItem(PREFIX + name));
}

/** All names that begin like that. */
export function names(beginning) {
  const stored = kept(() => Object.keys(localStorage)) ?? [];
  const all = stored.filter((key) => key.startsWith(PREFIX)).map((key) => key.slice(PREFIX.length));
  return [...all, ...memory.keys()].filter((name) => name.startsWith(beginning));
}

function kept(act) {
  try {
    return act();
  } catch {
    forgetful = true; // switched off, or full
    return null;
  }
}

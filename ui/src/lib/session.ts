// What this browser remembers: the token (for this tab, or for good if the user says so; it is never part of an address) and
// the colours that were chosen.
import { Store } from "./store";

const TOKEN = "praetor-token";
const THEME = "praetor-theme";

// Storage can be forbidden by the browser's settings; the page then works without a memory.
function read(storage: () => Storage, key: string): string {
  try {
    return storage().getItem(key) ?? "";
  } catch {
    return "";
  }
}

function write(storage: () => Storage, key: string, value: string): void {
  try {
    if (value) storage().setItem(key, value);
    else storage().removeItem(key);
  } catch {
    // Not remembered, then.
  }
}

const tab = (): Storage => window.sessionStorage;
const device = (): Storage => window.localStorage;

export const token = new Store<string>(read(tab, TOKEN) || read(device, TOKEN));

export function logIn(secret: string, remember: boolean): void {
  write(tab, TOKEN, remember ? "" : secret);
  write(device, TOKEN, remember ? secret : "");
  token.set(secret);
}

export function logOut(): void {
  logIn("", true);
}

export type Theme = "" | "light" | "dark"; // "": as the system has it
export const theme = new Store<Theme>(read(device, THEME) as Theme);

function applyTheme(): void {
  const dark = theme.value === "dark" || (theme.value === "" && window.matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

export function toggleTheme(): void {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  write(device, THEME, next);
  theme.set(next);
  applyTheme();
}

export function startTheme(): void {
  applyTheme();
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
}

// Logging in by a token, and who one is.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { getJson } from "./api";
import { asApiError, type ApiError } from "./errors";
import { Icon } from "./icons";
import { logIn, logOut, token } from "./session";
import { useStore } from "./store";
import type { AclToken } from "./types";
import { Dialog, Field, loginWanted, say, Trouble } from "./widgets";

export function LoginButton(): JSX.Element {
  const secret = useStore(token);
  return (
    <button type="button" class="quiet" onClick={() => loginWanted.set(true)} title={secret ? "Your token" : "Log in with a token"} aria-label={secret ? "Your token" : "Log in"}>
      <Icon name="user" />
      <span class="wide-only">{secret ? "Token" : "Log in"}</span>
      {secret && <span class="dot" aria-hidden="true" />}
    </button>
  );
}

export function LoginDialog(): JSX.Element | null {
  const wanted = useStore(loginWanted);
  return wanted ? <LoginBox close={() => loginWanted.set(false)} /> : null;
}

function LoginBox({ close }: { close: () => void }): JSX.Element {
  const secret = useStore(token);
  const [typed, setTyped] = useState("");
  const [remember, setRemember] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const go = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const self = await getJson<AclToken>("acl/token/self", { token: typed.trim() });
      logIn(typed.trim(), remember);
      say(`Logged in${self.Description ? ` as “${self.Description}”` : ""}`);
      close();
    } catch (thrown) {
      setError(asApiError(thrown));
      setBusy(false);
    }
  };
  return (
    <Dialog title={secret ? "Your token" : "Log in with a token"} close={close}>
      {secret && (
        <div class="loggedin">
          <p>This page sends a token with each request.</p>
          <button
            type="button"
            onClick={() => {
              logOut();
              say("Logged out");
              close();
            }}
          >
            Log out
          </button>
        </div>
      )}
      <form onSubmit={(event) => void go(event)}>
        <Field label={secret ? "Another token’s secret" : "The token’s secret"} type="password" value={typed} set={setTyped} focus required mono />
        <label class="checkline">
          <input type="checkbox" checked={remember} onChange={(event) => setRemember(event.currentTarget.checked)} /> Remember on this device (otherwise until this tab is closed)
        </label>
        {error && <Trouble error={error} own />}
        <div class="buttons">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy || !typed.trim()}>
            Log in
          </button>
        </div>
      </form>
    </Dialog>
  );
}

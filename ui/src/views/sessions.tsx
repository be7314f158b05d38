// Sessions: who holds locks, for how long, and the means to end one.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { arg, request, useLive } from "../lib/api";
import { Commands } from "../lib/commands";
import { plural, seconds } from "../lib/format";
import { place, to } from "../lib/router";
import { useStore } from "../lib/store";
import type { Session } from "../lib/types";
import { Code, Confirm, Empty, FilterBox, Head, Link, say, Trouble, Waiting } from "../lib/widgets";

export function SessionTable({ sessions }: { sessions: Session[] }): JSX.Element {
  const [ending, setEnding] = useState<Session | null>(null);
  if (sessions.length === 0) return <Empty title="No sessions.">Clients make them to hold locks on keys.</Empty>;
  return (
    <div class="tablebox">
      <table>
        <thead>
          <tr>
            <th scope="col">Session</th>
            <th scope="col">Node</th>
            <th scope="col">Ends when</th>
            <th scope="col">Its keys are then</th>
            <th scope="col">Lock delay</th>
            <th scope="col" class="right">
              <span class="hidden-word">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {sessions.slice(0, 1000).map((s) => (
            <tr key={s.ID}>
              <td>
                {s.Name && <strong>{s.Name} </strong>}
                <Code text={s.ID} what="session ID" />
              </td>
              <td>
                <Link href={to("nodes", [s.Node], { tab: "sessions" })}>{s.Node}</Link>
              </td>
              <td>{[s.TTL && `not renewed for ${s.TTL}`, ...(s.NodeChecks ?? []).map((c) => `${c} fails`), ...(s.ServiceChecks ?? []).map((c) => `${c.ID} fails`)].filter(Boolean).join(", or ") || "destroyed"}</td>
              <td>{s.Behavior === "delete" ? "deleted" : "released"}</td>
              <td>{seconds(s.LockDelay / 1e9)}</td>
              <td class="right">
                <button type="button" class="small" onClick={() => setEnding(s)}>
                  End
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {sessions.length > 1000 && <p class="dim pad">The first 1,000 of {plural(sessions.length, "session")}; search to see others.</p>}
      {ending && (
        <Confirm
          title="End this session?"
          action="End session"
          close={() => setEnding(null)}
          run={async () => {
            await request(`session/destroy/${arg(ending.ID)}`, { method: "PUT" });
            say("Session ended");
            setEnding(null);
          }}
        >
          <p>
            {ending.Name || ending.ID} on {ending.Node}: keys that it has locked are {ending.Behavior === "delete" ? "deleted" : "released"}, and nobody can lock them for {seconds(ending.LockDelay / 1e9)}.
          </p>
        </Confirm>
      )}
    </div>
  );
}

export function Sessions(): JSX.Element {
  const { query } = useStore(place);
  const live = useLive<Session[]>("session/list");
  const q = (query.get("q") ?? "").toLowerCase();
  const all = live.data ?? [];
  const shown = all.filter((s) => !q || `${s.ID}\n${s.Name}\n${s.Node}`.toLowerCase().includes(q));
  return (
    <section class="view">
      <Head title="Sessions">
        <Commands list={[{ what: "All sessions", path: "session/list" }]} />
      </Head>
      {all.length > 0 && (
        <div class="toolbar">
          <FilterBox name="q" value={query.get("q") ?? ""} label="Search sessions" />
          <span class="dim">{plural(shown.length, "session")}</span>
        </div>
      )}
      {live.error && live.data && <Trouble error={live.error} />}
      {live.data ? <SessionTable sessions={shown} /> : <Waiting live={live} what="the sessions" />}
    </section>
  );
}

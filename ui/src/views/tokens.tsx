// Tokens of access control: list, read, create, edit, clone, delete.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { arg, putJson, request } from "../lib/api";
import { AclList, ANONYMOUS, Identities, Links, useRecord } from "../lib/acl";
import { Commands } from "../lib/commands";
import { Editor } from "../lib/editor";
import { moment } from "../lib/format";
import { Icon } from "../lib/icons";
import { RecordEditor } from "../lib/records";
import { to } from "../lib/router";
import { token } from "../lib/session";
import { useStore } from "../lib/store";
import type { AclToken } from "../lib/types";
import { Cell } from "../lib/virtual";
import { CopyButton, Empty, Field, Link, Waiting } from "../lib/widgets";

const rights = (t: AclToken): string =>
  t.Legacy
    ? "of the old system"
    : [...(t.Policies ?? []).map((p) => p.Name), ...(t.Roles ?? []).map((r) => `role ${r.Name}`), ...(t.ServiceIdentities ?? []).map((s) => `service ${s.ServiceName}`), ...(t.NodeIdentities ?? []).map((n) => `node ${n.NodeName}`)].join(", ") || "nothing";

export function Tokens(): JSX.Element {
  return (
    <AclList<AclToken>
      view="tokens"
      path="acl/tokens"
      title="Tokens"
      one="token"
      id={(t) => t.AccessorID}
      text={(t) => `${t.AccessorID}\n${t.Description}\n${rights(t)}\n${t.AuthMethod ?? ""}`}
      columns="g-tokens"
      heads={["Token", "May", "Valid"]}
      commands={<Commands list={[{ what: "All tokens", path: "acl/tokens", cli: ["acl", "token", "list"] }]} />}
      row={(t) => (
        <>
          <Cell class="a0">
            <Link href={to("tokens", [t.AccessorID])}>{t.Description || "(no description)"}</Link>
            <code class="dim">{t.AccessorID}</code>
          </Cell>
          <Cell class="a1">{rights(t)}</Cell>
          <Cell class="a2 dim">
            {t.Local ? "in this datacenter" : "everywhere"}
            {t.ExpirationTime ? `, until ${moment(t.ExpirationTime)}` : ""}
          </Cell>
        </>
      )}
    />
  );
}

function Secret({ secret }: { secret: string }): JSX.Element {
  const [shown, setShown] = useState(false);
  return (
    <div class="field">
      <span class="label">Secret</span>
      <span class="codeline">
        <code class={shown ? "" : "covered"}>{shown ? secret : "•".repeat(36)}</code>
        <button type="button" class="iconbutton" aria-pressed={shown} aria-label="Show the secret" onClick={() => setShown(!shown)}>
          <Icon name="eye" />
        </button>
        <CopyButton text={secret} what="secret" />
      </span>
    </div>
  );
}

const fresh: AclToken = { AccessorID: "", Description: "", Policies: [], Roles: [], ServiceIdentities: [], Local: false };

export function TokenView({ id }: { id: string }): JSX.Element {
  const isNew = id === "new";
  const live = useRecord<AclToken>(isNew ? null : `acl/token/${arg(id)}`);
  const own = useStore(token);
  const [draft, setDraft] = useState<AclToken | null>(null);
  const [ttl, setTtl] = useState("");
  const stored = isNew ? fresh : live.data;
  if (live.gone && !draft) return <Empty title="There is no such token.">It may have been deleted.</Empty>;
  if (!stored && !draft) return <Waiting live={live} what="the token" />;
  const t = draft ?? stored!;
  const set = (change: Partial<AclToken>): void => setDraft({ ...t, ...change });
  const legacy = !!t.Rules; // lists say so, a single one is known by its rules

  const save = async (): Promise<string | null> => {
    const body = { ...t, ...(isNew && ttl ? { ExpirationTTL: ttl } : {}) };
    const done = await putJson<AclToken>(isNew ? "acl/token" : `acl/token/${arg(id)}`, body);
    setDraft((d) => (d === t ? null : d)); // typed meanwhile: kept
    return isNew ? to("tokens", [done.AccessorID]) : null;
  };
  return (
    <RecordEditor
      view="tokens"
      above="Tokens"
      title={isNew ? "New token" : t.Description || "Token"}
      isNew={isNew}
      dirty={draft !== null}
      version={isNew ? undefined : stored?.ModifyIndex}
      gone={live.gone}
      error={live.error}
      undo={() => setDraft(null)}
      fixed={legacy ? "A token of the old system (before Consul 1.4): it can be read here and deleted, and upgraded by “consul acl token update -upgrade-legacy”." : undefined}
      save={save}
      clone={isNew || legacy ? undefined : async () => to("tokens", [(await putJson<AclToken>(`acl/token/${arg(id)}/clone`, { Description: `Copy of ${t.Description || id}` })).AccessorID])}
      remove={
        isNew || id === ANONYMOUS
          ? undefined
          : {
              text: (
                <p>
                  Who uses the token “{t.Description || t.AccessorID}” has no rights from then on.
                  {own !== "" && own === t.SecretID && <b> It is the token that you are logged in with.</b>}
                </p>
              ),
              run: async () => void (await request(`acl/token/${arg(id)}`, { method: "DELETE" })),
            }
      }
      commands={isNew ? undefined : <Commands list={[{ what: "This token", path: `acl/token/${arg(id)}`, cli: ["acl", "token", "read", "-id", id] }]} />}
    >
      {!isNew && (
        <div class="field">
          <span class="label">Accessor ID</span>
          <span class="codeline">
            <code>{t.AccessorID}</code>
            <CopyButton text={t.AccessorID} what="accessor ID" />
          </span>
        </div>
      )}
      {t.SecretID && <Secret secret={t.SecretID} />}
      <Field label="Description" value={t.Description} set={(v) => set({ Description: v })} focus={isNew} readOnly={legacy} />
      {legacy ? (
        <div class="field">
          <span class="label">Rules</span>
          <Editor label="Rules" value={t.Rules!} language="hcl" />
        </div>
      ) : (
        <>
          <Links label="Policies" view="policies" value={t.Policies ?? []} set={(v) => set({ Policies: v })} />
          <Links label="Roles" view="roles" value={t.Roles ?? []} set={(v) => set({ Roles: v })} />
          <Identities value={t.ServiceIdentities ?? []} set={(v) => set({ ServiceIdentities: v })} />
        </>
      )}
      {isNew ? (
        <>
          <label class="checkline">
            <input type="checkbox" checked={t.Local} onChange={(e) => set({ Local: e.currentTarget.checked })} /> Only in this datacenter
          </label>
          <Field label="Expires after" value={ttl} set={setTtl} placeholder="never" hint="1m to 24h, e.g. 8h; empty: never" />
        </>
      ) : (
        <p class="facts">
          {t.Local ? "Only in this datacenter" : "In all datacenters"}
          {t.AuthMethod && ` · by the auth method ${t.AuthMethod}`}
          {moment(t.CreateTime) && ` · made ${moment(t.CreateTime)}`}
          {t.ExpirationTime && ` · expires ${moment(t.ExpirationTime)}`}
        </p>
      )}
    </RecordEditor>
  );
}

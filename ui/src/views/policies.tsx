// Policies of access control: list, read, create, edit, clone, delete.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { arg, putJson, request } from "../lib/api";
import { AclList, MANAGEMENT, useRecord } from "../lib/acl";
import { Commands } from "../lib/commands";
import { Editor } from "../lib/editor";
import { RecordEditor } from "../lib/records";
import { to } from "../lib/router";
import type { AclPolicy } from "../lib/types";
import { Cell } from "../lib/virtual";
import { Empty, Field, Link, Waiting } from "../lib/widgets";

export function Policies(): JSX.Element {
  return (
    <AclList<AclPolicy>
      view="policies"
      path="acl/policies"
      title="Policies"
      one="policy"
      id={(p) => p.ID}
      text={(p) => `${p.ID}\n${p.Name}\n${p.Description}`}
      columns="g-policies"
      heads={["Policy", "Description", "Datacenters"]}
      commands={<Commands list={[{ what: "All policies", path: "acl/policies", cli: ["acl", "policy", "list"] }]} />}
      row={(p) => (
        <>
          <Cell class="a0">
            <Link href={to("policies", [p.ID])}>{p.Name}</Link>
          </Cell>
          <Cell class="a1">{p.Description}</Cell>
          <Cell class="a2 dim">{p.Datacenters?.length ? p.Datacenters.join(", ") : "all"}</Cell>
        </>
      )}
    />
  );
}

const fresh: AclPolicy = { ID: "", Name: "", Description: "", Rules: "" };

export function PolicyView({ id }: { id: string }): JSX.Element {
  const isNew = id === "new";
  const live = useRecord<AclPolicy>(isNew ? null : `acl/policy/${arg(id)}`);
  const [draft, setDraft] = useState<AclPolicy | null>(null);
  const stored = isNew ? fresh : live.data;
  if (live.gone && !draft) return <Empty title="There is no such policy.">It may have been deleted.</Empty>;
  if (!stored && !draft) return <Waiting live={live} what="the policy" />;
  const p = draft ?? stored!;
  const set = (change: Partial<AclPolicy>): void => setDraft({ ...p, ...change });
  const fixed = p.ID === MANAGEMENT;

  return (
    <RecordEditor
      view="policies"
      above="Policies"
      title={isNew ? "New policy" : p.Name}
      isNew={isNew}
      dirty={draft !== null}
      version={isNew ? undefined : stored?.ModifyIndex}
      gone={live.gone}
      error={live.error}
      undo={() => setDraft(null)}
      fixed={fixed ? "This policy comes with the cluster and allows everything; its rules cannot be changed." : undefined}
      save={async () => {
        const done = await putJson<AclPolicy>(isNew ? "acl/policy" : `acl/policy/${arg(id)}`, p);
        setDraft((d) => (d === p ? null : d)); // typed meanwhile: kept
        return isNew ? to("policies", [done.ID]) : null;
      }}
      clone={
        isNew
          ? undefined
          : async () => {
              const done = await putJson<AclPolicy>("acl/policy", { ...fresh, Name: `${p.Name}-copy-${Date.now().toString(36)}`, Description: p.Description, Rules: p.Rules, Datacenters: p.Datacenters });
              return to("policies", [done.ID]);
            }
      }
      remove={isNew || fixed ? undefined : { text: <p>Tokens and roles that have the policy “{p.Name}” lose what it allows.</p>, run: async () => void (await request(`acl/policy/${arg(id)}`, { method: "DELETE" })) }}
      commands={isNew ? undefined : <Commands list={[{ what: "This policy", path: `acl/policy/${arg(id)}`, cli: ["acl", "policy", "read", "-id", id] }]} />}
    >
      <Field label="Name" value={p.Name} set={(v) => set({ Name: v })} required focus={isNew} mono hint="Letters, digits, “-” and “_”" />
      <Field label="Description" value={p.Description} set={(v) => set({ Description: v })} />
      <div class="field">
        <span class="label">Rules</span>
        <Editor label="Rules" value={p.Rules ?? ""} set={fixed ? undefined : (v) => set({ Rules: v })} language="hcl" />
      </div>
      <Field
        label="Datacenters"
        value={(p.Datacenters ?? []).join(", ")}
        set={(v) => set({ Datacenters: v.split(/[\s,]+/).filter(Boolean) })}
        placeholder="all"
        hint="Names with commas between them; empty: all"
        readOnly={fixed}
      />
    </RecordEditor>
  );
}

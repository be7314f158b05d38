// Roles of access control: list, read, create, edit, clone, delete.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { arg, putJson, request } from "../lib/api";
import { AclList, Identities, Links, useRecord } from "../lib/acl";
import { Commands } from "../lib/commands";
import { RecordEditor } from "../lib/records";
import { to } from "../lib/router";
import type { AclRole } from "../lib/types";
import { Cell } from "../lib/virtual";
import { Empty, Field, Link, Waiting } from "../lib/widgets";

export function Roles(): JSX.Element {
  return (
    <AclList<AclRole>
      view="roles"
      path="acl/roles"
      title="Roles"
      one="role"
      id={(r) => r.ID}
      text={(r) => `${r.ID}\n${r.Name}\n${r.Description}\n${(r.Policies ?? []).map((p) => p.Name).join(" ")}`}
      columns="g-policies"
      heads={["Role", "Description", "Policies"]}
      commands={<Commands list={[{ what: "All roles", path: "acl/roles", cli: ["acl", "role", "list"] }]} />}
      row={(r) => (
        <>
          <Cell class="a0">
            <Link href={to("roles", [r.ID])}>{r.Name}</Link>
          </Cell>
          <Cell class="a1">{r.Description}</Cell>
          <Cell class="a2 dim">{[...(r.Policies ?? []).map((p) => p.Name), ...(r.ServiceIdentities ?? []).map((s) => `service ${s.ServiceName}`)].join(", ")}</Cell>
        </>
      )}
    />
  );
}

const fresh: AclRole = { ID: "", Name: "", Description: "", Policies: [], ServiceIdentities: [] };

export function RoleView({ id }: { id: string }): JSX.Element {
  const isNew = id === "new";
  const live = useRecord<AclRole>(isNew ? null : `acl/role/${arg(id)}`);
  const [draft, setDraft] = useState<AclRole | null>(null);
  const stored = isNew ? fresh : live.data;
  if (live.gone && !draft) return <Empty title="There is no such role.">It may have been deleted.</Empty>;
  if (!stored && !draft) return <Waiting live={live} what="the role" />;
  const r = draft ?? stored!;
  const set = (change: Partial<AclRole>): void => setDraft({ ...r, ...change });
  return (
    <RecordEditor
      view="roles"
      above="Roles"
      title={isNew ? "New role" : r.Name}
      isNew={isNew}
      dirty={draft !== null}
      version={isNew ? undefined : stored?.ModifyIndex}
      gone={live.gone}
      error={live.error}
      undo={() => setDraft(null)}
      save={async () => {
        const done = await putJson<AclRole>(isNew ? "acl/role" : `acl/role/${arg(id)}`, r);
        setDraft((d) => (d === r ? null : d)); // typed meanwhile: kept
        return isNew ? to("roles", [done.ID]) : null;
      }}
      clone={
        isNew
          ? undefined
          : async () => {
              const done = await putJson<AclRole>("acl/role", { ...fresh, Name: `${r.Name}-copy-${Date.now().toString(36)}`, Description: r.Description, Policies: r.Policies, ServiceIdentities: r.ServiceIdentities, NodeIdentities: r.NodeIdentities });
              return to("roles", [done.ID]);
            }
      }
      remove={isNew ? undefined : { text: <p>Tokens that have the role “{r.Name}” lose what it allows.</p>, run: async () => void (await request(`acl/role/${arg(id)}`, { method: "DELETE" })) }}
      commands={isNew ? undefined : <Commands list={[{ what: "This role", path: `acl/role/${arg(id)}`, cli: ["acl", "role", "read", "-id", id] }]} />}
    >
      <Field label="Name" value={r.Name} set={(v) => set({ Name: v })} required focus={isNew} mono hint="Letters, digits, “-” and “_”" />
      <Field label="Description" value={r.Description} set={(v) => set({ Description: v })} />
      <Links label="Policies" view="policies" value={r.Policies ?? []} set={(v) => set({ Policies: v })} />
      <Identities value={r.ServiceIdentities ?? []} set={(v) => set({ ServiceIdentities: v })} />
    </RecordEditor>
  );
}

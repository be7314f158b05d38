// The cluster as such: its servers, who leads, how far each has got, what failures it survives; and all members of the gossip.
import type { JSX } from "preact";
import { usePoll } from "../lib/api";
import { Commands } from "../lib/commands";
import { count, duration, plural, seconds } from "../lib/format";
import { Icon, Sign, type Level } from "../lib/icons";
import { href, place, to } from "../lib/router";
import { useStore } from "../lib/store";
import type { AgentSelf, AutopilotHealth, Member } from "../lib/types";
import { Empty, FilterBox, Head, Link, Pairs, Tabs, Trouble, Waiting } from "../lib/widgets";

interface RaftConfiguration {
  Servers: { ID: string; Node: string; Address: string; Leader: boolean; Voter: boolean; ProtocolVersion: string }[];
  Index: number;
}

const ago = (since: string): string => {
  const ms = Date.now() - new Date(since).getTime();
  return since.startsWith("0001") || isNaN(ms) ? "unknown" : seconds(Math.max(0, ms) / 1000);
};

// What the cluster survives, as one would say it.
function verdict(health: AutopilotHealth): { level: Level; title: string; detail: string } {
  const servers = health.Servers ?? [];
  const voters = servers.filter((s) => s.Voter);
  const sick = servers.filter((s) => !s.Healthy);
  const may = Math.max(0, health.FailureTolerance);
  const further = sick.length > 0 && may === 0 ? "No further server may fail" : "";
  const survives = further ? further : may === 0 ? "No server may fail" : `${may} ${sick.length > 0 ? "more " : ""}of ${voters.length} may fail`;
  if (!servers.some((s) => s.Leader)) return { level: "critical", title: "No leader", detail: "Nothing can be written until the servers have elected one." };
  const names = sick.map((s) => s.Name).join(", ");
  if (sick.length > 0) return { level: may === 0 ? "critical" : "warning", title: survives, detail: `${plural(sick.length, "server")} of ${servers.length} not healthy: ${names}. ${may === 0 ? "One more failure and there is no quorum: nothing could be written." : ""}` };
  if (voters.length === 1) return { level: "warning", title: survives, detail: "There is one server only: when it is gone, so is the cluster. Three survive the loss of one." };
  return { level: "passing", title: survives, detail: `All ${servers.length} servers are healthy. Reads and writes go on as long as ${Math.floor(voters.length / 2) + 1} of ${voters.length} run.` };
}

function Servers({ health }: { health: AutopilotHealth }): JSX.Element {
  const servers = [...(health.Servers ?? [])].sort((a, b) => (a.Name < b.Name ? -1 : 1));
  const top = Math.max(...servers.map((s) => s.LastIndex), 0);
  const v = verdict(health);
  return (
    <>
      <div class={`verdict ${v.level}`} data-verdict>
        <Sign level={v.level} />
        <div>
          <strong>{v.title}.</strong>
          <p>{v.detail}</p>
        </div>
      </div>
      <div class="cards">
        {servers.map((s) => {
          const known = s.LastIndex > 0; // it has answered since the leader leads
          const behind = top - s.LastIndex;
          return (
            <article key={s.ID} class={`card server ${s.Healthy ? "" : "sick"}`} aria-label={`Server ${s.Name}`}>
              <header>
                <Sign level={s.Healthy ? "passing" : "critical"} label={s.Healthy ? "healthy" : "not healthy"} />
                <h2>
                  <Link href={to("nodes", [s.Name])}>{s.Name}</Link>
                </h2>
                {s.Leader && (
                  <span class="kind leader">
                    <Icon name="crown" />
                    leader
                  </span>
                )}
                {!s.Voter && <span class="kind">no vote yet</span>}
              </header>
              <dl class="facts2">
                <dt>Last index</dt>
                <dd>
                  {known ? <b>{count(s.LastIndex)}</b> : "unknown"} {known && <span class="dim">{behind > 0 ? `${count(behind)} behind` : "up to date"}</span>}
                </dd>
                <dt>Term</dt>
                <dd>{known ? count(s.LastTerm) : "unknown"}</dd>
                <dt>Last contact</dt>
                <dd>{s.Leader ? "leads" : s.LastContact === "-1ns" ? "none" : duration(s.LastContact)}</dd>
                <dt>Gossip</dt>
                <dd>{s.SerfStatus || "unknown"}</dd>
                <dt>{s.Healthy ? "Stable for" : "Changed"}</dt>
                <dd>{ago(s.StableSince)}</dd>
                <dt>Version</dt>
                <dd>{s.Version || "unknown"}</dd>
                <dt>Address</dt>
                <dd>
                  <code>{s.Address}</code>
                </dd>
              </dl>
              <svg class="progress" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={`${s.Name} has ${s.LastIndex} of ${top} entries`}>
                <rect class="all" width="100" height="4" />
                <rect class="part" width={known ? Math.max(1, 100 - Math.min(100, behind)) : 0} height="4" />
              </svg>
            </article>
          );
        })}
      </div>
    </>
  );
}

// Without the right to see autopilot, or with servers too old for it: what the configuration says.
function Configuration({ raft }: { raft: RaftConfiguration }): JSX.Element {
  return (
    <div class="tablebox">
      <table>
        <thead>
          <tr>
            <th scope="col">Server</th>
            <th scope="col">Address</th>
            <th scope="col">Role</th>
            <th scope="col">ID</th>
          </tr>
        </thead>
        <tbody>
          {raft.Servers.map((s) => (
            <tr key={s.ID}>
              <td>
                <Link href={to("nodes", [s.Node])}>{s.Node}</Link>
              </td>
              <td>
                <code>{s.Address}</code>
              </td>
              <td>{s.Leader ? "leader" : s.Voter ? "follower" : "no vote yet"}</td>
              <td>
                <code class="dim">{s.ID}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const states: Record<number, [string, Level]> = { 0: ["unknown", "none"], 1: ["alive", "passing"], 2: ["leaving", "warning"], 3: ["left", "none"], 4: ["failed", "critical"] };

function Members({ wan }: { wan: boolean }): JSX.Element {
  const { query, dc } = useStore(place);
  const live = usePoll<Member[]>("agent/members", 2500, wan ? { wan: "1" } : {});
  const q = (query.get("q") ?? "").toLowerCase();
  const all = live.data ?? [];
  const shown = all
    .filter((m) => !q || `${m.Name}\n${m.Addr}\n${states[m.Status]?.[0] ?? ""}\n${m.Tags.role ?? ""}`.toLowerCase().includes(q))
    .sort((a, b) => Number(b.Status === 4) - Number(a.Status === 4) || (a.Name < b.Name ? -1 : 1));
  const own = all.find((m) => m.Tags.dc)?.Tags.dc ?? dc;
  if (live.loading || (!live.data && live.error)) return <Waiting live={live} what="the members" />;
  return (
    <>
      {live.error && <Trouble error={live.error} />}
      {!wan && own !== dc && (
        <p class="notice">
          <span>
            These are the members of {own}, where this agent is. The servers of {dc} are among those of <Link href={to("cluster", [], { tab: "wan" })}>the other datacenters</Link>; <Link href={to("nodes")}>its nodes</Link> are listed.
          </span>
        </p>
      )}
      <div class="toolbar">
        <FilterBox name="q" value={query.get("q") ?? ""} label="Search members, addresses, states" />
        <span class="dim">{Object.values(states).map(([name], i) => [name, all.filter((m) => m.Status === i).length] as const).filter(([, n]) => n > 0).map(([name, n]) => `${n} ${name}`).join(" · ")}</span>
      </div>
      {all.length === 0 && <Empty title={wan ? "No members: this agent is no server." : "No members that your token may see."} />}
      {shown.length > 0 && (
        <div class="tablebox">
          <table>
            <thead>
              <tr>
                <th scope="col">Member</th>
                <th scope="col">State</th>
                <th scope="col">Kind</th>
                <th scope="col">Address</th>
                <th scope="col">Version</th>
                <th scope="col">Datacenter</th>
              </tr>
            </thead>
            <tbody>
              {shown.slice(0, 2000).map((m) => {
                const [word, level] = states[m.Status] ?? states[0]!;
                return (
                  <tr key={m.Name}>
                    <td>{wan ? m.Name : <Link href={href(m.Tags.dc ?? dc, "nodes", [m.Name])}>{m.Name}</Link>}</td>
                    <td>
                      <Sign level={level} label="" /> {word}
                    </td>
                    <td>{m.Tags.role === "consul" ? "server" : m.Tags.role === "node" ? "client" : (m.Tags.role ?? "")}</td>
                    <td>
                      <code>
                        {m.Addr}:{m.Port}
                      </code>
                    </td>
                    <td>{(m.Tags.build ?? "").split(":")[0]}</td>
                    <td>{m.Tags.dc ?? ""}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
      {shown.length > 2000 && <p class="dim pad">The first 2,000 of {count(shown.length)}; search to see others.</p>}
    </>
  );
}

function ThisAgent(): JSX.Element {
  const live = usePoll<AgentSelf>("agent/self", 3000);
  if (!live.data) return <Waiting live={live} what="the agent" />;
  const { Config: c, Stats: stats } = live.data;
  return (
    <>
      <Pairs pairs={{ node: c.NodeName, datacenter: c.Datacenter, version: c.Version, kind: c.Server ? "server" : "client" }} empty="" />
      <div class="cards">
        {Object.entries(stats ?? {}).map(([group, values]) => (
          <article key={group} class="card">
            <h2>{group}</h2>
            <dl class="facts2">
              {Object.entries(values).map(([name, value]) => (
                <>
                  <dt>{name}</dt>
                  <dd>{value}</dd>
                </>
              ))}
            </dl>
          </article>
        ))}
      </div>
    </>
  );
}

export function Cluster(): JSX.Element {
  const { query } = useStore(place);
  const tab = query.get("tab") ?? "servers";
  const health = usePoll<AutopilotHealth>(tab === "servers" ? "operator/autopilot/health" : null, 2000);
  const raft = usePoll<RaftConfiguration>(tab === "servers" && health.error ? "operator/raft/configuration" : null, 4000);
  return (
    <section class="view">
      <Head title="Cluster">
        <Commands
          list={[
            { what: "Health of the servers", path: "operator/autopilot/health" },
            { what: "Who is in the Raft configuration", path: "operator/raft/configuration", cli: ["operator", "raft", "list-peers"] },
            { what: "Members of the gossip", path: "agent/members", cli: ["members", "-detailed"] },
            { what: "This agent", path: "agent/self", cli: ["info"] },
          ]}
        />
      </Head>
      <Tabs
        current={tab}
        tabs={[
          { id: "servers", name: "Servers" },
          { id: "members", name: "Members" },
          { id: "wan", name: "Other datacenters" },
          { id: "agent", name: "This agent" },
        ]}
      />
      {tab === "servers" && (
        <>
          {health.error && health.data && <Trouble error={health.error} />}
          {health.data ? <Servers health={health.data} /> : <Waiting live={health} what="the servers" />}
          {!health.data && raft.data && <Configuration raft={raft.data} />}
        </>
      )}
      {tab === "members" && <Members wan={false} />}
      {tab === "wan" && <Members wan />}
      {tab === "agent" && <ThisAgent />}
    </section>
  );
}

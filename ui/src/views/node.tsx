// One node: its checks, services, sessions, round-trip times to the others, addresses and metadata.
import type { JSX } from "preact";
import { useLive, usePoll } from "../lib/api";
import { CheckList } from "../lib/checks";
import { Commands } from "../lib/commands";
import { worst } from "../lib/format";
import { Icon, Sign } from "../lib/icons";
import { place, to } from "../lib/router";
import { RoundTrips } from "../lib/rtt";
import { useStore } from "../lib/store";
import type { Coordinate, NodeInfo, Session } from "../lib/types";
import { Back, Code, Empty, Head, Link, Pairs, Tabs, Tags, Trouble, Waiting } from "../lib/widgets";
import { leaderHost } from "./nodes";
import { SessionTable } from "./sessions";

function ServiceTable({ node }: { node: NodeInfo }): JSX.Element {
  if (node.Services.length === 0) return <Empty title="No services on this node." />;
  return (
    <div class="tablebox">
      <table>
        <thead>
          <tr>
            <th scope="col">Service</th>
            <th scope="col">ID</th>
            <th scope="col">Address</th>
            <th scope="col">Tags</th>
          </tr>
        </thead>
        <tbody>
          {node.Services.map((s) => (
            <tr key={s.ID}>
              <td>
                <Sign level={worst(node.Checks.filter((c) => c.ServiceID === s.ID || !c.ServiceID))} />{" "}
                <Link href={to("services", [s.Service], { open: `${node.Node}/${s.ID}` })}>{s.Service}</Link>
              </td>
              <td>
                <code>{s.ID}</code>
              </td>
              <td>
                <code>
                  {s.Address || node.Address}
                  {s.Port ? `:${s.Port}` : ""}
                </code>
              </td>
              <td>
                <Tags tags={s.Tags} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function NodeView({ name }: { name: string }): JSX.Element {
  const { dc, query } = useStore(place);
  const tab = query.get("tab") ?? "checks";
  const live = useLive<NodeInfo>(`internal/ui/node/${encodeURIComponent(name)}`);
  const sessions = useLive<Session[]>(tab === "sessions" ? `session/node/${encodeURIComponent(name)}` : null);
  const coordinates = useLive<Coordinate[]>(tab === "rtt" ? "coordinate/nodes" : null);
  const leader = usePoll<string>("status/leader", 4000, { dc });
  const node = live.data;
  return (
    <section class="view">
      <Head
        above={<Back href={to("nodes")}>Nodes</Back>}
        title={
          <>
            {node && <Sign level={worst(node.Checks)} />} {name}{" "}
            {node && node.Address === leaderHost(leader.data) && (
              <span class="kind leader">
                <Icon name="crown" />
                leader
              </span>
            )}
          </>
        }
      >
        {node && <Code text={node.Address} what="address" />}
        <Commands
          list={[
            { what: "This node", path: `internal/ui/node/${encodeURIComponent(name)}` },
            { what: "Its health", path: `health/node/${encodeURIComponent(name)}` },
            { what: "Its services", path: `catalog/node/${encodeURIComponent(name)}`, cli: ["catalog", "services", `-node=${name}`] },
            { what: "Round-trip time to another node", path: `coordinate/node/${encodeURIComponent(name)}`, cli: ["rtt", name] },
          ]}
        />
      </Head>
      {live.error && node && <Trouble error={live.error} />}
      {!node && <Waiting live={live} what="the node" />}
      {node === null && <Empty title={`There is no node “${name}” now.`}>It may have left, or your token may not see it.</Empty>}
      {node && (
        <>
          <Tabs
            current={tab}
            tabs={[
              { id: "checks", name: "Checks", count: node.Checks.length },
              { id: "services", name: "Services", count: node.Services.length },
              { id: "sessions", name: "Sessions" },
              { id: "rtt", name: "Round-trip times" },
              { id: "meta", name: "Metadata" },
            ]}
          />
          {tab === "checks" && <CheckList checks={node.Checks} withService />}
          {tab === "services" && <ServiceTable node={node} />}
          {tab === "sessions" && (sessions.data ? <SessionTable sessions={sessions.data} /> : <Waiting live={sessions} what="the sessions" />)}
          {tab === "rtt" && (coordinates.data ? <RoundTrips node={node.Node} all={coordinates.data} /> : <Waiting live={coordinates} what="the coordinates" />)}
          {tab === "meta" && (
            <>
              <h2>Metadata</h2>
              <Pairs pairs={node.Meta} empty="This node has no metadata." />
              <h2>Addresses</h2>
              <Pairs pairs={{ ...(node.TaggedAddresses ?? {}), "node ID": node.ID }} empty="None." />
            </>
          )}
        </>
      )}
    </section>
  );
}

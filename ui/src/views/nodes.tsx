// All nodes with their health; who leads is marked.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { useLive, usePoll } from "../lib/api";
import { Commands } from "../lib/commands";
import { count, plural, tally, worst } from "../lib/format";
import { Icon, Sign } from "../lib/icons";
import { place, to } from "../lib/router";
import { useStore } from "../lib/store";
import type { NodeInfo } from "../lib/types";
import { Cell, HeadCell, VirtualList } from "../lib/virtual";
import { Chips, Empty, FilterBox, Head, Link, Tags, Trouble, Waiting } from "../lib/widgets";
import { Counts } from "./services";

export const leaderHost = (address: string | null | undefined): string => (address ?? "").replace(/:\d+$/, "").replace(/^\[|\]$/g, "");

export function Nodes(): JSX.Element {
  const { dc, query } = useStore(place);
  const live = useLive<NodeInfo[]>("internal/ui/nodes");
  const leader = usePoll<string>("status/leader", 4000, { dc });
  const q = query.get("q") ?? "";
  const health = query.get("health") ?? "";
  const all = live.data ?? [];
  const host = leaderHost(leader.data);

  const shown = useMemo(() => {
    const words = q.toLowerCase().split(/\s+/).filter(Boolean);
    return all
      .filter((n) => {
        const text = [n.Node, n.Address, ...Object.entries(n.Meta ?? {}).map(([k, v]) => `${k}=${v}`), ...n.Services.map((s) => s.Service)].join("\n").toLowerCase();
        return words.every((w) => text.includes(w)) && (!health || worst(n.Checks) === health);
      })
      .sort((a, b) => (a.Node < b.Node ? -1 : 1));
  }, [all, q, health]);
  const of = (level: string): number => all.filter((n) => worst(n.Checks) === level).length;

  const row = (n: NodeInfo): JSX.Element => {
    const t = tally(n.Checks);
    return (
      <>
        <Cell class="c-sign">
          <Sign level={worst(n.Checks)} />
        </Cell>
        <Cell class="c-name">
          <Link href={to("nodes", [n.Node])}>{n.Node}</Link>
          {n.Address === host && (
            <span class="kind leader">
              <Icon name="crown" />
              leader
            </span>
          )}
        </Cell>
        <Cell class="c-addr">
          <code>{n.Address}</code>
        </Cell>
        <Cell class="c-num">{count(n.Services.length)}</Cell>
        <Cell class="c-counts">
          <Counts s={{ ChecksPassing: t.passing, ChecksWarning: t.warning, ChecksCritical: t.critical }} />
        </Cell>
        <Cell class="c-tags">
          <Tags tags={Object.entries(n.Meta ?? {}).filter(([k]) => k !== "consul-network-segment").map(([k, v]) => `${k}=${v}`)} />
        </Cell>
      </>
    );
  };

  return (
    <section class="view fill">
      <Head title="Nodes">
        <Commands
          list={[
            { what: "All nodes with services and checks", path: "internal/ui/nodes" },
            { what: "The catalog's nodes", path: "catalog/nodes", cli: ["catalog", "nodes", "-detailed"] },
          ]}
        />
      </Head>
      <div class="toolbar">
        <FilterBox name="q" value={q} label="Search nodes, addresses, services" />
        <Chips
          label="Health"
          name="health"
          value={health}
          options={[
            ["critical", "Critical", of("critical"), "critical"],
            ["warning", "Warning", of("warning"), "warning"],
            ["passing", "Passing", of("passing"), "passing"],
          ]}
        />
      </div>
      {live.error && live.data && <Trouble error={live.error} />}
      {!live.data && <Waiting live={live} what="the nodes" />}
      {live.data && all.length === 0 && <Empty title="No nodes that your token may see." />}
      {all.length > 0 && shown.length === 0 && <Empty title="Nothing matches." />}
      {shown.length > 0 && (
        <VirtualList
          label="Nodes"
          items={shown}
          keyOf={(n) => n.Node}
          row={row}
          columns="g-nodes"
          height={38}
          narrowHeight={64}
          head={
            <>
              <HeadCell class="c-sign" />
              <HeadCell class="c-name">{shown.length === all.length ? plural(all.length, "node") : `${count(shown.length)} of ${plural(all.length, "node")}`}</HeadCell>
              <HeadCell class="c-addr">Address</HeadCell>
              <HeadCell class="c-num">Services</HeadCell>
              <HeadCell class="c-counts">Checks</HeadCell>
              <HeadCell class="c-tags">Metadata</HeadCell>
            </>
          }
        />
      )}
    </section>
  );
}

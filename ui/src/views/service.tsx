// One service: its instances with tags, checks and metadata.
import type { JSX } from "preact";
import { useLive } from "../lib/api";
import { CheckList } from "../lib/checks";
import { Commands } from "../lib/commands";
import { kinds, plural, tally, worst } from "../lib/format";
import { Icon, Sign } from "../lib/icons";
import { Spark } from "../lib/plot";
import { place, setQuery, to } from "../lib/router";
import { useStore } from "../lib/store";
import type { Instance } from "../lib/types";
import { Back, Chips, Empty, FilterBox, Head, Link, Pairs, Tabs, Tags, Trouble, Waiting } from "../lib/widgets";
import { IntentionsOf } from "./intentions";
import { RoutingOf } from "./routing";
import { Counts } from "./services";

const idOf = (i: Instance): string => `${i.Node.Node}/${i.Service.ID}`;
const addressOf = (i: Instance): string => {
  const host = i.Service.Address || i.Node.Address;
  return i.Service.Port ? `${host.includes(":") ? `[${host}]` : host}:${i.Service.Port}` : host;
};

function InstanceRow({ instance: i, open }: { instance: Instance; open: boolean }): JSX.Element {
  const t = tally(i.Checks);
  const body = `i-${idOf(i)}`;
  return (
    <li class={open ? "instance open" : "instance"}>
      <button type="button" class="instancehead" aria-expanded={open} aria-controls={body} onClick={() => setQuery({ open: open ? undefined : idOf(i) })}>
        <Icon name="chevron" />
        <Sign level={worst(i.Checks)} />
        <strong>{i.Service.ID}</strong>
        <code class="address">{addressOf(i)}</code>
        <span class="on">on {i.Node.Node}</span>
        <Counts s={{ ChecksPassing: t.passing, ChecksWarning: t.warning, ChecksCritical: t.critical }} />
        <Tags tags={i.Service.Tags} />
      </button>
      {open && (
        <div class="instancebody" id={body}>
          <p class="facts">
            Node <Link href={to("nodes", [i.Node.Node])}>{i.Node.Node}</Link> at <code>{i.Node.Address}</code>
            {i.Service.Weights && (
              <>
                {" · "}weights {i.Service.Weights.Passing} passing, {i.Service.Weights.Warning} warning
              </>
            )}
            {i.Service.Proxy?.DestinationServiceName && (
              <>
                {" · "}proxy of <Link href={to("services", [i.Service.Proxy.DestinationServiceName])}>{i.Service.Proxy.DestinationServiceName}</Link>
              </>
            )}
          </p>
          <h3>Checks</h3>
          <CheckList checks={i.Checks} />
          <h3>Metadata</h3>
          <Pairs pairs={i.Service.Meta} empty="This instance has no metadata." />
        </div>
      )}
    </li>
  );
}

export function ServiceView({ name }: { name: string }): JSX.Element {
  const { dc, query } = useStore(place);
  const live = useLive<Instance[]>(`health/service/${encodeURIComponent(name)}`);
  const tab = query.get("tab") ?? "instances";
  const q = (query.get("q") ?? "").toLowerCase();
  const health = query.get("health") ?? "";
  const open = query.get("open") ?? "";
  const all = live.data ?? [];
  const shown = all.filter((i) => (!q || [i.Service.ID, i.Node.Node, addressOf(i), ...(i.Service.Tags ?? [])].join("\n").toLowerCase().includes(q)) && (!health || worst(i.Checks) === health));
  const of = (level: string): number => all.filter((i) => worst(i.Checks) === level).length;
  const tags = [...new Set(all.flatMap((i) => i.Service.Tags ?? []))].sort();
  const kind = all[0]?.Service.Kind;
  const single = all.length === 1 ? idOf(all[0]!) : "";
  const checks = all.flatMap((i) => i.Checks);

  return (
    <section class="view">
      <Head
        above={<Back href={to("services")}>Services</Back>}
        title={
          <>
            {all.length > 0 && <Sign level={worst(checks)} />} {name} {kind && <span class="kind">{kinds[kind] ?? kind}</span>}
          </>
        }
      >
        {all.length > 0 && <Spark dc={dc} name={name} />}
        <Commands
          list={[
            { what: "Instances with their checks", path: `health/service/${encodeURIComponent(name)}` },
            { what: "Only those that pass", path: `health/service/${encodeURIComponent(name)}`, query: { passing: "1" } },
            { what: "Nodes that have it", path: `catalog/service/${encodeURIComponent(name)}`, cli: ["catalog", "nodes", "-detailed", `-service=${name}`] },
            { what: "How the mesh’s requests reach it", path: `discovery-chain/${encodeURIComponent(name)}` },
          ]}
        />
      </Head>
      {live.error && live.data && <Trouble error={live.error} />}
      {!live.data && <Waiting live={live} what="the instances" />}
      {live.data && all.length === 0 && <Empty title={`There is no service “${name}” now.`}>It may have been deregistered, or your token may not see it. When it appears, it is shown here.</Empty>}
      {all.length > 0 && (
        <>
          <Tabs
            current={tab}
            tabs={[
              { id: "instances", name: "Instances", count: all.length },
              { id: "checks", name: "Checks", count: checks.length },
              { id: "tags", name: "Tags", count: tags.length },
              { id: "intentions", name: "Intentions" },
              ...(kind ? [] : [{ id: "routing", name: "Routing" }]),
            ]}
          />
          {tab === "instances" && (
            <>
              {all.length > 1 && (
                <div class="toolbar">
                  <FilterBox name="q" value={query.get("q") ?? ""} label="Search instances" />
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
              )}
              {shown.length === 0 && <Empty title="Nothing matches." />}
              <ul class="instances">
                {shown.slice(0, 500).map((i) => (
                  <InstanceRow key={idOf(i)} instance={i} open={open ? open === idOf(i) : single === idOf(i)} />
                ))}
              </ul>
              {shown.length > 500 && <p class="dim pad">The first 500 of {shown.length}; search to see others.</p>}
            </>
          )}
          {tab === "checks" && <CheckList checks={[...new Map(checks.map((c) => [`${c.Node}\n${c.CheckID}`, c])).values()]} withService />}
          {tab === "intentions" && <IntentionsOf name={name} />}
          {tab === "routing" && <RoutingOf name={name} />}
          {tab === "tags" &&
            (tags.length === 0 ? (
              <Empty title="No tags." />
            ) : (
              <ul class="plainlist">
                {tags.map((t) => (
                  <li key={t}>
                    <Link href={to("services", [], { tag: t })} class="tag">
                      {t}
                    </Link>{" "}
                    <span class="dim">{plural(all.filter((i) => (i.Service.Tags ?? []).includes(t)).length, "instance")}</span>
                  </li>
                ))}
              </ul>
            ))}
        </>
      )}
    </section>
  );
}

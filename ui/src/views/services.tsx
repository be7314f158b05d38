// All services: search, filters by health, kind and tag, and how their health went while the page was open.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { useLive } from "../lib/api";
import { Commands } from "../lib/commands";
import { count, kinds, plural } from "../lib/format";
import { Sign, type Level } from "../lib/icons";
import { Spark } from "../lib/plot";
import { place, setQuery, to } from "../lib/router";
import { useStore } from "../lib/store";
import type { ServiceSummary } from "../lib/types";
import { Cell, HeadCell, VirtualList } from "../lib/virtual";
import { Chips, Empty, FilterBox, Head, Link, Select, Tags, Trouble, Waiting } from "../lib/widgets";

const levelOf = (s: ServiceSummary): Level =>
  s.ChecksCritical > 0 ? "critical" : s.ChecksWarning > 0 ? "warning" : s.ChecksPassing > 0 ? "passing" : "none";

const order: Record<Level, number> = { critical: 0, warning: 1, none: 2, passing: 3 };

// Every word must be in the name, a tag, a node or the kind.
function matches(s: ServiceSummary, words: string[]): boolean {
  const text = [s.Name, s.Kind ?? "", ...(s.Tags ?? []), ...new Set(s.Nodes)].join("\n").toLowerCase();
  return words.every((w) => text.includes(w));
}

export function Counts({ s }: { s: { ChecksPassing: number; ChecksWarning: number; ChecksCritical: number } }): JSX.Element {
  const part = (n: number, level: Level, word: string): JSX.Element | null =>
    n > 0 ? (
      <span class={`count ${level}`}>
        <Sign level={level} label="" />
        {count(n)} <span class="hidden-word">{word}</span>
      </span>
    ) : null;
  return (
    <span class="counts">
      {part(s.ChecksCritical, "critical", "critical")}
      {part(s.ChecksWarning, "warning", "warning")}
      {part(s.ChecksPassing, "passing", "passing")}
      {s.ChecksCritical + s.ChecksWarning + s.ChecksPassing === 0 && <span class="dim">no checks</span>}
    </span>
  );
}

export function Services(): JSX.Element {
  const { dc, query } = useStore(place);
  const live = useLive<ServiceSummary[]>("internal/ui/services");
  const [q, health, kind, tag, sort] = ["q", "health", "kind", "tag", "sort"].map((n) => query.get(n) ?? "") as [string, string, string, string, string];
  const all = live.data ?? [];

  const shown = useMemo(() => {
    const words = q.toLowerCase().split(/\s+/).filter(Boolean);
    const list = all.filter((s) => (!words.length || matches(s, words)) && (!health || levelOf(s) === health) && (!kind || (s.Kind || "service") === kind) && (!tag || (s.Tags ?? []).includes(tag)));
    if (sort === "health") list.sort((a, b) => order[levelOf(a)] - order[levelOf(b)]);
    if (sort === "instances") list.sort((a, b) => b.InstanceCount - a.InstanceCount);
    return list;
  }, [all, q, health, kind, tag, sort]);

  const { levels, kindsThere, tags } = useMemo(() => {
    const levels: Record<Level, number> = { passing: 0, warning: 0, critical: 0, none: 0 };
    const kindsThere = new Set<string>();
    const tags = new Set<string>();
    for (const s of all) {
      levels[levelOf(s)]++;
      kindsThere.add(s.Kind || "service");
      for (const t of s.Tags ?? []) if (tags.size < 500) tags.add(t);
    }
    return { levels, kindsThere: [...kindsThere].sort(), tags: [...tags].sort() };
  }, [all]);

  const row = (s: ServiceSummary): JSX.Element => (
    <>
      <Cell class="c-sign">
        <Sign level={levelOf(s)} />
      </Cell>
      <Cell class="c-name">
        <Link href={to("services", [s.Name])}>{s.Name}</Link>
        {s.Kind && <span class="kind">{kinds[s.Kind] ?? s.Kind}</span>}
      </Cell>
      <Cell class="c-num">{count(s.InstanceCount)}</Cell>
      <Cell class="c-counts">
        <Counts s={s} />
      </Cell>
      <Cell class="c-spark">
        <Spark dc={dc} name={s.Name} />
      </Cell>
      <Cell class="c-tags">
        <Tags tags={s.Tags} />
      </Cell>
    </>
  );

  return (
    <section class="view fill">
      <Head title="Services">
        <Commands
          list={[
            { what: "All services with their health", path: "internal/ui/services" },
            { what: "Names and tags", path: "catalog/services", cli: ["catalog", "services", "-tags"] },
          ]}
        />
      </Head>
      <div class="toolbar">
        <FilterBox name="q" value={q} label="Search services, tags, nodes" />
        <Chips
          label="Health"
          name="health"
          value={health}
          options={[
            ["critical", "Critical", levels.critical, "critical"],
            ["warning", "Warning", levels.warning, "warning"],
            ["passing", "Passing", levels.passing, "passing"],
            ["none", "No checks", levels.none, "none"],
          ]}
        />
        {kindsThere.length > 1 && <Select bare label="Kind" value={kind} set={(v) => setQuery({ kind: v })} options={[["", "any kind"], ...kindsThere.map((k): [string, string] => [k, kinds[k] ?? k])]} />}
        {tags.length > 0 && <Select bare label="Tag" value={tag} set={(v) => setQuery({ tag: v })} options={[["", "any tag"], ...tags.map((t): [string, string] => [t, t])]} />}
        <Select bare label="Sort" value={sort} set={(v) => setQuery({ sort: v })} options={[["", "by name"], ["health", "worst first"], ["instances", "most instances"]]} />
      </div>
      {live.error && live.data && <Trouble error={live.error} />}
      {!live.data && <Waiting live={live} what="the services" />}
      {live.data && all.length === 0 && <Empty title="No services, or none that you may see.">Register one with “consul services register” or a service definition in the agent’s configuration.</Empty>}
      {all.length > 0 && shown.length === 0 && <Empty title="Nothing matches.">Of {count(all.length)} services none fits the filters above.</Empty>}
      {shown.length > 0 && (
        <VirtualList
          label="Services"
          items={shown}
          keyOf={(s) => s.Name}
          row={row}
          columns="g-services"
          height={38}
          narrowHeight={64}
          head={
            <>
              <HeadCell class="c-sign" />
              <HeadCell class="c-name">{shown.length === all.length ? plural(all.length, "service") : `${count(shown.length)} of ${plural(all.length, "service")}`}</HeadCell>
              <HeadCell class="c-num">Instances</HeadCell>
              <HeadCell class="c-counts">Checks</HeadCell>
              <HeadCell class="c-spark">Since opened</HeadCell>
              <HeadCell class="c-tags">Tags</HeadCell>
            </>
          }
        />
      )}
    </section>
  );
}

// The frame around all views: where one is, the datacenter, search, the state of the connection; and which view an address means.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { leaderless, link, retryNow, useLive, usePoll } from "./lib/api";
import { ApiError, inWords } from "./lib/errors";
import { Icon, Sign } from "./lib/icons";
import { Help, helpShown } from "./lib/keyboard";
import { LoginButton, LoginDialog } from "./lib/login";
import { Palette, paletteShown, views } from "./lib/palette";
import { remember } from "./lib/plot";
import { href, navigate, ownDc, place, to } from "./lib/router";
import { toggleTheme, theme } from "./lib/session";
import { useStore } from "./lib/store";
import type { ServiceSummary } from "./lib/types";
import { Empty, Link, Toasts, Waiting } from "./lib/widgets";
import { Cluster } from "./views/cluster";
import { Intentions, IntentionView } from "./views/intentions";
import { Kv } from "./views/kv";
import { Logs } from "./views/logs";
import { NetworkMap } from "./views/map";
import { MetricsView } from "./views/metrics";
import { NodeView } from "./views/node";
import { Nodes } from "./views/nodes";
import { Policies, PolicyView } from "./views/policies";
import { Roles, RoleView } from "./views/roles";
import { ServiceView } from "./views/service";
import { Services } from "./views/services";
import { Sessions } from "./views/sessions";
import { Tokens, TokenView } from "./views/tokens";

function Shown(): JSX.Element {
  const { view, rest } = useStore(place);
  const name = rest[0] ?? "";
  switch (view) {
    case "services":
      return name ? <ServiceView key={name} name={name} /> : <Services />;
    case "nodes":
      return name ? <NodeView key={name} name={name} /> : <Nodes />;
    case "kv":
      return <Kv />;
    case "sessions":
      return <Sessions />;
    case "cluster":
      return <Cluster />;
    case "map":
      return <NetworkMap />;
    case "logs":
      return <Logs />;
    case "metrics":
      return <MetricsView />;
    case "intentions":
      return name ? <IntentionView key={name} id={name} /> : <Intentions />;
    case "tokens":
      return name ? <TokenView key={name} id={name} /> : <Tokens />;
    case "policies":
      return name ? <PolicyView key={name} id={name} /> : <Policies />;
    case "roles":
      return name ? <RoleView key={name} id={name} /> : <Roles />;
    default:
      return (
        <section class="view">
          <Empty title="There is no such page.">
            <Link href={to("services")}>Services</Link> is a good place to begin.
          </Empty>
        </section>
      );
  }
}

const noLeader = new ApiError("no-leader", 500, "");

const groups: [string, string[]][] = [
  ["", ["services", "nodes", "kv", "sessions"]],
  ["Cluster", ["cluster", "map"]],
  ["This agent", ["logs", "metrics"]],
  ["Security", ["intentions", "tokens"]],
];

function Navigation({ close }: { close: () => void }): JSX.Element {
  const { view } = useStore(place);
  const at = view === "policies" || view === "roles" ? "tokens" : view;
  return (
    <nav class="nav" aria-label="Views" onClick={close}>
      {groups.map(([title, members]) => (
        <div key={title} class="navgroup">
          {title && <div class="navtitle">{title}</div>}
          {members.map((id) => {
            const [, name, icon] = views.find((v) => v[0] === id)!;
            return (
              <Link key={id} href={to(id)} current={at === id} class="navlink">
                <Icon name={icon} />
                <span>{name}</span>
              </Link>
            );
          })}
        </div>
      ))}
    </nav>
  );
}

function Datacenters({ list }: { list: string[] }): JSX.Element {
  const { dc, view } = useStore(place);
  const all = list.includes(dc) ? list : [dc, ...list];
  return (
    <label class="dcselect">
      <span aria-hidden="true">Datacenter</span>
      <select aria-label="Datacenter" value={dc} onChange={(event) => {
          navigate(href(event.currentTarget.value, view || "services"));
          event.currentTarget.value = place.value.dc; // also when it is not left
        }}
      >
        {all.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

// Waiting queries do not notice that there is no leader any more; so it is asked for.
function useLeader(): void {
  const { dc } = useStore(place);
  const leader = usePoll<string>("status/leader", 4000, { dc });
  const lost = leader.data === "" && !leader.error;
  useEffect(() => {
    leaderless.set(lost);
    if (!lost) retryNow();
  }, [lost]);
}

function Connection(): JSX.Element {
  const { state, error } = useStore(link);
  const headless = useStore(leaderless);
  const trouble = state === "trouble" || headless;
  const words = state === "connecting" ? "connecting" : !trouble ? "live" : headless || error?.kind === "no-leader" ? "no leader" : "agent gone";
  return (
    <button type="button" class={`connection ${trouble ? "trouble" : state}`} aria-live="polite" onClick={retryNow} title="Whether what you see is kept up to date; press to ask at once">
      <Sign level={trouble ? "critical" : state === "connecting" ? "none" : "passing"} label="" />
      <span>{words}</span>
    </button>
  );
}

// What concerns the whole page.
function Banner(): JSX.Element | null {
  const { state, error } = useStore(link);
  const headless = useStore(leaderless);
  const what = headless ? noLeader : state === "trouble" ? error : null;
  if (!what) return null;
  const plain = inWords(what, false);
  return (
    <div class="banner">
      <div class="notice bad" role="alert">
        <Sign level="warning" label="" />
        <div class="grow">
          <strong>{plain.title}</strong> {plain.detail}
        </div>
        <button type="button" class="quiet" onClick={retryNow}>
          Try again
        </button>
      </div>
    </div>
  );
}

function skip(): void {
  document.querySelector<HTMLElement>("main h1")?.focus();
}

// The heading gets the focus when the view changes, so that screen readers say where one is.
function useTitle(): void {
  const at = useStore(place);
  const what = [at.view, ...at.rest.filter(Boolean)].join(" / ");
  const first = useRef(true);
  useEffect(() => {
    // Where the link that was followed is gone, nothing has the focus.
    if (!first.current && (document.activeElement ?? document.body) === document.body) skip();
    if (at.view) first.current = false;
    document.title = `${what || "Praetor"} · ${at.dc || "Praetor"}`;
  }, [what, at.dc]);
}

export function App(): JSX.Element {
  const at = useStore(place);
  useStore(theme);
  const [menu, setMenu] = useState(false);
  const datacenters = usePoll<string[]>("catalog/datacenters", 20_000);
  useLeader();
  const services = useLive<ServiceSummary[]>(at.dc ? "internal/ui/services" : null);
  useTitle();
  useEffect(() => {
    const own = datacenters.data?.[0];
    if (own) ownDc.set(own);
    if (own && (!at.dc || !at.view)) navigate(href(at.dc || own, "services"), true);
    else if (at.view === "acls") navigate(href(at.dc, at.rest[0] || "tokens", at.rest.slice(1)), true); // links made for the peer's page
  }, [datacenters.data, at]);
  useEffect(() => {
    if (services.data) remember(at.dc, services.data);
  }, [services.data, at.dc]);
  const dark = document.documentElement.dataset.theme === "dark";

  return (
    <div class={menu ? "frame menu-open" : "frame"}>
      <button type="button" class="skip" onClick={skip}>
        Skip to the content
      </button>
      <aside class="side">
        <div class="brand">
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <path d="M7 9.500h18M9.500 9.500v13M16 9.500v13M22.500 9.500v13M6 23.500h20" />
          </svg>
          <span>Praetor</span>
          <button type="button" class="iconbutton menu-close" aria-label="Close the menu" onClick={() => setMenu(false)}>
            <Icon name="close" />
          </button>
        </div>
        {at.dc && <Datacenters list={datacenters.data ?? []} />}
        <Navigation close={() => setMenu(false)} />
        <div class="sidefoot">
          <Connection />
        </div>
      </aside>
      <div class="stage">
        <div class="top">
          <button type="button" class="iconbutton menu-button" aria-label="Menu" aria-expanded={menu} onClick={() => setMenu(!menu)}>
            <Icon name="menu" />
          </button>
          <button type="button" class="search" onClick={() => paletteShown.set(true)}>
            <Icon name="search" />
            <span>Search everything</span>
            <kbd aria-hidden="true">Ctrl K</kbd>
          </button>
          <span class="grow" />
          <button type="button" class="quiet wide-only" onClick={() => helpShown.set(true)} aria-label="Keyboard" title="Keyboard (?)">
            <Icon name="help" />
          </button>
          <button type="button" class="quiet" onClick={toggleTheme} aria-label={dark ? "Light colours" : "Dark colours"} title={dark ? "Light colours" : "Dark colours"}>
            <Icon name={dark ? "sun" : "moon"} />
          </button>
          <LoginButton />
        </div>
        <Banner />
        <main>{at.dc && at.view ? <Shown /> : <Waiting live={datacenters} what="the agent" />}</main>
      </div>
      <Palette />
      <LoginDialog />
      <Help />
      <Toasts />
    </div>
  );
}

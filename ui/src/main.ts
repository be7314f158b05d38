// The first page: services and nodes of this datacenter, kept up to date by blocking queries. Text only ever goes
// into the document as text nodes, so no name, tag or output can become markup.
import "./style.css";

interface ServiceRow {
  Name: string;
  Tags: string[] | null;
  InstanceCount: number;
  ChecksPassing: number;
  ChecksWarning: number;
  ChecksCritical: number;
}
interface NodeRow {
  Node: string;
  Address: string;
  Checks: { Status: string }[];
}

// The page lives at <prefix>/ui/; the API at <prefix>/v1/.
const api = new URL("../v1/", new URL("./", document.baseURI)).pathname;
const where = document.getElementById("where")!;

function cell(text: string, className = ""): HTMLTableCellElement {
  const td = document.createElement("td");
  td.textContent = text;
  if (className) td.className = className;
  return td;
}

function worst(passing: number, warning: number, critical: number): [string, string] {
  if (critical > 0) return [`${critical} critical`, "critical"];
  if (warning > 0) return [`${warning} warning`, "warning"];
  return [passing > 0 ? `${passing} passing` : "no checks", "passing"];
}

function serviceRow(s: ServiceRow): HTMLTableRowElement {
  const row = document.createElement("tr");
  const [text, kind] = worst(s.ChecksPassing, s.ChecksWarning, s.ChecksCritical);
  row.append(cell(s.Name), cell(String(s.InstanceCount)), cell(text, kind), cell((s.Tags ?? []).join(", ")));
  return row;
}

function nodeRow(n: NodeRow): HTMLTableRowElement {
  const row = document.createElement("tr");
  const count = (status: string) => n.Checks.filter((c) => c.Status === status).length;
  const [text, kind] = worst(count("passing"), count("warning"), count("critical"));
  row.append(cell(n.Node), cell(n.Address), cell(text, kind));
  return row;
}

// Asks again and again, each time waiting on the server until something changed; errors are said and retried.
async function follow<T>(path: string, body: string, toRow: (item: T) => HTMLTableRowElement): Promise<void> {
  let index = "0";
  for (;;) {
    try {
      const answer = await fetch(`${api}${path}?index=${index}&wait=60s`);
      if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
      index = answer.headers.get("X-Consul-Index") ?? "0";
      const items = (await answer.json()) as T[];
      document.getElementById(body)!.replaceChildren(...items.map(toRow));
      where.textContent = `live, index ${index}`;
    } catch (error) {
      index = "0";
      where.textContent = `the agent does not answer: ${(error as Error).message}; trying again`;
      await new Promise((done) => setTimeout(done, 2000));
    }
  }
}

void follow<ServiceRow>("internal/ui/services", "services", serviceRow);
void follow<NodeRow>("internal/ui/nodes", "nodes", nodeRow);

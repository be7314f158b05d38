"""Whether the simulator finds what it is there for: the core, the log, the store or the simulated driver is broken on
purpose, one line at a time, and the simulator must fail. Nothing of this is in the sources: a mutation is a piece of text
that is replaced in a copy of one file, which is compiled and linked before the rest.

    python3 tests/sim/mutations.py BUILD-FOLDER [--seeds N] [--jobs N] [--some N] [NAME ...]

A name that is not found any more, or found twice, is an error: mend it here when the source changes. --some: that many, by
chance (printed). Exit status 1 when a mutation survived."""

import argparse
import json
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# (name, file, old text, new text). Four were tried and left out, since nothing that our servers send can show them: counting
# the own vote before it is on disk (the others are asked only when it is), counting nonvoters' votes (they are not asked), taking a vote of an older request (its term in the
# answer says so again), and committing a stale suffix (a leader of ours never probes below the point where logs part; the unit
# test test_commit_of_follower has that rule).
MUTATIONS = [
    # ---- elections
    ("vote-twice", "src/raft/recv_vote.c", "return str_eq(buf_str(&r->vote), v->candidate);", "return true;"),
    ("vote-not-saved", "src/raft/recv_vote.c", "    raft_persist_term(r);\n", ""),
    ("vote-before-disk", "src/raft/recv_vote.c", "granted ? raft_after_log(r) : raft_after_term(r)", "0"),
    ("vote-any-log", "src/raft/recv_vote.c", "|| !log_is_up_to_date(r, v)", ""),
    ("vote-shorter-log", "src/raft/recv_vote.c", "term == v->last_log_term && index > v->last_log_index", "false"),
    ("vote-no-lease", "src/raft/recv_vote.c", "if (!v->leadership_transfer && has_leader(r, v)) {", "if (false) {"),
    ("term-not-saved", "src/raft/persist.c", "    r->confirmed = 0;\n    raft_persist_term(r);", "    r->confirmed = 0;"),
    ("minority-elects", "src/raft/election.c", "r->needed = raft_configuration_voters(r->election) / 2 + 1;",
     "r->needed = (raft_configuration_voters(r->election) + 1) / 2;"),
    # ---- replication
    ("previous-not-compared", "src/raft/recv_append.c", "&& term == a->previous_term)", ")"),
    ("terms-not-compared", "src/raft/recv_append.c", "!raft_log_term(&r->log, e->index, &term) || term != e->term",
     "!raft_log_term(&r->log, e->index, &term)"),
    ("append-before-disk", "src/raft/recv_append.c", "stored ? raft_after_log(r) : raft_after_term(r)", "0"),
    ("old-leader-appends", "src/raft/recv_append.c", "if (a->term >= r->term && a->leader.len > 0) {",
     "if (a->leader.len > 0) {"),
    ("match-is-all", "src/raft/recv_append_result.c", "        p->match = tag->last;", "        p->match = r->log.last;"),
    ("match-kept-over-terms", "src/raft/recv_append_result.c",
     "    if (r->state != RAFT_LEADER || m->tag.term != r->term)\n        return;\n    struct raft_peer *p = "
     "raft_peer_find(r, m->peer_id);\n    if (p == NULL)",
     "    if (r->state != RAFT_LEADER)\n        return;\n    struct raft_peer *p = raft_peer_find(r, m->peer_id);\n"
     "    if (p == NULL)"),
    # ---- commit and apply
    ("commit-earlier-terms", "src/raft/commit.c", "if (index <= r->commit || index < r->start_index)",
     "if (index <= r->commit)"),
    ("commit-minority", "src/raft/commit.c", "return match[(n - 1) / 2];", "return match[n / 2];"),
    ("commit-nonvoters", "src/raft/commit.c",
     "        if (s->suffrage != RAFT_VOTER)\n            continue;\n        const struct raft_peer *p = raft_peer_find(r, "
     "s->id);\n        match[n++]",
     "        const struct raft_peer *p = raft_peer_find(r, s->id);\n        match[n++]"),
    ("commit-before-own-disk", "src/raft/commit.c", "p->match : r->durable;", "p->match : r->log.last;"),
    ("apply-before-disk", "src/raft/commit.c", "uint64_t to = r->commit < r->durable ? r->commit : r->durable;",
     "uint64_t to = r->commit;"),
    ("start-commits-all", "src/raft/raft.c", "r->commit = r->applied = r->apply_sent = in->applied;",
     "r->applied = r->apply_sent = in->applied;\n    r->commit = in->last > in->applied ? in->last : in->applied;"),
    # ---- disk
    ("failed-write-kept", "src/raft/persist.c", "    if (r->log.last > r->durable) {\n        raft_log_truncate",
     "    if (false) {\n        raft_log_truncate"),
    ("failed-reset-forgotten", "src/raft/persist.c", "    r->reset_lost |= r->reset_sequence > r->persisted;\n", ""),
    ("cut-off-is-durable", "src/raft/persist.c", "    writes_clip(r, from - 1);\n", ""),
    ("failed-term-forgotten", "src/raft/persist.c", "    if (term_lost) {", "    if (false) {"),
    # ---- leases and verification
    ("lease-never-ends", "src/raft/commit.c", "if (contacted < voters / 2 + 1)", "if (false)"),
    ("lease-from-answer", "src/raft/recv_append_result.c",
     "    if (tag->sent_at > p->last_contact)\n        p->last_contact = tag->sent_at;",
     "    p->last_contact = INT64_MAX / 2 + tag->sent_at;"),
    ("verify-without-asking", "src/raft/commit.c", "votes += p == NULL || p->round >= round;", "votes++;"),
    ("verify-by-old-answer", "src/raft/recv_append_result.c",
     "    if (m->tag.round > p->round)\n        p->round = m->tag.round;", "    p->round = r->round;"),
    # ---- membership
    ("two-changes-at-once", "src/raft/membership.c", "r->latest_index == r->committed_index &&\n", "true &&\n"),
    ("change-before-own-commit", "src/raft/membership.c", "r->commit >= r->start_index && ", ""),
    ("change-not-undone", "src/raft/persist.c",
     "    raft_configuration_truncated(r, from);\n    struct raft_action *a = raft_act(r, RAFT_ACTION_TRUNCATE);",
     "    struct raft_action *a = raft_act(r, RAFT_ACTION_TRUNCATE);"),
    # ---- snapshots
    ("late-install-taken", "src/raft/recv_install.c", "if (in->last_index <= r->confirmed) {", "if (false) {"),
    ("install-keeps-any-log", "src/raft/recv_install.c",
     "raft_log_term(&r->log, in->last_index, &term) && term == in->last_term;",
     "raft_log_term(&r->log, in->last_index, &term);"),
    ("install-before-disk", "src/raft/recv_install.c", "success ? raft_after_log(r) : raft_after_term(r)", "0"),
    ("lost-restore-kept", "src/raft/recv_append.c",
     "    if (!r->base_unsure)\n        return MATCHES; /*", "    if (true)\n        return MATCHES; /*"),
    ("compact-too-far", "src/raft/restore.c",
     "    if (to > r->log.snapshot_index)\n        to = r->log.snapshot_index;\n", ""),
    ("snapshot-not-synced", "src/raft/snapshots.c",
     "    int code = io->fdatasync(io->owner, w->handle);\n    if (code < 0)\n        return error_set_errno(e, -code, "
     "\"failed to sync snapshot %s\", w->path);\n    if (!write_meta", "    int code = 0;\n    if (!write_meta"),
    ("snapshot-name-not-synced", "src/raft/snapshots.c",
     "    if (code >= 0)\n        code = io->rename(io->owner, w->path, final);\n    if (code >= 0)\n        code = "
     "io->sync_dir(io->owner, w->s->directory);", "    if (code >= 0)\n        code = io->rename(io->owner, w->path, final);"),
    # ---- the log
    ("log-not-synced", "src/raft/wal.c", "    code = w->io.fdatasync(w->io.owner, tail->handle);\n    if (code < 0) {\n"
     "        w->broken = true;", "    code = 0;\n    if (code < 0) {\n        w->broken = true;"),
    ("segment-name-not-synced", "src/raft/wal.c", "        code = w->io.sync_dir(w->io.owner, w->directory);\n        /* The",
     "        code = 0;\n        /* The"),
    ("sync-error-ignored", "src/raft/wal.c", "        w->broken = true;\n        return commit_fail(w, e, code, \"sync\");",
     "        (void)commit_fail;"),
    ("torn-end-kept", "src/raft/wal_open.c", "if (scan->dirty_to > scan->end && !wal_zero", "if (false && !wal_zero"),
    ("dirty-end-kept", "src/raft/wal.c", "        w->dirty_to = tail->end + w->batch.len;\n", ""),
    # ---- the store and its watches
    ("store-cas-ignored", "src/store/kv.c",
     "!exists || old.modify_index != entry->modify_index) {", "!exists) {"),
    ("watch-forgets-prefixes", "src/store/watch.c", "        mark_links(r, n->prefix); /* a prefix of the touched key */\n",
     ""),
    # ---- the driver, as the simulator has it
    ("driver-sends-at-once", "tests/sim/cluster/node.c", "} else if (a->sequence > n->persisted) {", "} else if (false) {"),
    ("driver-sends-old-entries", "tests/sim/cluster/catch_up.c", "    if (c->term != a->term)\n        entries_forget(c);\n", ""),
    ("driver-trusts-state", "tests/sim/cluster/node.c", "    if (power) {\n        sim_disk_cut_power(n->disk);\n        "
     "machine_clear(n->machine);", "    if (power) {\n        sim_disk_cut_power(n->disk);"),
    ("driver-takes-newest-snapshot", "tests/sim/cluster/node.c", "    choose_snapshot(r);\n", "    (void)choose_snapshot;\n"),
    ("driver-keeps-other-snapshots", "tests/sim/cluster/disk_thread.c", "lost = ok && !reset_snapshots(n, b->jobs, &e);",
     "lost = false;\n    (void)reset_snapshots;"),
    ("io-thread-loses-changes", "tests/sim/cluster/apply.c", "    if (touched != NULL)\n        io_push(n, touched);\n    for",
     "    if (touched != NULL && first % 16 == 0)\n        watch_touched_release(touched);\n    else if (touched != NULL)\n"
     "        io_push(n, touched);\n    for"),
    ("restore-shown-before-commit", "tests/sim/cluster/snapshot.c", "    return r != NULL &&\n           (!n->told_leader ||",
     "    return r != NULL &&\n           (true || !n->told_leader ||"),
    ("read-without-barrier", "tests/sim/cluster/apply.c", "(n->told_leader && n->ready)", "n->told_leader"),
]


def compile_command(build, path):
    """The command that makes the file's object, and the object."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        for entry in json.load(f):
            if entry["file"] == path:
                return shlex.split(entry["command"]), entry["directory"]
    raise SystemExit(f"{path} is not in {build}/compile_commands.json")


def link_command(build):
    out = subprocess.run(["ninja", "-C", build, "-t", "commands", "praetor_sim"], capture_output=True, text=True, check=True)
    line = [l for l in out.stdout.splitlines() if "-o praetor_sim" in l][-1]
    return shlex.split(line.removeprefix(": && ").removesuffix(" && :"))


def mutate(name, file, old, new, text):
    count = text.count(old)
    if count != 1:
        raise SystemExit(f"mutation {name}: its text is {count} times in {file}")
    return text.replace(old, new)


def build_mutant(build, folder, name, file, old, new):
    source = os.path.join(ROOT, file)
    with open(source, encoding="utf-8") as f:
        text = mutate(name, file, old, new, f.read())
    copy = os.path.join(folder, os.path.basename(file))
    with open(copy, "w", encoding="utf-8") as f:
        f.write(text)
    command, directory = compile_command(build, source)
    obj = os.path.join(folder, "mutant.o")
    original = command[command.index("-o") + 1]
    command[command.index("-o") + 1] = obj
    command[command.index(source)] = copy
    for flag in ("-MF", "-MT"):
        if flag in command:
            command[command.index(flag) + 1] = os.path.join(folder, "mutant.d")
    command += ["-Wno-error", "-w", "-I", os.path.dirname(source)]
    subprocess.run(command, cwd=directory, check=True)
    link = link_command(build)
    binary = os.path.join(folder, "praetor_sim")
    link[link.index("-o") + 1] = binary
    if original in link:
        link[link.index(original)] = obj
    else:  # before the libraries, so that theirs is not wanted any more
        link.insert(link.index("-o"), obj)
    subprocess.run(link, cwd=build, check=True)
    return binary


def run_sound(build, seed, extra):
    """Whether the code as it is lives through that seed: otherwise its failure says nothing of a mutation."""
    out = subprocess.run([os.path.join(build, "praetor_sim"), "--seeds", f"{seed}:1", "--quiet", *extra], capture_output=True,
                         text=True, timeout=600, check=False)
    return out.returncode == 0


def run_mutant(binary, seeds, jobs, extra):
    """The seed that failed and what was said, or None."""
    out = subprocess.run([binary, "--seeds", f"1:{seeds}", "--jobs", str(jobs), "--until-failure", "--quiet", *extra],
                         capture_output=True, text=True, timeout=3600, check=False)
    if out.returncode == 0:
        return None
    failed = re.search(r"FAILED: seed (\d+)", out.stderr)
    said = [l for l in out.stderr.splitlines() if re.match(r"seed \d+, after|.*assertion failed", l)]
    return (failed.group(1) if failed else "?"), (said[0] if said else out.stderr.strip().splitlines()[-1])


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("build")
    args.add_argument("names", nargs="*")
    args.add_argument("--seeds", type=int, default=1000)
    args.add_argument("--jobs", type=int, default=1)
    args.add_argument("--some", type=int, default=0)
    o = args.parse_intermixed_args()
    build = os.path.abspath(o.build)
    chosen = [m for m in MUTATIONS if not o.names or m[0] in o.names]
    if o.some:
        chosen = random.sample(chosen, min(o.some, len(chosen)))
    survived = 0
    for name, file, old, new in chosen:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
            binary = build_mutant(build, folder, name, file, old, new)
            found = run_mutant(binary, o.seeds, o.jobs, EXTRA.get(name, []))
        took = time.monotonic() - began
        if found is not None and not run_sound(build, found[0], EXTRA.get(name, [])):
            survived += 1
            print(f"UNSOUND {name}: seed {found[0]} fails without it as well: {found[1]}", flush=True)
        elif found is None:
            survived += 1
            print(f"SURVIVED {name} ({file}) after {o.seeds} seeds, {took:.0f} s", flush=True)
        else:
            print(f"found {name}: seed {found[0]}, {took:.0f} s: {found[1]}", flush=True)
    print(f"{len(chosen)} mutations, {survived} survived")
    return 1 if survived else 0


# Parts of a plan that are switched on for a mutation, which would be rare otherwise.
EXTRA = {
    "lost-restore-kept": ["--with", "restores"],
    "driver-takes-newest-snapshot": ["--with", "restores"],
    "restore-shown-before-commit": ["--with", "restores"],
    "driver-keeps-other-snapshots": ["--with", "restores"],
    "late-install-taken": ["--with", "request twice"],
    "store-cas-ignored": ["--with", "store"],
    "watch-forgets-prefixes": [],
    "two-changes-at-once": ["--with", "membership"],
    "change-before-own-commit": ["--with", "membership"],
    "change-not-undone": ["--with", "membership"],
    "commit-nonvoters": ["--with", "membership"],
    "failed-write-kept": ["--with", "failing disk"],
    "failed-reset-forgotten": ["--with", "failing disk"],
    "failed-term-forgotten": ["--with", "failing disk"],
    "dirty-end-kept": ["--with", "failing disk"],
    "log-not-synced": ["--with", "power lost"],
    "snapshot-not-synced": ["--with", "power lost"],
    "snapshot-name-not-synced": ["--with", "power lost"],
    "segment-name-not-synced": ["--with", "power lost"],
    "torn-end-kept": ["--with", "torn write", "--with", "power lost"],
    "sync-error-ignored": ["--with", "failed sync"],
    "driver-trusts-state": ["--with", "power lost"],
}

if __name__ == "__main__":
    sys.exit(main())

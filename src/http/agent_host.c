/* GET /v1/agent/host: the machine, from /proc and the kernel (agent.md 1.4).
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "http/agent_work.h"
#include "http/authorize.h"

#define FILE_MAX ((size_t)1 << 20)

static void key_f64(struct json_writer *w, const char *key, double value) {
    json_key(w, str_from(key));
    json_f64(w, value);
}

/* A whole small file; empty when it cannot be read. */
static struct str read_file(const char *path, struct arena *arena) {
    FILE *file = fopen(path, "re");
    struct buf content = BUF_INIT;
    size_t got = 1;
    while (file != NULL && got > 0 && content.len < FILE_MAX) {
        got = fread(buf_reserve(&content, 8192), 1, 8192, file);
        content.len += got;
    }
    if (file != NULL)
        fclose(file);
    struct str text = str_copy(arena, buf_str(&content));
    buf_free(&content);
    return text.data ? text : STR("");
}

/* The value behind "key:" (or "key=") in a text of lines. */
static struct str line_value(struct str text, const char *key, char separator) {
    while (text.len > 0) {
        struct str line = str_cut(&text, '\n');
        struct str name = str_cut(&line, separator);
        if (str_is(str_trim(name), key) && line.data != NULL)
            return str_trim(line);
    }
    return STR("");
}

/* "123 kB" or "123". */
static uint64_t number(struct str text) {
    uint64_t n = 0;
    for (size_t i = 0; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++)
        n = n * 10 + (uint64_t)(text.data[i] - '0');
    return n;
}

/* ---- memory ---- */

static uint64_t memory_bytes(struct str info, const char *key) {
    return number(line_value(info, key, ':')) * 1024;
}

static void write_memory(struct json_writer *w, struct arena *arena) {
    static const struct {
        const char *key, *name;
    } rest[] = {
        {"active", "Active"},
        {"inactive", "Inactive"},
        {"wired", NULL},
        {"laundry", NULL},
        {"buffers", "Buffers"},
        {"cached", "Cached"},
        {"writeback", "Writeback"},
        {"dirty", "Dirty"},
        {"writebacktmp", "WritebackTmp"},
        {"shared", "Shmem"},
        {"slab", "Slab"},
        {"sreclaimable", "SReclaimable"},
        {"sunreclaim", "SUnreclaim"},
        {"pagetables", "PageTables"},
        {"swapcached", "SwapCached"},
        {"commitlimit", "CommitLimit"},
        {"committedas", "Committed_AS"},
        {"hightotal", "HighTotal"},
        {"highfree", "HighFree"},
        {"lowtotal", "LowTotal"},
        {"lowfree", "LowFree"},
        {"swaptotal", "SwapTotal"},
        {"swapfree", "SwapFree"},
        {"mapped", "Mapped"},
        {"vmalloctotal", "VmallocTotal"},
        {"vmallocused", "VmallocUsed"},
        {"vmallocchunk", "VmallocChunk"},
    };
    struct str info = read_file("/proc/meminfo", arena);
    json_key(w, STR("Memory"));
    json_open_object(w);
    uint64_t total = memory_bytes(info, "MemTotal"), free_bytes = memory_bytes(info, "MemFree");
    uint64_t reclaimable = memory_bytes(info, "SReclaimable");
    uint64_t cached = memory_bytes(info, "Cached") + reclaimable;
    uint64_t used = total - free_bytes - memory_bytes(info, "Buffers") - cached;
    agent_key_u64(w, "total", total);
    agent_key_u64(w, "available", memory_bytes(info, "MemAvailable"));
    agent_key_u64(w, "used", used);
    key_f64(w, "usedPercent", total > 0 ? (double)used / (double)total * 100 : 0);
    agent_key_u64(w, "free", free_bytes);
    for (size_t i = 0; i < COUNT_OF(rest); i++) {
        uint64_t value = rest[i].name ? memory_bytes(info, rest[i].name) : 0;
        agent_key_u64(w, rest[i].key, strcmp(rest[i].key, "cached") == 0 ? cached : value);
    }
    agent_key_u64(w, "hugepagestotal", number(line_value(info, "HugePages_Total", ':')));
    agent_key_u64(w, "hugepagesfree", number(line_value(info, "HugePages_Free", ':')));
    agent_key_u64(w, "hugepagesize", memory_bytes(info, "Hugepagesize"));
    json_close_object(w);
}

/* ---- processors ---- */

static void write_processor(struct json_writer *w, struct str info, struct arena *arena) {
    struct str flags = line_value(info, "flags", ':');
    json_open_object(w);
    agent_key_u64(w, "cpu", number(line_value(info, "processor", ':')));
    agent_key_str(w, "vendorId", line_value(info, "vendor_id", ':'));
    agent_key_str(w, "family", line_value(info, "cpu family", ':'));
    agent_key_str(w, "model", line_value(info, "model", ':'));
    agent_key_u64(w, "stepping", number(line_value(info, "stepping", ':')));
    agent_key_str(w, "physicalId", line_value(info, "physical id", ':'));
    agent_key_str(w, "coreId", line_value(info, "core id", ':'));
    agent_key_u64(w, "cores", 1);
    agent_key_str(w, "modelName", line_value(info, "model name", ':'));
    key_f64(w, "mhz", strtod(str_terminated(arena, line_value(info, "cpu MHz", ':')), NULL));
    agent_key_u64(w, "cacheSize", number(line_value(info, "cache size", ':')));
    json_key(w, STR("flags"));
    json_open_array(w);
    while (flags.len > 0)
        json_str(w, str_cut(&flags, ' '));
    json_close_array(w);
    agent_key_str(w, "microcode", line_value(info, "microcode", ':'));
    json_close_object(w);
}

static void write_processors(struct json_writer *w, struct arena *arena) {
    struct str rest = read_file("/proc/cpuinfo", arena);
    json_key(w, STR("CPU"));
    json_open_array(w);
    while (rest.len > 0) {
        ptrdiff_t end = str_find(rest, STR("\n\n"), 0);
        struct str one = str_sub(rest, 0, end < 0 ? rest.len : (size_t)end);
        if (line_value(one, "processor", ':').len > 0)
            write_processor(w, one, arena);
        rest = str_sub(rest, end < 0 ? rest.len : (size_t)end + 2, SIZE_MAX);
    }
    json_close_array(w);
}

/* ---- the system ---- */

static uint64_t count_processes(void) {
    DIR *d = opendir("/proc");
    uint64_t count = 0;
    for (struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;)
        count += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
    if (d != NULL)
        closedir(d);
    return count;
}

static struct str unquoted(struct str s) {
    return s.len >= 2 && s.data[0] == '"' ? str_sub(s, 1, s.len - 2) : s;
}

static void write_system(struct json_writer *w, struct arena *arena) {
    struct utsname name = {0};
    uname(&name);
    struct str release = read_file("/etc/os-release", arena);
    struct str platform = unquoted(line_value(release, "ID", '='));
    struct str family = unquoted(line_value(release, "ID_LIKE", '='));
    struct str version = str_trim(read_file("/etc/debian_version", arena));
    struct str boot = line_value(read_file("/proc/stat", arena), "btime", ' ');
    struct str machine = str_trim(read_file("/sys/class/dmi/id/product_uuid", arena));
    if (machine.len == 0)
        machine = str_trim(read_file("/proc/sys/kernel/random/boot_id", arena));
    json_key(w, STR("Host"));
    json_open_object(w);
    agent_key_str(w, "hostname", str_from(name.nodename));
    agent_key_u64(w, "uptime", number(read_file("/proc/uptime", arena)));
    agent_key_u64(w, "bootTime", number(boot));
    agent_key_u64(w, "procs", count_processes());
    agent_key_str(w, "os", STR("linux"));
    agent_key_str(w, "platform", platform);
    agent_key_str(w, "platformFamily", family.len > 0 ? family : platform);
    agent_key_str(w, "platformVersion",
                  version.len > 0 ? version : unquoted(line_value(release, "VERSION_ID", '=')));
    agent_key_str(w, "kernelVersion", str_from(name.release));
    agent_key_str(w, "kernelArch", str_from(name.machine));
    agent_key_str(w, "virtualizationSystem", STR(""));
    agent_key_str(w, "virtualizationRole", STR(""));
    agent_key_str(w, "hostid", str_lower(arena, machine));
    json_close_object(w);
}

/* ---- the disk ---- */

static const char *file_system(unsigned long type) {
    switch (type) {
    case 0xEF53:
        return "ext2/ext3";
    case 0x58465342:
        return "xfs";
    case 0x9123683E:
        return "btrfs";
    case 0x01021994:
        return "tmpfs";
    case 0x794C7630:
        return "overlayfs";
    case 0x2FC12FC1:
        return "zfs";
    case 0x6969:
        return "nfs";
    default:
        return "";
    }
}

/* False: could not be found out. */
static bool write_disk(struct json_writer *w) {
    struct statfs disk;
    json_key(w, STR("Disk"));
    if (statfs("/", &disk) != 0) {
        json_null(w);
        return false;
    }
    uint64_t size = (uint64_t)disk.f_bsize;
    uint64_t total = (uint64_t)disk.f_blocks * size, available = (uint64_t)disk.f_bavail * size;
    uint64_t used = ((uint64_t)disk.f_blocks - (uint64_t)disk.f_bfree) * size;
    uint64_t inodes = (uint64_t)disk.f_files, inodes_used = inodes - (uint64_t)disk.f_ffree;
    json_open_object(w);
    agent_key_str(w, "path", STR("/"));
    agent_key_str(w, "fstype", str_from(file_system((unsigned long)disk.f_type)));
    agent_key_u64(w, "total", total);
    agent_key_u64(w, "free", available);
    agent_key_u64(w, "used", used);
    key_f64(w, "usedPercent",
            used + available > 0 ? (double)used / (double)(used + available) * 100 : 0);
    agent_key_u64(w, "inodesTotal", inodes);
    agent_key_u64(w, "inodesUsed", inodes_used);
    agent_key_u64(w, "inodesFree", inodes - inodes_used);
    key_f64(w, "inodesUsedPercent", inodes > 0 ? (double)inodes_used / (double)inodes * 100 : 0);
    json_close_object(w);
    return true;
}

static void host_authorized(struct http_request *r) {
    if (!http_permit_operator(r, ACL_READ))
        return;
    struct json_writer *w = http_json_begin(r);
    json_open_object(w);
    write_memory(w, &r->arena);
    write_processors(w, &r->arena);
    write_system(w, &r->arena);
    int code = write_disk(w) ? 0 : errno;
    agent_key_u64(w, "CollectionTime", (uint64_t)time_now_wall());
    json_key(w, STR("Errors"));
    if (code == 0) {
        json_null(w);
    } else {
        json_open_array(w);
        json_str(w, str_from(strerror(code)));
        json_close_array(w);
    }
    json_close_object(w);
    http_answer_json_written(r, 200);
}

void agent_host(struct http_request *r) {
    http_authorize(r, host_authorized);
}

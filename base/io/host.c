#include "base/io/host.h"

#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/core/str.h"
#include "base/io/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

/* Lower-cases name in place and checks it (RFC 1123 subdomain). */
static int check_name(char *name, const char *what, struct err *e)
{
    bool edge = true; /* at the start of a label */

    for (char *c = name; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
        bool alnum = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9');
        if (!alnum && (edge || (*c != '-' && *c != '.')))
            return err_set(e, ERR_INVALID,
                           "%s \"%s\" cannot name a node (lower-case letters, digits, '-' and '.', "
                           "beginning with a letter or digit): use --node-name",
                           what, name);
        edge = *c == '.';
    }
    if (!name[0] || edge || name[strlen(name) - 1] == '-')
        return err_set(e, ERR_INVALID, "%s \"%s\" cannot name a node: use --node-name", what, name);
    return 0;
}

int host_name(char out[HOST_NAME_BYTES], struct err *e)
{
    char name[HOST_NAME_BYTES] = "";

    if (gethostname(name, sizeof name - 1))
        return err_sys(e, errno, "read the host name");
    if (check_name(name, "the host name", e))
        return (int)e->code;
    memcpy(out, name, sizeof name);
    return 0;
}

/* The node's id: 8 hex digits that outlive restarts. */
static int node_id(char out[9], const char *node_dir, struct err *e)
{
    auto_free char *path = mem_printf("%s/id", node_dir);
    auto_free char *line = NULL;
    auto_buf text = BUF(64);
    unsigned char bytes[4];

    if (file_read(path, 64, &text, e) == 0) {
        struct str id = str_trim(buf_str(&text));
        if (!str_unhex(bytes, sizeof bytes, id))
            return err_set(e, ERR_INVALID, "%s does not hold 8 hex digits: remove it for a new id",
                           path);
        str_hex(out, bytes, sizeof bytes);
        return 0;
    }
    if (e->code != ERR_NOT_FOUND)
        return (int)e->code;
    rand_hex(out, 4);
    line = mem_printf("%s\n", out);
    if (file_mkdirs(node_dir, 0755, e) || file_write_atomic(path, str_of(line), 0644, e))
        return (int)e->code;
    return 0;
}

int host_node_name(char out[HOST_NAME_BYTES], const char *wanted, bool with_id,
                   const char *node_dir, struct err *e)
{
    char name[HOST_NAME_BYTES] = "", id[9];

    if (wanted && *wanted) {
        if (strlen(wanted) >= sizeof name)
            return err_set(e, ERR_INVALID, "--node-name is longer than %zu bytes", sizeof name - 1);
        memcpy(name, wanted, strlen(wanted) + 1);
        if (check_name(name, "--node-name", e))
            return (int)e->code;
    } else if (host_name(name, e)) {
        return (int)e->code;
    }
    if (with_id) {
        size_t n = strlen(name);
        if (node_id(id, node_dir, e))
            return err_wrap(e, "node id");
        if (n + sizeof id + 1 > sizeof name)
            return err_set(e, ERR_INVALID, "the node name is too long for an id behind it");
        snprintf(name + n, sizeof name - n, "-%s", id);
    }
    memcpy(out, name, sizeof name);
    return 0;
}

/* The interface of the IPv4 default route with the lowest metric; "" without one
 * (proc(5) /proc/net/route: Iface Destination Gateway Flags RefCnt Use Metric Mask). */
static void default_interface(char out[IF_NAMESIZE])
{
    FILE *f = fopen("/proc/net/route", "re");
    unsigned long best = ~0UL;
    char line[256];

    out[0] = '\0';
    while (f && fgets(line, sizeof line, f)) {
        char name[IF_NAMESIZE];
        unsigned long dest, mask, metric;
        unsigned flags;
        if (sscanf(line, "%15s %lx %*x %x %*d %*d %lu %lx", name, &dest, &flags, &metric, &mask) ==
                5 &&
            dest == 0 && mask == 0 && (flags & 1) && metric < best) {
            best = metric;
            memcpy(out, name, sizeof name);
        }
    }
    if (f)
        fclose(f);
}

/* The same of the IPv6 default route (net/ipv6/route.c rt6_info_route: Destination Length Source
 * Length Gateway Metric RefCnt Use Flags Iface, numbers in hex). */
static void default_interface6(char out[IF_NAMESIZE])
{
    FILE *f = fopen("/proc/net/ipv6_route", "re");
    unsigned long best = ~0UL;
    char line[256];

    out[0] = '\0';
    while (f && fgets(line, sizeof line, f)) {
        char dest[33], name[IF_NAMESIZE];
        unsigned long metric;
        unsigned bits, flags;
        if (sscanf(line, "%32s %x %*s %*s %*s %lx %*x %*x %x %15s", dest, &bits, &metric, &flags,
                   name) == 5 &&
            bits == 0 && strspn(dest, "0") == 32 && (flags & RTF_UP) && !(flags & RTF_REJECT) &&
            metric < best) {
            best = metric;
            memcpy(out, name, sizeof name);
        }
    }
    if (f)
        fclose(f);
}

static bool is_global(const struct sockaddr *a, char text[HOST_IP_BYTES])
{
    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)a;
        uint32_t ip = ntohl(v4->sin_addr.s_addr);
        inet_ntop(AF_INET, &v4->sin_addr, text, HOST_IP_BYTES);
        return ip >> 24 != 127 && ip >> 16 != 0xa9fe;
    }
    if (a->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)a;
        inet_ntop(AF_INET6, &v6->sin6_addr, text, HOST_IP_BYTES);
        return !IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) && !IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr);
    }
    return false;
}

int host_default_ips(char out[HOST_IPS_MAX][HOST_IP_BYTES], size_t *n_out, struct err *e)
{
    static const int families[HOST_IPS_MAX] = { AF_INET, AF_INET6 };
    char name[IF_NAMESIZE];
    struct ifaddrs *all;
    size_t n = 0;

    default_interface(name);
    if (!name[0])
        default_interface6(name);
    if (getifaddrs(&all))
        return err_sys(e, errno, "list the host's addresses");
    for (size_t f = 0; f < HOST_IPS_MAX; f++)
        for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
            char text[HOST_IP_BYTES];
            if (!a->ifa_addr || a->ifa_addr->sa_family != families[f] || !(a->ifa_flags & IFF_UP) ||
                (name[0] && strcmp(a->ifa_name, name) != 0) || !is_global(a->ifa_addr, text))
                continue;
            memcpy(out[n++], text, sizeof text);
            break;
        }
    freeifaddrs(all);
    if (!n)
        return err_set(e, ERR_NOT_FOUND, "this machine has no address but loopback: use --node-ip");
    *n_out = n;
    return 0;
}

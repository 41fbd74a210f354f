/* Cells of Services, what stands behind them, and Ingresses. */
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "server/schema/table_cells.h"

#include <stdio.h>

enum { TEXT_MAX_BYTES = 16 * 1024, SHOWN_MAX = 3 };

static json_t *service_cluster_ip(const struct cell *c, const char *arg)
{
    const json_t *spec = json_object_get(c->obj, "spec");
    const char *first = json_string_value(json_array_get(json_object_get(spec, "clusterIPs"), 0));

    (void)arg;
    return cell_text(first ? first : cell_str(spec, "clusterIP"), "<none>");
}

static void balancer_addresses(struct buf *b, const json_t *obj)
{
    const json_t *ingress = cell_at(obj, ".status.loadBalancer.ingress");
    size_t n = json_array_size(ingress);
    auto_free const char **v = mem_calloc(n + 1, sizeof *v);

    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(ingress, i);
        v[i] = *cell_str(one, "ip") ? cell_str(one, "ip") : cell_str(one, "hostname");
    }
    cell_part_set(b, v, n);
}

static json_t *service_external_ip(const struct cell *c, const char *arg)
{
    const json_t *spec = json_object_get(c->obj, "spec");
    const char *type = cell_str(spec, "type");
    bool balancer = strcmp(type, "LoadBalancer") == 0;
    auto_buf b = BUF(TEXT_MAX_BYTES);
    json_t *v;
    size_t i;

    (void)arg;
    if (strcmp(type, "ExternalName") == 0)
        return json_string(cell_str(spec, "externalName"));
    if (!balancer && strcmp(type, "ClusterIP") != 0 && strcmp(type, "NodePort") != 0)
        return json_string("<unknown>");
    if (balancer)
        balancer_addresses(&b, c->obj);
    json_array_foreach(json_object_get(spec, "externalIPs"), i, v)
        cell_part(&b, ",", json_string_value(v) ? json_string_value(v) : "");
    return cell_text(buf_cstr(&b), balancer ? "<pending>" : "<none>");
}

static json_t *service_ports(const struct cell *c, const char *arg)
{
    auto_buf b = BUF(TEXT_MAX_BYTES);
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(cell_at(c->obj, ".spec.ports"), i, v)
    {
        json_int_t node_port = json_integer_value(json_object_get(v, "nodePort"));
        char text[96], node[32] = "";
        if (node_port > 0)
            snprintf(node, sizeof node, ":%" JSON_INTEGER_FORMAT, node_port);
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT "%s/%.8s",
                 json_integer_value(json_object_get(v, "port")), node, cell_str(v, "protocol"));
        cell_part(&b, ",", text);
    }
    return cell_text(buf_cstr(&b), "<none>");
}

static void show_address(struct cell_shown *s, const char *ip, const json_t *port)
{
    bool v6 = strchr(ip, ':');
    char text[96];

    if (!port) {
        cell_show(s, ip);
        return;
    }
    snprintf(text, sizeof text, "%s%.46s%s:%" JSON_INTEGER_FORMAT, v6 ? "[" : "", ip, v6 ? "]" : "",
             json_integer_value(json_object_get(port, "port")));
    cell_show(s, text);
}

/* All addresses of one port, then those of the next. */
static json_t *endpoints(const struct cell *c, const char *arg)
{
    auto_buf b = BUF(TEXT_MAX_BYTES);
    struct cell_shown s = { .b = &b, .sep = ",", .max = SHOWN_MAX };
    const json_t *subsets = json_object_get(c->obj, "subsets");
    json_t *subset, *address;
    size_t i, j;

    (void)arg;
    json_array_foreach(subsets, i, subset)
    {
        const json_t *ports = json_object_get(subset, "ports");
        size_t n_ports = json_array_size(ports);
        for (size_t k = 0; k < (n_ports ? n_ports : 1); k++)
            json_array_foreach(json_object_get(subset, "addresses"), j, address)
                show_address(&s, cell_str(address, "ip"), json_array_get(ports, k));
    }
    return cell_shown_end(&s, json_array_size(subsets) ? "" : "<none>");
}

static json_t *slice_ports(const struct cell *c, const char *arg)
{
    auto_buf b = BUF(TEXT_MAX_BYTES);
    struct cell_shown s = { .b = &b, .sep = ",", .max = SHOWN_MAX };
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(json_object_get(c->obj, "ports"), i, v)
    {
        const json_t *port = json_object_get(v, "port"), *name = json_object_get(v, "name");
        char text[32];
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(port));
        cell_show(&s, port ? text : name ? json_string_value(name) : "*");
    }
    return cell_shown_end(&s, "<unset>");
}

static json_t *slice_endpoints(const struct cell *c, const char *arg)
{
    auto_buf b = BUF(TEXT_MAX_BYTES);
    struct cell_shown s = { .b = &b, .sep = ",", .max = SHOWN_MAX };
    json_t *v, *address;
    size_t i, j;

    (void)arg;
    json_array_foreach(json_object_get(c->obj, "endpoints"), i, v)
    {
        json_array_foreach(json_object_get(v, "addresses"), j, address)
            cell_show(&s, json_string_value(address) ? json_string_value(address) : "");
    }
    return cell_shown_end(&s, "<unset>");
}

/* The hosts of the first three rules that have one; the rest are counted by rules. */
static json_t *ingress_hosts(const struct cell *c, const char *arg)
{
    const json_t *rules = cell_at(c->obj, ".spec.rules");
    auto_buf b = BUF(TEXT_MAX_BYTES);
    unsigned n = 0;
    bool more = false;
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(rules, i, v)
    {
        more |= n == SHOWN_MAX;
        if (!more && *cell_str(v, "host")) {
            cell_part(&b, ",", cell_str(v, "host"));
            n++;
        }
    }
    if (!n)
        return json_string("*");
    return more ? json_sprintf("%s + %zu more...", buf_cstr(&b), json_array_size(rules) - SHOWN_MAX)
                : json_string(buf_cstr(&b));
}

static json_t *ingress_address(const struct cell *c, const char *arg)
{
    auto_buf b = BUF(TEXT_MAX_BYTES);

    (void)arg;
    balancer_addresses(&b, c->obj);
    return json_string(buf_cstr(&b));
}

static json_t *ingress_ports(const struct cell *c, const char *arg)
{
    (void)arg;
    return json_string(json_array_size(cell_at(c->obj, ".spec.tls")) ? "80, 443" : "80");
}

static json_t *ingressclass_parameters(const struct cell *c, const char *arg)
{
    const json_t *p = cell_at(c->obj, ".spec.parameters");
    const char *group = cell_str(p, "apiGroup");

    (void)arg;
    if (!p)
        return json_string("<none>");
    return json_sprintf("%s%s%s/%s", cell_str(p, "kind"), *group ? "." : "", group,
                        cell_str(p, "name"));
}

const struct cell_entry cells_of_network[] = {
    { "service_cluster_ip", service_cluster_ip },
    { "service_external_ip", service_external_ip },
    { "service_ports", service_ports },
    { "endpoints", endpoints },
    { "slice_ports", slice_ports },
    { "slice_endpoints", slice_endpoints },
    { "ingress_hosts", ingress_hosts },
    { "ingress_address", ingress_address },
    { "ingress_ports", ingress_ports },
    { "ingressclass_parameters", ingressclass_parameters },
    { NULL, NULL },
};

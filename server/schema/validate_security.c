#include "server/schema/validate_security.h"

#include "server/schema/validate_check.h"

enum { PROFILE_MAX_BYTES = 4095, SYSCTL_MAX_BYTES = 253, ID_MAX = INT32_MAX };

void each_container(const json_t *spec, const struct field_path *p, container_fn visit, void *arg)
{
    static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };
    json_t *c;
    size_t i;

    for (size_t k = 0; k < ARRAY_LEN(lists); k++)
        json_array_foreach(part(spec, lists[k]), i, c)
        {
            const struct field_path *list = FIELD_AT(p, lists[k]);
            visit(arg, c, FIELD_INDEX(list, i));
        }
}

/* ---- what pods and containers have in common ---- */

static void check_id(struct field_errors *fe, const struct field_path *p, const json_t *sc,
                     const char *key)
{
    if (part(sc, key))
        (void)check_range(fe, FIELD_AT(p, key), part_int(sc, key), 0, ID_MAX);
}

static void check_seccomp(struct field_errors *fe, const struct field_path *p, const json_t *v)
{
    const json_t *profile = part(v, "localhostProfile");
    const struct field_path *at = FIELD_AT(p, "localhostProfile");

    if (!v)
        return;
    if (!part_str(v, "type")[0])
        field_required(fe, FIELD_AT(p, "type"), "type is required when seccompProfile is set");
    if (!part_is(v, "type", "Localhost")) {
        if (profile)
            field_invalid_json(fe, at, v, "can only be set when seccomp type is Localhost");
    } else if (!profile) {
        field_required(fe, at, "must be set when seccomp type is Localhost");
    } else {
        check_descending(fe, at, json_string_value(profile));
    }
}

static void check_apparmor(struct field_errors *fe, const struct field_path *p, const json_t *v)
{
    const struct field_path *at = FIELD_AT(p, "localhostProfile");
    const char *profile = part_str(v, "localhostProfile");
    struct str all = str_of(profile), trimmed = str_trim(all);

    if (!v)
        return;
    if (!part_str(v, "type")[0]) {
        field_required(fe, FIELD_AT(p, "type"), "type is required when appArmorProfile is set");
    } else if (!part_is(v, "type", "Localhost")) {
        if (part(v, "localhostProfile"))
            field_invalid(fe, at, profile, "can only be set when AppArmor type is Localhost");
    } else {
        if (trimmed.n != all.n)
            field_invalid(fe, at, profile, "must not be padded with whitespace");
        else if (!all.n)
            field_required(fe, at, "must be set when AppArmor type is Localhost");
        if (all.n > PROFILE_MAX_BYTES)
            field_too_long(fe, at, PROFILE_MAX_BYTES);
    }
}

static bool has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 127)
            return true;
    return false;
}

/* validateWindowsSecurityContextOptions, without the forms of domains and users that only a Windows
 * node can judge */
static void check_windows(struct field_errors *fe, const struct field_path *p, const json_t *v)
{
    const json_t *name = part(v, "gmsaCredentialSpecName"), *spec = part(v, "gmsaCredentialSpec");
    const json_t *user = part(v, "runAsUserName");
    const struct field_path *at = FIELD_AT(p, "runAsUserName");
    const char *text = part_str(v, "runAsUserName"), *slash = strchr(text, '\\');

    if (name)
        (void)check_subdomain(fe, FIELD_AT(p, "gmsaCredentialSpecName"), json_string_value(name));
    if (spec && !json_string_length(spec))
        field_invalid(fe, FIELD_AT(p, "gmsaCredentialSpec"), "",
                      "gmsaCredentialSpec cannot be an empty string");
    else if (spec && json_string_length(spec) > 64 * 1024)
        field_invalid(fe, FIELD_AT(p, "gmsaCredentialSpec"), json_string_value(spec),
                      "gmsaCredentialSpec size must be under 64 KiB");
    if (!user)
        return;
    if (!*text)
        field_invalid(fe, at, text, "runAsUserName cannot be an empty string");
    else if (has_control(text))
        field_invalid(fe, at, text, "runAsUserName cannot contain control characters");
    else if (slash && strchr(slash + 1, '\\'))
        field_invalid(fe, at, text, "runAsUserName cannot contain more than one backslash");
    else if (slash && !slash[1])
        field_invalid(fe, at, text, "runAsUserName's User cannot be empty");
}

/* ---- containers ---- */

void check_security_context(struct field_errors *fe, const struct field_path *p, const json_t *sc,
                            bool host_users)
{
    json_t *cap;
    size_t i;

    check_id(fe, p, sc, "runAsUser");
    check_id(fe, p, sc, "runAsGroup");
    if (host_users && part_is(sc, "procMount", "Unmasked"))
        field_invalid(fe, FIELD_AT(p, "procMount"), "Unmasked",
                      "`hostUsers` must be false to use `Unmasked`");
    check_seccomp(fe, FIELD_AT(p, "seccompProfile"), part(sc, "seccompProfile"));
    if (part_false(sc, "allowPrivilegeEscalation")) {
        if (part_true(sc, "privileged"))
            field_invalid_json(
                fe, p, sc,
                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        json_array_foreach(part(part(sc, "capabilities"), "add"), i, cap)
        {
            if (json_string_value(cap) && strcmp(json_string_value(cap), "CAP_SYS_ADMIN") == 0)
                field_invalid_json(fe, p, sc,
                                   "cannot set `allowPrivilegeEscalation` to false and "
                                   "`capabilities.Add` CAP_SYS_ADMIN");
        }
    }
    check_windows(fe, FIELD_AT(p, "windowsOptions"), part(sc, "windowsOptions"));
    check_apparmor(fe, FIELD_AT(p, "appArmorProfile"), part(sc, "appArmorProfile"));
}

/* ---- pods: sysctls ---- */

#define SYSCTL_RE "([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"

static bool is_sysctl_name(const char *s)
{
    size_t n = strlen(s);
    bool edge = true; /* a segment begins: a letter or digit must come */

    if (n > SYSCTL_MAX_BYTES)
        return false;
    for (size_t i = 0; i < n; i++) {
        bool alnum = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9');
        bool dot = s[i] == '.' || s[i] == '/', inner = s[i] == '-' || s[i] == '_';
        if (edge ? !alnum : !alnum && !dot && !inner)
            return false;
        if (dot && (s[i - 1] == '-' || s[i - 1] == '_'))
            return false;
        edge = dot;
    }
    return !edge && s[n - 1] != '-' && s[n - 1] != '_';
}

/* component-helpers/node/util/sysctl: the kernel's namespaces that sysctls live in */
static bool in_network_namespace(const char *name)
{
    return text_starts(name, "net.") || text_starts(name, "net/");
}

static bool in_ipc_namespace(const char *name)
{
    return text_starts(name, "kernel.shm") || text_starts(name, "kernel.msg") ||
           text_starts(name, "fs.mqueue.") || strcmp(name, "kernel.sem") == 0;
}

static void check_sysctls(struct field_errors *fe, const struct field_path *p, const json_t *spec,
                          const json_t *sysctls)
{
    AUTO(map) struct map *names = map_new();
    json_t *v;
    size_t i;

    json_array_foreach(sysctls, i, v)
    {
        const struct field_path *one = FIELD_INDEX(p, i);
        const struct field_path *at = FIELD_AT(one, "name");
        const char *name = part_str(v, "name");
        if (!*name)
            field_required(fe, at, "");
        else if (!is_sysctl_name(name))
            field_invalid(fe, at, name,
                          "must have at most 253 characters and match regex ^" SYSCTL_RE "$");
        else if (!name_set_add(names, name))
            field_duplicate(fe, at, name);
        if (part_true(spec, "hostNetwork") && in_network_namespace(name))
            field_invalid(fe, at, name, "may not be specified when 'hostNetwork' is true");
        else if (part_true(spec, "hostIPC") && in_ipc_namespace(name))
            field_invalid(fe, at, name, "may not be specified when 'hostIPC' is true");
    }
}

/* ---- pods: Windows' containers in the host's namespaces ---- */

struct host_process {
    struct field_errors *fe;
    const json_t *of_pod; /* securityContext.windowsOptions.hostProcess */
    size_t n, n_host;
};

static void visit_host_process(void *arg, const json_t *c, const struct field_path *p)
{
    struct host_process *h = arg;
    const struct field_path *sc = FIELD_AT(p, "securityContext");
    const struct field_path *options = FIELD_AT(sc, "windowsOptions");
    const json_t *own = part(part(part(c, "securityContext"), "windowsOptions"), "hostProcess");

    h->n++;
    h->n_host += json_is_true(own ? own : h->of_pod);
    if (own && h->of_pod && !json_equal(own, h->of_pod))
        field_invalid_json(h->fe, FIELD_AT(options, "hostProcess"), own,
                           json_is_true(h->of_pod)
                               ? "pod hostProcess value must be identical if both are specified, "
                                 "was true"
                               : "pod hostProcess value must be identical if both are specified, "
                                 "was false");
}

static void check_host_process(struct field_errors *fe, const struct field_path *p,
                               const json_t *spec)
{
    struct host_process h = {
        .fe = fe,
        .of_pod = part(part(part(spec, "securityContext"), "windowsOptions"), "hostProcess"),
    };

    each_container(spec, p, visit_host_process, &h);
    if (!h.n_host)
        return;
    if (h.n_host != h.n)
        field_invalid(fe, p, "",
                      "If pod contains any hostProcess containers then all containers must be "
                      "HostProcess containers");
    if (!part_true(spec, "hostNetwork"))
        field_invalid_json(fe, FIELD_AT(p, "hostNetwork"), json_false(),
                           "hostNetwork must be true if pod contains any hostProcess containers");
}

/* ---- pods ---- */

/* validateHostUsers; upstream's paths */
static void check_host_users(struct field_errors *fe, const struct field_path *p,
                             const json_t *spec)
{
    static const char *const keys[][2] = { { "hostNetwork", "hostNetwork" },
                                           { "hostPID", "HostPID" },
                                           { "hostIPC", "HostIPC" } };

    if (!part_false(spec, "hostUsers"))
        return;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (part_true(spec, keys[i][0]))
            field_forbidden(fe, FIELD_AT(p, keys[i][1]), "when `pod.Spec.HostUsers` is false");
}

void check_pod_security(struct field_errors *fe, const struct field_path *p, const json_t *spec)
{
    static const char *const policies[] = { "MountOption", "Recursive", NULL };
    const struct field_path *at = FIELD_AT(p, "securityContext");
    const struct field_path *groups = FIELD_AT(at, "supplementalGroups");
    const json_t *sc = part(spec, "securityContext");
    json_t *gid;
    size_t i;

    check_id(fe, at, sc, "fsGroup");
    check_id(fe, at, sc, "runAsUser");
    check_id(fe, at, sc, "runAsGroup");
    json_array_foreach(part(sc, "supplementalGroups"), i, gid)(void)
        check_range(fe, FIELD_INDEX(groups, i), json_integer_value(gid), 0, ID_MAX);
    if (part_true(spec, "shareProcessNamespace") && part_true(spec, "hostPID"))
        field_invalid_json(fe, FIELD_AT(at, "shareProcessNamespace"), json_true(),
                           "ShareProcessNamespace and HostPID cannot both be enabled");
    check_sysctls(fe, FIELD_AT(at, "sysctls"), spec, part(sc, "sysctls"));
    check_seccomp(fe, FIELD_AT(at, "seccompProfile"), part(sc, "seccompProfile"));
    check_windows(fe, FIELD_AT(at, "windowsOptions"), part(sc, "windowsOptions"));
    check_apparmor(fe, FIELD_AT(at, "appArmorProfile"), part(sc, "appArmorProfile"));
    if (part(sc, "seLinuxChangePolicy"))
        (void)check_listed(fe, FIELD_AT(at, "seLinuxChangePolicy"),
                           part_str(sc, "seLinuxChangePolicy"), policies);
    check_host_process(fe, p, spec);
    check_host_users(fe, p, spec);
}

/* ---- spec.os ---- */

static void visit_linux(void *arg, const json_t *c, const struct field_path *p)
{
    const struct field_path *sc = FIELD_AT(p, "securityContext");

    if (part(part(c, "securityContext"), "windowsOptions"))
        field_forbidden(arg, FIELD_AT(sc, "windowsOptions"),
                        "windows options cannot be set for a linux pod");
}

static void forbid(struct field_errors *fe, const struct field_path *p, const json_t *v,
                   const char *const *keys)
{
    for (; *keys; keys++)
        if (part(v, *keys))
            field_forbidden(fe, FIELD_AT(p, *keys), "cannot be set for a windows pod");
}

static void visit_windows(void *arg, const json_t *c, const struct field_path *p)
{
    static const char *const keys[] = { "appArmorProfile",
                                        "seLinuxOptions",
                                        "seccompProfile",
                                        "capabilities",
                                        "privileged",
                                        "readOnlyRootFilesystem",
                                        "procMount",
                                        "allowPrivilegeEscalation",
                                        "runAsUser",
                                        "runAsGroup",
                                        NULL };

    forbid(arg, FIELD_AT(p, "securityContext"), part(c, "securityContext"), keys);
}

void check_pod_os(struct field_errors *fe, const struct field_path *p, const json_t *spec)
{
    static const char *const names[] = { "linux", "windows", NULL };
    static const char *const of_spec[] = { "hostUsers", "hostPID", "hostIPC",
                                           "shareProcessNamespace", NULL };
    static const char *const of_context[] = { "appArmorProfile",     "seLinuxOptions",
                                              "seccompProfile",      "fsGroup",
                                              "fsGroupChangePolicy", "sysctls",
                                              "runAsUser",           "runAsGroup",
                                              "supplementalGroups",  "supplementalGroupsPolicy",
                                              "seLinuxChangePolicy", NULL };
    const struct field_path *at = FIELD_AT(p, "os"), *sc_at = FIELD_AT(p, "securityContext");
    const json_t *os = part(spec, "os"), *sc = part(spec, "securityContext");

    if (!os)
        return;
    if (!part_str(os, "name")[0]) {
        field_required(fe, FIELD_AT(at, "name"), "cannot be empty");
    } else if (!check_listed(fe, at, part_str(os, "name"), names)) {
        return;
    } else if (part_is(os, "name", "linux")) {
        if (part(sc, "windowsOptions"))
            field_forbidden(fe, FIELD_AT(sc_at, "windowsOptions"),
                            "windows options cannot be set for a linux pod");
        each_container(spec, p, visit_linux, fe);
    } else {
        forbid(fe, sc_at, sc, of_context);
        forbid(fe, p, spec, of_spec);
        each_container(spec, p, visit_windows, fe);
    }
}

/* Upstream plugin/pkg/admission/certificates/subjectrestriction: nobody becomes a system:masters by
 * a certificate of the API server's client signer. */
#include "base/data/base64.h"
#include "base/data/json.h"
#include "base/pki/bundle.h"
#include "base/pki/csr.h"
#include "server/admission/admission.h"

#include <string.h>

#define SIGNER "kubernetes.io/kube-apiserver-client"

int certificate_subject_validate(const struct admission *a, struct err *e)
{
    auto_buf pem = BUF(BUNDLE_MAX_BYTES), der = BUF(BUNDLE_MAX_BYTES);
    struct bundle_block block;
    struct str rest;

    if (!admission_is(a, "certificates.k8s.io", "certificatesigningrequests") ||
        !admission_creates(a) || strcmp(json_str_at(a->obj, "spec.signerName", ""), SIGNER) != 0)
        return 0;
    if (base64_decode(&pem, str_of(json_str_at(a->obj, "spec.request", "")), false))
        return 0; /* validation has refused it */
    rest = buf_str(&pem);
    if (!bundle_next(&rest, &block) || bundle_decode(&block, &der, e) ||
        !csr_asks_for_organization(buf_str(&der), "system:masters"))
        return 0;
    return err_set(e, ERR_DENIED, "use of %s signer with system:masters group is not allowed",
                   SIGNER);
}

# The folders and their arrows: uses_X lists every folder that X may include from and link.
# test/layers.sh reads this file, so the picture in docs/architecture.md is checked.

base    := base/kube base/pki base/http base/io base/data base/core

uses_base/core :=
uses_base/data := base/core
uses_base/io   := base/data base/core
uses_base/http := base/io base/data base/core
uses_base/pki  := base/http base/io base/data base/core
uses_base/kube := base/http base/io base/data base/core

uses_tunnel    := $(base)
uses_lb        := $(base)

uses_server/store      := $(base)
uses_server/cel        := $(base)
uses_server/schema     := server/cel $(base)
uses_server/ca         := $(base)
uses_server/auth       := server/ca $(base)
uses_server/resource   := server/schema server/cel server/store $(base)
uses_server/admission  := server/resource server/schema server/cel server/store $(base)
uses_server/api        := server/admission server/resource server/auth server/ca server/schema server/cel server/store \
                          tunnel $(base)
uses_server/controller := server/api $(uses_server/api)
uses_server/scheduler  := server/api $(uses_server/api)
uses_server/boot       := server/controller server/scheduler $(uses_server/controller) lb

uses_agent/cri    := $(base)
uses_agent/node   := $(base)
uses_agent/stream := agent/pod agent/cri agent/node $(base)
uses_agent/pod    := agent/cri agent/node $(base)
uses_agent/boot   := agent/pod agent/stream agent/node agent/cri tunnel lb $(base)

# Of the tests; nothing above uses them.
uses_test/fault := base/io base/data base/core
uses_test/lib   := $(base)

folders := agent/boot agent/pod agent/stream agent/node agent/cri \
           server/boot server/controller server/scheduler server/api server/admission server/resource \
           server/auth server/ca server/schema server/cel server/store tunnel lb $(base)

# What has to be installed, on Debian 12, for which purpose. `make deps` takes just what building
# and running need; tests, lint and benchmarks have lists of their own. Only what is missing is
# installed, and no package may start a service on the user's machine (tools/deps.sh).

DEPS_BUILD := gcc make git pkg-config libc6-dev libuv1-dev libssl-dev libnghttp2-dev node-llhttp \
              libjansson-dev libyaml-dev libsqlite3-dev zlib1g-dev \
              libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
DEPS_RUN   := procps containerd runc containernetworking-plugins iptables iproute2 busybox-static ca-certificates
DEPS_TEST  := socat libcmocka-dev bats jq curl openssl dnsmasq-base nftables netcat-openbsd sqlite3 e2fsprogs etcd-server
DEPS_CLIENTS := nodejs npm
DEPS_LINT  := clang clang-tidy cppcheck libclang-rt-14-dev
DEPS_BENCH := haproxy nginx-light etcd-server
DEPS_VALGRIND := valgrind

deps:
	$(Q)sh tools/deps.sh $(DEPS_BUILD) $(DEPS_RUN) kubectl
deps-test: deps
	$(Q)sh tools/deps.sh $(DEPS_TEST)
	$(Q)sh test/old_kubectl.sh build/kubectl-1.20
deps-clients: deps-test
	$(Q)sh tools/deps.sh $(DEPS_CLIENTS)
deps-lint: deps
	$(Q)sh tools/deps.sh $(DEPS_LINT)
deps-bench: deps
	$(Q)sh tools/deps.sh $(DEPS_BENCH)
deps-valgrind: deps
	$(Q)sh tools/deps.sh $(DEPS_VALGRIND)
.PHONY: deps deps-test deps-clients deps-lint deps-bench deps-valgrind

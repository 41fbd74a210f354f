# Coracle: one make process, sources by wildcard, dependencies by the compiler.
#
#   make            build/coracle              make up        a one-node cluster on this machine
#   make test       deps, build, every test    make down      stops it, leaves nothing behind
#   make check      unit and golden tests      make check T=lb      only those of one folder
#   make fuzz       a smoke minute of fuzzing  make bench     figures against real peers
#   make lint       static analysis            make layers    include arrows
#   make chaos      cuts, crashes, a million streams: half an hour
#
# SAN=1 builds with AddressSanitizer and UBSan, SAN=thread with ThreadSanitizer (each in its own
# folder), V=1 shows the commands.

.DEFAULT_GOAL := all

include mk/deps.mk
include mk/layers.mk

CC       ?= gcc
prefix   ?= /usr/local
DIR      ?=
SAN      ?=
BUILD    ?= build$(if $(SAN),/san-$(SAN))$(if $(filter clang,$(CC)),/clang)
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# For /version: kubectl's conformance test wants digits there.
COMMIT   := $(shell git rev-parse HEAD 2>/dev/null)
# No clock is believed that is earlier: the day of the commit, so that a build can be repeated.
BUILT_S  := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || date +%s))

Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)	$(2)";)

LLHTTP_INC := /usr/share/include/llhttp
CPPFLAGS += -D_GNU_SOURCE -I. -isystem $(LLHTTP_INC) -I$(BUILD)/gen -MMD -MP
CFLAGS   += -std=gnu17 -fno-common -fstack-protector-strong -O2 -g -ffunction-sections -fdata-sections
CFLAGS   += -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 \
            -Wwrite-strings -Wpointer-arith -Wcast-align -Wundef -Wvla -Wconversion -Wno-sign-conversion
LDFLAGS  += -Wl,--gc-sections -Wl,--as-needed -Wl,-z,relro,-z,now
LDLIBS   += -luv -lssl -lcrypto -lnghttp2 -ljansson -lyaml -lsqlite3 -lz -lprotobuf-c -lpthread -lm

ifeq ($(SAN),1)
CFLAGS  += -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all
LDFLAGS += -fsanitize=address,undefined
else ifeq ($(SAN),thread)
CFLAGS  += -fsanitize=thread -fno-omit-frame-pointer
LDFLAGS += -fsanitize=thread
else ifeq ($(SAN),fuzz)
CC      := clang
CFLAGS  += -fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all
LDFLAGS += -fsanitize=fuzzer,address,undefined
else
CFLAGS  += -D_FORTIFY_SOURCE=2 -fPIE
LDFLAGS += -pie
endif

all: $(BUILD)/coracle

# ---- objects and one archive per folder ---------------------------------------------------------

objs_of = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)/*.c)) $(gen_objs_$(1))
lib_of  = $(BUILD)/lib/$(subst /,_,$(1)).a
# The folder itself, then everything it may use, in link order.
libs_of = $(foreach d,$(1) $(uses_$(1)),$(call lib_of,$(d))) $(BUILD)/lib/llhttp.a

$(BUILD)/%.o: %.c
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) $(GEN_CFLAGS) -c -o $@ $<

# llhttp: Debian ships its C sources in node-llhttp; they are compiled, not copied into the tree.
$(BUILD)/llhttp/%.o: /usr/share/llhttp/%.c
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) -O2 -g -fPIE -I$(LLHTTP_INC) $(filter -fsanitize%,$(CFLAGS)) -c -o $@ $<
$(BUILD)/lib/llhttp.a: $(patsubst %,$(BUILD)/llhttp/%.o,api http llhttp)
	$(call say,AR,$@)mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^

define folder_rules
$(call lib_of,$(1)): $(call objs_of,$(1))
	$$(call say,AR,$$@)mkdir -p $$(@D) && rm -f $$@ && ar rcs $$@ $$^
endef

# ---- generated code -------------------------------------------------------------------------------
# mk/gen.mk names what is generated from what (the API schema, the CRI messages).
-include mk/gen.mk
include mk/image.mk

$(foreach d,$(folders),$(eval $(call folder_rules,$(d))))

# ---- programs -------------------------------------------------------------------------------------

all_libs := $(foreach d,$(folders),$(call lib_of,$(d))) $(BUILD)/lib/llhttp.a

$(BUILD)/coracle: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tools/coracle*.c)) $(all_libs)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)

$(BUILD)/tools/%.o: CPPFLAGS += -DCORACLE_VERSION='"$(VERSION)"' -DCORACLE_COMMIT='"$(COMMIT)"' \
                                -DCORACLE_BUILT_UNIX_S=$(BUILT_S)

# Many agents without containers in one process, for tests and benchmarks of a server.
$(BUILD)/hollow: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tools/hollow*.c)) $(all_libs)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)

# ---- tests ----------------------------------------------------------------------------------------
# test/unit/<folder>/x_test.c links <folder> and what that folder may use, so the linker checks the
# arrows. test/golden/<folder>/ the same. T= picks one folder.

T ?=
unit_src   := $(shell find test/unit test/golden -name '*_test.c' 2>/dev/null | sort)
unit_src   := $(if $(T),$(filter test/unit/$(T)/% test/golden/$(T)/%,$(unit_src)),$(unit_src))
unit_bins  := $(patsubst %.c,$(BUILD)/%,$(unit_src))

# What tests of many folders share: test/fault breaks connections, test/lib is the rest. Their own
# tests are in test/unit/test.
test_folders := test/fault test/lib
$(foreach d,$(test_folders),$(eval $(call folder_rules,$(d))))
test_libs := $(foreach d,$(test_folders),$(call lib_of,$(d)))

# What several tests of a folder share lies beside them, without _test in its name.
test_objs = $(BUILD)/$(1:.c=.o) $(patsubst %.c,$(BUILD)/%.o,$(filter-out %_test.c,$(wildcard $(dir $(1))*.c)))
define test_rule
$(BUILD)/$(1:.c=): $(call test_objs,$(1)) $(test_libs) $(call libs_of,$(patsubst test/golden/%/,%,$(patsubst test/unit/%/,%,$(dir $(1)))))
	$$(call say,LD,$$@)$$(CC) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(LDLIBS) -lcmocka
endef
$(foreach t,$(unit_src),$(eval $(call test_rule,$(t))))

# ThreadSanitizer has to see how libuv closes descriptors.
ifeq ($(SAN),thread)
$(unit_bins) $(BUILD)/coracle: $(BUILD)/test/tsan_close.o
endif

# Programs of the tests, one file each.
test_tools := $(patsubst %.c,$(BUILD)/%,$(wildcard test/tools/*.c))
$(test_tools): %: %.o $(test_libs) $(all_libs)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)

check: $(unit_bins)
	$(Q)sh test/run-unit.sh $(unit_bins)

# The tests that break something, as often as it takes to believe them, and a month of leases; CI
# does it a few times, and a day.
chaos_bins := $(addprefix $(BUILD)/test/unit/,tunnel/cuts_test tunnel/cycles_test \
              server/store/sqlite_crash_test server/store/etcd_crash_test \
              server/store/sqlite_month_test)
chaos: $(chaos_bins)
	$(Q)sh test/run-chaos.sh $(BUILD) $(chaos_bins)

fuzz_src  := $(wildcard test/fuzz/*_fuzz.c)
fuzz_bins := $(patsubst %.c,$(BUILD)/%,$(fuzz_src))
define fuzz_rule
$(BUILD)/$(1:.c=): $(BUILD)/$(1:.c=.o) $(all_libs)
	$$(call say,LD,$$@)$$(CC) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(LDLIBS)
endef
$(foreach t,$(fuzz_src),$(eval $(call fuzz_rule,$(t))))
fuzz-bins: $(fuzz_bins)
FUZZ_SECONDS ?= 60
fuzz: deps-lint
	$(Q)$(MAKE) --no-print-directory -j$(shell nproc) SAN=fuzz BUILD=build/san-fuzz fuzz-bins
	$(Q)sh test/run-fuzz.sh build/san-fuzz $(FUZZ_SECONDS)

system: $(BUILD)/coracle $(BUILD)/hollow $(test_tools)
	$(Q)CORACLE=$(abspath $(BUILD)/coracle) BUILD=$(abspath $(BUILD)) sh test/run-system.sh $(S)

test: deps-test
	$(Q)$(MAKE) --no-print-directory -j$(shell nproc) all
	$(Q)sh test/run-all.sh

layers:
	$(Q)sh test/layers.sh

lint: deps-lint
	$(Q)BUILD=$(BUILD) sh test/lint.sh
lint-flags:
	@echo $(filter-out -MMD -MP,$(CPPFLAGS)) $(filter -std=%,$(CFLAGS))

# One join and a stop under memcheck; slow.
valgrind: deps-valgrind $(BUILD)/coracle $(BUILD)/hollow
	$(Q)bash test/valgrind.sh $(BUILD)

# BENCH_SECONDS= for each step, BENCH_DIR= on the disk that is meant.
bench_bins := $(patsubst %.c,$(BUILD)/%,$(wildcard test/bench/*.c))
$(bench_bins): %: %.o $(all_libs)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)
bench: $(bench_bins) $(BUILD)/coracle $(BUILD)/hollow images
	$(Q)BUILD=$(abspath $(BUILD)) sh test/bench/run.sh

# ---- running --------------------------------------------------------------------------------------

up: deps
	$(Q)$(MAKE) --no-print-directory -j$(shell nproc) all
	$(Q)DIR="$(DIR)" sh tools/up.sh $(abspath $(BUILD))

down:
	$(Q)DIR="$(DIR)" sh tools/down.sh

install: $(BUILD)/coracle
	install -Dm755 $(BUILD)/coracle $(DESTDIR)$(prefix)/bin/coracle
	install -Dm644 tools/coracle.service $(DESTDIR)/etc/systemd/system/coracle.service
	install -Dm644 tools/coracle-agent.service $(DESTDIR)/etc/systemd/system/coracle-agent.service

clean:
	rm -rf build

.PHONY: all check fuzz fuzz-bins system test chaos layers lint lint-flags gen bench valgrind up down install clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

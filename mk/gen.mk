# Generated code: what is made from what. gen_objs_<folder> adds objects to that folder's archive.

HOSTCC ?= cc

# ---- the API schema: tables from server/schema/*.kube, descriptions from server/schema/text ------

schema_kube := $(sort $(wildcard server/schema/*.kube)) $(sort $(wildcard server/schema/text/*.txt))

$(BUILD)/host/schemac: $(wildcard tools/schemac*.c) tools/schemac.h
	$(call say,HOSTCC,$@)mkdir -p $(@D) && $(HOSTCC) -std=gnu17 -D_GNU_SOURCE -I. -O1 -Wall -Wextra -o $@ $(filter %.c,$^) -lz

$(BUILD)/gen/schema_tables.c: $(BUILD)/host/schemac $(schema_kube)
	$(call say,SCHEMA,$@)mkdir -p $(@D) && $(BUILD)/host/schemac $@ $(schema_kube)

gen_objs_server/schema := $(BUILD)/gen/schema_tables.o

# ---- the CRI messages: what agent/cri/cri.proto says ------------------------------------------------

cri_pb := $(BUILD)/gen/agent/cri/cri.pb-c

$(cri_pb).c $(cri_pb).h &: agent/cri/cri.proto
	$(call say,PROTO,$<)mkdir -p $(@D) && protoc-c -Iagent/cri --c_out=$(BUILD)/gen/agent/cri $<

$(cri_pb).o: GEN_CFLAGS += -Wno-conversion -Wno-strict-prototypes -Wno-missing-prototypes
# The first build; later ones know from the compiler who includes the header.
$(patsubst %.c,$(BUILD)/%.o,$(wildcard agent/cri/*.c)): | $(cri_pb).h

# ---- the etcd messages: what server/store/etcd.proto says --------------------------------------------

etcd_pb := $(BUILD)/gen/server/store/etcd.pb-c

$(etcd_pb).c $(etcd_pb).h &: server/store/etcd.proto
	$(call say,PROTO,$<)mkdir -p $(@D) && protoc-c -Iserver/store --c_out=$(BUILD)/gen/server/store $<

$(etcd_pb).o: GEN_CFLAGS += -Wno-conversion -Wno-strict-prototypes -Wno-missing-prototypes
$(patsubst %.c,$(BUILD)/%.o,$(wildcard server/store/*.c)): | $(etcd_pb).h

gen_objs_server/store := $(etcd_pb).o

# ---- the pause image, part of the program -----------------------------------------------------------

pause_c := $(BUILD)/gen/agent/cri/pause_image.c

$(pause_c): mk/gen.mk
	$(call say,GEN,$@)mkdir -p $(@D) && printf '%s\n' \
	    '__asm__(".section .rodata\n.balign 16\n"' \
	    '        ".global pause_image_tar\npause_image_tar:\n.incbin \"$(abspath $(BUILD))/images/pause.tar\"\n"' \
	    '        ".global pause_image_tar_end\npause_image_tar_end:\n.byte 0\n.previous\n");' >$@
$(pause_c:.c=.o): $(BUILD)/images/pause.tar

gen_objs_agent/cri := $(cri_pb).o $(pause_c:.c=.o)

# What has to be there before any source can be read, by a compiler or an analyser.
gen: $(cri_pb).h $(etcd_pb).h
.PHONY: gen

# What the tests of pods run (skipped where /bin/busybox is not installed).
$(BUILD)/test/unit/agent/pod/pods_test: $(if $(wildcard /bin/busybox),| $(BUILD)/images/busybox.tar)

# Generated code: what is made from what. gen_objs_<folder> adds objects to that folder's archive.

HOSTCC ?= cc

# ---- the API schema: tables from server/schema/*.kube --------------------------------------------

schema_kube := $(sort $(wildcard server/schema/*.kube))

$(BUILD)/host/schemac: tools/schemac.c
	$(call say,HOSTCC,$<)mkdir -p $(@D) && $(HOSTCC) -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -o $@ $<

$(BUILD)/gen/schema_tables.c: $(BUILD)/host/schemac $(schema_kube)
	$(call say,SCHEMA,$@)mkdir -p $(@D) && $(BUILD)/host/schemac $@ $(schema_kube)

gen_objs_server/schema := $(BUILD)/gen/schema_tables.o

# Images that we build ourselves: the pause image, which is part of the binary, and the busybox image
# of the example and the tests (Debian's busybox-static).

$(BUILD)/images/pause: tools/pause.c
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) -std=gnu17 -Os -Wall -Wextra -ffreestanding -fno-stack-protector \
	    -fno-pie -static -nostdlib -s -Wl,--build-id=none -o $@ $<

$(BUILD)/images/pause.tar: $(BUILD)/images/pause tools/image.sh
	$(call say,IMAGE,$@)rm -rf $(BUILD)/images/pause.root && mkdir -p $(BUILD)/images/pause.root && cp $< $(BUILD)/images/pause.root/ && \
	    sh tools/image.sh docker.io/coracle/pause:1 $@ $(BUILD)/images/pause.root '{"Entrypoint":["/pause"],"User":"65535:65535"}'

$(BUILD)/images/busybox.tar: /bin/busybox tools/image.sh
	$(call say,IMAGE,$@)rm -rf $(BUILD)/images/busybox.root && mkdir -p $(BUILD)/images/busybox.root/bin $(BUILD)/images/busybox.root/tmp \
	    $(BUILD)/images/busybox.root/etc && cp $< $(BUILD)/images/busybox.root/bin/busybox && \
	    for a in $$(/bin/busybox --list); do [ "$$a" = busybox ] || ln -sf busybox $(BUILD)/images/busybox.root/bin/$$a; done && \
	    sh tools/image.sh docker.io/library/busybox:1 $@ $(BUILD)/images/busybox.root '{"Cmd":["sh"],"Env":["PATH=/bin"]}'

images: $(BUILD)/images/pause.tar $(BUILD)/images/busybox.tar
.PHONY: images

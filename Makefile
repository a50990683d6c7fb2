# azm-sandbox: build, test, install. `make help` lists the targets.
#
# Each folder has a module.mk that names its sources and programs; this file holds what they share.
# SAN=1 builds everything with AddressSanitizer and UBSan into build-san/ instead of build/.

PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
O       := $(if $(SAN),build-san,build)

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla -Werror
HARDEN   := $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fstack-clash-protection -fcf-protection
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
comma    := ,
CFLAGS   ?= -O2 -g
# What every object of ours is compiled with; add to CFLAGS on the command line, not to this.
AZM_CFLAGS  := -std=gnu17 -D_GNU_SOURCE -I. -Iruntime -I$(O)/gen $(WARNINGS) $(HARDEN) $(SANFLAGS) -fno-common
AZM_LDFLAGS := -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed -Wl,--gc-sections $(SANFLAGS)

PROGRAMS :=
TESTS    :=
all: programs

include runtime/base/module.mk mount/module.mk seccomp/module.mk netns/module.mk
include runtime/init/module.mk runtime/server/module.mk runtime/module.mk rootfs-tools/module.mk tests/module.mk

programs: $(PROGRAMS)

# Three flavours of an object: for a dynamic PIE, for a static program, for fuzzing (see tests/module.mk).
$(O)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(AZM_CFLAGS) $(CFLAGS) -fPIE -ffunction-sections -fdata-sections -MMD -MP -c -o $@ $<

# Static programs go into any rootfs: no sanitizer runtime (ASan cannot be linked statically), no PIE relocations.
$(O)/static/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize% -fno-sanitize%,$(AZM_CFLAGS)) $(CFLAGS) -fno-pie -ffunction-sections -fdata-sections -MMD -MP -c -o $@ $<

STATIC_LDFLAGS := -static -no-pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections

-include $(shell find $(O) -name '*.d' 2>/dev/null)

clean:
	rm -rf build build-san

.PHONY: all programs clean
.DELETE_ON_ERROR:
.SECONDARY:

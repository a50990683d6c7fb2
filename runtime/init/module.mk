# azm-init: static, no libraries. Embedded into azm-sandbox (runtime/embed.c).
#
# Built with musl where its compiler wrapper is installed (make deps does): glibc's static start-up asks the processor for its caches, which costs more than all of
# azm-init's own start inside a virtual machine, and is ten times as large. Any C library works.
INIT_CC := $(if $(shell command -v musl-gcc),musl-gcc,$(CC))
# The kernel's headers come after the C library's own.
INIT_CFLAGS := $(if $(filter musl-gcc,$(INIT_CC)),-idirafter /usr/include/$(shell $(CC) -print-multiarch) -idirafter /usr/include)

INIT_SRC := $(wildcard runtime/init/*.c runtime/copy/*.c) $(MOUNT_SRC) $(SECCOMP_STATIC_SRC) runtime/base/err.c runtime/base/id_map.c runtime/base/io.c runtime/base/str.c
INIT_OBJ := $(INIT_SRC:%.c=$(O)/init/%.o)

$(O)/init/%.o: %.c
	@mkdir -p $(@D)
	$(INIT_CC) $(filter-out $(SANFLAGS),$(AZM_CFLAGS)) $(CFLAGS) $(INIT_CFLAGS) -Os -fno-pie -ffunction-sections -fdata-sections -MMD -MP -c -o $@ $<

$(O)/init/seccomp/builtin.o: $(SECCOMP_GEN)

$(O)/azm-init: $(INIT_OBJ)
	$(INIT_CC) $(STATIC_LDFLAGS) -o $@ $^
	strip $@
PROGRAMS += $(O)/azm-init

# The sandbox's file system. No library: it is part of azm-init; the host programs use the resolver, and overlays.
MOUNT_SRC         := $(filter-out mount/host_overlay.c,$(wildcard mount/*.c))
MOUNT_RESOLVE_SRC := mount/resolve.c mount/host_path.c mount/stack.c
MOUNT_HOST_SRC    := mount/host_overlay.c mount/overlay.c mount/handle.c mount/legacy.c

MOUNT_OBJ         := $(MOUNT_SRC:%.c=$(O)/obj/%.o) $(O)/obj/mount/host_overlay.o
MOUNT_STATIC      := $(MOUNT_SRC:%.c=$(O)/static/%.o)
MOUNT_RESOLVE_OBJ := $(MOUNT_RESOLVE_SRC:%.c=$(O)/obj/%.o)
# What azm-sandbox and azm-rootfs take.
MOUNT_HOST_OBJ    := $(MOUNT_RESOLVE_OBJ) $(MOUNT_HOST_SRC:%.c=$(O)/obj/%.o)

MOUNT_TESTS := $(patsubst tests/unit/%.c,$(O)/tests/%,$(wildcard tests/unit/test_mount_*.c))
TESTS += $(MOUNT_TESTS)

$(MOUNT_TESTS): $(O)/tests/%: $(O)/obj/tests/unit/%.o $(O)/obj/tests/unit/mount_fixture.o $(MOUNT_OBJ) $(BASE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(AZM_LDFLAGS) -pie -o $@ $^ -lcmocka -lpthread

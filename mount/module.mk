# The sandbox's file system. No library: it is part of azm-init; the resolver is used by the host programs too.
MOUNT_SRC         := $(wildcard mount/*.c)
MOUNT_RESOLVE_SRC := mount/resolve.c mount/host_path.c mount/stack.c

MOUNT_OBJ         := $(MOUNT_SRC:%.c=$(O)/obj/%.o)
MOUNT_STATIC      := $(MOUNT_SRC:%.c=$(O)/static/%.o)
MOUNT_RESOLVE_OBJ := $(MOUNT_RESOLVE_SRC:%.c=$(O)/obj/%.o)

MOUNT_TESTS := $(patsubst tests/unit/%.c,$(O)/tests/%,$(wildcard tests/unit/test_mount_*.c))
TESTS += $(MOUNT_TESTS)

$(MOUNT_TESTS): $(O)/tests/%: $(O)/obj/tests/unit/%.o $(O)/obj/tests/unit/mount_fixture.o $(MOUNT_OBJ) $(BASE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(AZM_LDFLAGS) -pie -o $@ $^ -lcmocka -lpthread

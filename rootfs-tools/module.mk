# azm-rootfs. Of seccomp only the built-in filters, of mount only the resolver: see README.md.
ROOTFS_SRC := $(wildcard rootfs-tools/*.c)
ROOTFS_OBJ := $(ROOTFS_SRC:%.c=$(O)/obj/%.o)
# ISA-L is loaded when it is there, see inflate.c.
ROOTFS_LIBS := -l:libjansson.a $(NO_XAR) -l:libarchive.a -l:libnettle.a -l:libcrypto.a -l:libzstd.a -l:liblzma.a -l:libbz2.a \
	-l:libz.a $(OLD_LIBC_LIBS)
ROOTFS_FILTER_OBJ := $(SECCOMP_STATIC_SRC:%.c=$(O)/obj/%.o)

$(O)/azm-rootfs: $(ROOTFS_OBJ) $(MOUNT_HOST_OBJ) $(ROOTFS_FILTER_OBJ) $(BASE_OBJ)
	$(CC) $(AZM_LDFLAGS) -pie -o $@ $^ $(ROOTFS_LIBS)
PROGRAMS += $(O)/azm-rootfs

ROOTFS_TESTS := $(patsubst tests/unit/%.c,$(O)/tests/%,$(wildcard tests/unit/test_rootfs_*.c))
TESTS += $(ROOTFS_TESTS)

$(ROOTFS_TESTS): $(O)/tests/%: $(O)/obj/tests/unit/%.o $(filter-out %/main.o,$(ROOTFS_OBJ)) $(MOUNT_HOST_OBJ) \
		$(ROOTFS_FILTER_OBJ) $(BASE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(AZM_LDFLAGS) -pie -o $@ $^ $(ROOTFS_LIBS) -lcmocka

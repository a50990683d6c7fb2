# azm-sandbox is a static program: starts faster than with ld.so, and a copy runs on any host of the same architecture.
# Position independent all the same, because it reads what strangers send. Sanitizers cannot be linked statically, and
# SHARED=1 is for who wants the system's libraries. The linker warns of getaddrinfo(): netns/resolver_helper.c lives with
# it. Nobody calls what of libnl uses NSS.
STATIC_PIE := -static-pie -Wl,--defsym=getprotobyname=0,--defsym=getprotobynumber=0 -L$(O)
# Debian has an archive of libmnl since release 13, and an older one is given that.
ifeq ($(SAN)$(SHARED)$(filter /%,$(shell $(CC) -print-file-name=libmnl.a)),)
$(O)/azm-sandbox: | $(O)/libmnl.a
endif
$(O)/libmnl.a:
	.ci/fetch-libmnl.sh $@

include runtime/doctor/module.mk

RUNTIME_SRC := $(wildcard runtime/*.c runtime/copy/*.c runtime/snapshots/*.c)
RUNTIME_OBJ := $(RUNTIME_SRC:%.c=$(O)/obj/%.o) $(O)/obj/runtime/init/plan.o
# Images of the store are read, never made.
RUNTIME_OBJ += $(patsubst %,$(O)/obj/rootfs-tools/%.o,store store_images store_gc reference digest)
RUNTIME_LIBS := -l:libseccomp.a -l:libjansson.a -l:libcap.a

$(O)/gen/embed_tags.h: $(O)/azm-init $(O)/azm-runtime-server
	@mkdir -p $(@D)
	@{ echo '#define AZM_EMBED_INIT "$(O)/azm-init"'; \
	   echo '#define AZM_EMBED_SERVER "$(O)/azm-runtime-server"'; \
	   echo "#define AZM_INIT_TAG 0x$$(sha256sum $(O)/azm-init | cut -c1-16)ull"; \
	   echo "#define AZM_SERVER_TAG 0x$$(sha256sum $(O)/azm-runtime-server | cut -c1-16)ull"; } > $@

$(O)/obj/runtime/embed.o: $(O)/gen/embed_tags.h

$(O)/azm-sandbox: $(RUNTIME_OBJ) $(DOCTOR_OBJ) $(MOUNT_HOST_OBJ) $(SECCOMP_OBJ) $(NETNS_OBJ) $(BASE_OBJ)
	$(CC) $(AZM_LDFLAGS) $(if $(SAN)$(SHARED),-pie,$(STATIC_PIE)) -o $@ $^ $(RUNTIME_LIBS) $(DOCTOR_LIBS) $(NETNS_LIBS)
PROGRAMS += $(O)/azm-sandbox

# Unit tests: all of it but the program and its commands.
RUNTIME_TESTS  := $(patsubst tests/unit/%.c,$(O)/tests/%,$(wildcard tests/unit/test_runtime_*.c))
RUNTIME_TESTED := $(filter-out $(O)/obj/runtime/main.o $(O)/obj/runtime/cmd_%.o,$(RUNTIME_OBJ)) $(DOCTOR_TEST_OBJ)
TESTS += $(RUNTIME_TESTS)

$(RUNTIME_TESTS): $(O)/tests/%: $(O)/obj/tests/unit/%.o $(O)/obj/tests/unit/runtime_fixture.o $(RUNTIME_TESTED) \
		$(MOUNT_HOST_OBJ) $(SECCOMP_OBJ) $(NETNS_OBJ) $(BASE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(AZM_LDFLAGS) -pie -o $@ $^ $(RUNTIME_LIBS) $(DOCTOR_LIBS) $(NETNS_LIBS) -lcmocka

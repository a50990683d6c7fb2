# Filters are compiled on the build machine, for every architecture; the compiler (not the makefile) picks one.
HOSTCC ?= cc
SECCOMP_TOOL := $(O)/gen/seccomp-compile
SECCOMP_GEN  := $(O)/gen/seccomp_filters.h $(O)/gen/seccomp_revision.h

SECCOMP_TOOL_SRC := seccomp/compile.c seccomp/rules.c seccomp/table.c
$(SECCOMP_TOOL): $(SECCOMP_TOOL_SRC) $(wildcard seccomp/*.h)
	@mkdir -p $(@D)
	$(HOSTCC) -std=gnu17 -D_GNU_SOURCE -I. -Iruntime $(WARNINGS) -O1 -o $@ $(SECCOMP_TOOL_SRC)

$(O)/gen/seccomp_filters.h: $(SECCOMP_TOOL)
	$< > $@

# A cached custom profile is valid only for the code that compiled it.
$(O)/gen/seccomp_revision.h: $(sort $(wildcard seccomp/profile*.[ch])) seccomp/table.h seccomp/rules.c seccomp/compile.c
	@mkdir -p $(@D)
	@cat $^ | cksum | sed 's/\([0-9]*\).*/#define SECCOMP_REVISION \1u/' > $@

$(O)/obj/seccomp/profile_cache.o: $(O)/gen/seccomp_revision.h
$(O)/obj/seccomp/builtin.o $(O)/static/seccomp/builtin.o: $(O)/gen/seccomp_filters.h

# For azm-init and other static programs: the built-in filters and their installation.
SECCOMP_STATIC_SRC := seccomp/builtin.c seccomp/install.c
SECCOMP_STATIC := $(SECCOMP_STATIC_SRC:%.c=$(O)/static/%.o)
# Everything; needs $(SECCOMP_LIBS).
SECCOMP_SRC := $(SECCOMP_STATIC_SRC) seccomp/table.c $(wildcard seccomp/profile*.c)
SECCOMP_OBJ := $(SECCOMP_SRC:%.c=$(O)/obj/%.o)
SECCOMP_LIBS := -l:libseccomp.a -l:libjansson.a -l:libcap.a

# Run a command under a built-in filter; static, so that it works in any root filesystem.
$(O)/tests/with-filter: $(O)/static/tests/security/with_filter.o $(SECCOMP_STATIC) $(BASE_STATIC)
	@mkdir -p $(@D)
	$(CC) $(STATIC_LDFLAGS) -o $@ $^

# Every system call made for real, compared with the table.
$(O)/tests/syscall-matrix: $(O)/static/tests/security/syscall_matrix.o $(O)/static/seccomp/table.o $(BASE_STATIC)
	@mkdir -p $(@D)
	$(CC) $(STATIC_LDFLAGS) -o $@ $^

TEST_PROGRAMS += $(O)/tests/with-filter $(O)/tests/syscall-matrix

SECCOMP_TESTS := $(patsubst tests/unit/%.c,$(O)/tests/%,$(wildcard tests/unit/test_seccomp_*.c))
$(SECCOMP_TESTS): $(O)/tests/%: $(O)/obj/tests/unit/%.o $(SECCOMP_OBJ) $(BASE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(AZM_LDFLAGS) -o $@ $^ $(SECCOMP_LIBS) -lcmocka $(OLD_LIBC_LIBS)

$(filter %/test_seccomp_profile %/test_seccomp_cache,$(SECCOMP_TESTS)): $(O)/obj/tests/unit/seccomp_fixture.o

$(O)/obj/tests/unit/test_seccomp_filter.o: $(O)/gen/seccomp_filters.h
TESTS += $(SECCOMP_TESTS)

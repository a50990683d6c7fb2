# Fuzzing: `make fuzz` builds every fuzz_NAME.c with clang's libFuzzer and sanitizers and runs it FUZZ_SECONDS. What was
# found interesting stays in build/fuzz/corpus and is used again; an input that did harm is kept in build/fuzz/findings
# and belongs into tests/fuzz/corpus/NAME once it is understood, which `make check` replays.
FUZZ_SECONDS ?= 60
FUZZ_CC      ?= clang
FUZZ_CFLAGS  := -std=gnu17 -fdouble-square-bracket-attributes -D_GNU_SOURCE -iquote . -iquote runtime -iquote $(O)/gen \
	$(WARNINGS) -g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
DEPS_FUZZ    := clang

# What targets take from: all that is not a program, a command, or embeds one. An archive, so that a target can put its
# own functions in the place of a whole file (the supervisor, the shell).
FUZZED_SRC := $(filter-out runtime/main.c runtime/embed.c runtime/cmd_%.c,$(RUNTIME_SRC)) runtime/init/plan.c $(BASE_SRC) \
	$(MOUNT_RESOLVE_SRC) $(MOUNT_HOST_SRC) $(NETNS_SRC) $(SECCOMP_SRC) $(filter-out runtime/server/main.c,$(SERVER_SRC)) \
	$(filter-out rootfs-tools/main.c,$(ROOTFS_SRC))
FUZZ_LIBS  := -l:libmicrohttpd.a -l:libvterm.a $(ROOTFS_LIBS) $(RUNTIME_LIBS) $(NETNS_LIBS)

# Functions a target puts its own in the place of.
FUZZ_WRAP_user          := stack_read
FUZZ_WRAP_options       := read_path
FUZZ_WRAP_server_action := file_path file_looks_binary edit_load edit_store edit_view_directory action_ipython
FUZZ_WRAP_server_http   := job_client_gone
fuzz_wraps = $(addprefix -Wl$(comma)--wrap=,$(FUZZ_WRAP_$(1)))

FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

$(O)/obj/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/obj/fuzz/netns/%.o: FUZZ_CFLAGS += -isystem /usr/include/libnl3
$(O)/obj/fuzz/seccomp/builtin.o $(O)/obj/fuzz/seccomp/profile_cache.o: $(SECCOMP_GEN)

# Thin archives: names of files repeat between folders.
$(O)/obj/fuzz/fuzzed.a: $(FUZZED_SRC:%.c=$(O)/obj/fuzz/%.o)
$(O)/obj/tests/fuzz/fuzzed.a: $(FUZZED_SRC:%.c=$(O)/obj/%.o)
# The directories: a source that is no more is to leave the archive.
$(O)/obj/fuzz/fuzzed.a $(O)/obj/tests/fuzz/fuzzed.a: $(sort $(dir $(FUZZED_SRC)))
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) qcsT $@ $(filter %.o,$^)

$(FUZZ_NAMES:%=$(O)/obj/fuzz/fuzz_%): $(O)/obj/fuzz/fuzz_%: $(O)/obj/fuzz/tests/fuzz/fuzz_%.o $(O)/obj/fuzz/fuzzed.a
	$(FUZZ_CC) -fsanitize=fuzzer,address,undefined $(call fuzz_wraps,$*) -o $@ $^ $(FUZZ_LIBS)

# The library's references to TLS come after the archive.
$(O)/obj/fuzz/fuzz_server_http: $(O)/obj/fuzz/runtime/server/tls_absent.o
$(O)/tests/test_fuzz_server_http: $(O)/obj/runtime/server/tls_absent.o

# The same targets as tests: see replay.c.
FUZZ_TESTS := $(FUZZ_NAMES:%=$(O)/tests/test_fuzz_%)
TESTS += $(FUZZ_TESTS)

$(FUZZ_TESTS): $(O)/tests/test_fuzz_%: $(O)/obj/tests/fuzz/fuzz_%.o $(O)/obj/tests/fuzz/replay.o $(O)/obj/tests/fuzz/fuzzed.a
	@mkdir -p $(@D)
	$(CC) $(AZM_LDFLAGS) -pie $(call fuzz_wraps,$*) -o $@ $^ $(FUZZ_LIBS) -lcmocka

# One after the other: each uses a processor. Leaks of a whole input are looked for at its end.
$(FUZZ_NAMES:%=fuzz-run-%): fuzz-run-%: $(O)/obj/fuzz/fuzz_%
	@mkdir -p $(O)/fuzz/corpus/$* $(O)/fuzz/findings
	@echo "fuzz_$*: $(FUZZ_SECONDS) s"
	@$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1 \
		-artifact_prefix=$(O)/fuzz/findings/$*- $(O)/fuzz/corpus/$* tests/fuzz/corpus/$* 2>$(O)/fuzz/$*.log || \
		{ tail -n 60 $(O)/fuzz/$*.log; exit 1; }
	@grep -E 'number_of_executed_units|peak_rss' $(O)/fuzz/$*.log

deps-fuzz: deps
	@.ci/install-packages $(DEPS_FUZZ)
	@.ci/install-packages libclang-rt-$$($(FUZZ_CC) -dumpversion | cut -d. -f1)-dev

fuzz: deps-fuzz
	@for name in $(FUZZ_NAMES); do $(MAKE) --no-print-directory fuzz-run-$$name || exit 1; done

.PHONY: fuzz deps-fuzz $(FUZZ_NAMES:%=fuzz-run-%)

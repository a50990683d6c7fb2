# Programs only the tests and benchmarks use. Unit tests (tests/unit/test_*.c) are declared by the folder they test,
# which knows what they link with, and are collected in TESTS; this file is included last.

PROBE_SRC := $(wildcard tests/lib/probe*.c)
PROBE_OBJ := $(PROBE_SRC:%.c=$(O)/static/%.o) $(BASE_STATIC)

# What a sandbox sees of itself: runs inside, so it is static.
$(O)/tests/probe: $(PROBE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(STATIC_LDFLAGS) -o $@ $(PROBE_OBJ) $(OLD_LIBC_LIBS)

# Kills a process before its n-th system call.
$(O)/tests/crash: $(O)/obj/tests/lib/crash.o
	@mkdir -p $(@D)
	$(CC) $(AZM_LDFLAGS) -pie -o $@ $^ -lseccomp

TEST_PROGRAMS += $(O)/tests/probe $(O)/tests/crash

include tests/fuzz/module.mk

# A syntax error or a missing rule in one unit test must not go unnoticed: every test_*.c needs a rule of its folder.
UNDECLARED_TESTS = $(filter-out $(notdir $(TESTS)),$(basename $(notdir $(wildcard tests/unit/test_*.c))))

tests: programs $(TESTS) $(TEST_PROGRAMS)
	@for name in $(UNDECLARED_TESTS); do echo "tests/unit/$$name.c: no module.mk appends it to TESTS" >&2; done
	@test -z "$(strip $(UNDECLARED_TESTS))"

include tests/bench/module.mk

# Kills at a thousand points of the life of a sandbox, and looks what is left: half an hour.
CRASH_POINTS ?= 80
check-crash: deps-test
	@$(MAKE) --no-print-directory tests
	@AZM_CRASH_POINTS=$(CRASH_POINTS) AZM_TEST_TIMEOUT=7200 AZM_TEST_LIMIT=7200 tests/run-tests.sh $(O) tests/cli/crash.bats tests/crash/more.bats

# Real servers of VS Code: downloads 60 MB. CODE_SERVER: the program of an npm package code-server, tried as well.
check-vscode: $(O)/azm-runtime-server
	tests/server/vscode_real.py $(CODE_SERVER)

.PHONY: tests check-crash check-vscode

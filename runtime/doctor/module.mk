DOCTOR_OBJ  := $(patsubst %.c,$(O)/obj/%.o,$(wildcard runtime/doctor/*.c))
DOCTOR_LIBS := -l:libjansson.a -lmnl

# Refuses system calls to a command; the tests of every folder may use it.
DENY := $(O)/tests/deny
TEST_PROGRAMS += $(DENY)
$(DENY): $(O)/obj/tests/lib/deny.o $(O)/obj/runtime/base/names.o
	@mkdir -p $(@D)
	$(CC) $(AZM_LDFLAGS) -pie -o $@ $^ -l:libseccomp.a

DOCTOR_TESTS := $(patsubst tests/unit/%.c,$(O)/tests/%,$(wildcard tests/unit/test_doctor*.c))
TESTS += $(DOCTOR_TESTS)
# All but the command, which belongs to the program.
DOCTOR_TEST_OBJ := $(filter-out %/command.o,$(DOCTOR_OBJ))

$(DOCTOR_TESTS): $(O)/tests/%: $(O)/obj/tests/unit/%.o $(DOCTOR_TEST_OBJ) $(O)/obj/runtime/idmap.o $(BASE_OBJ) | $(DENY)
	@mkdir -p $(@D)
	$(CC) $(AZM_LDFLAGS) -pie -o $@ $^ $(DOCTOR_LIBS) -lcmocka

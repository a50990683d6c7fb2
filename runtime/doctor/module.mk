DOCTOR_OBJ := $(patsubst %.c,$(O)/obj/%.o,$(wildcard runtime/doctor/*.c))

# Refuses system calls to a command; the tests of every folder may use it.
DENY := $(O)/tests/deny
$(DENY): $(O)/obj/tests/lib/deny.o
	@mkdir -p $(@D)
	$(CC) $(AZM_LDFLAGS) -pie -o $@ $^ -l:libseccomp.a

# azm-init: static, no libraries. Embedded into azm-sandbox (runtime/embed.c).
INIT_SRC := runtime/init/main.c runtime/init/identity.c runtime/init/plan.c runtime/init/root_owned.c \
	runtime/init/user_limits.c runtime/init/workload.c
INIT_OBJ := $(INIT_SRC:%.c=$(O)/static/%.o)

$(O)/azm-init: $(INIT_OBJ) $(MOUNT_STATIC) $(SECCOMP_STATIC) $(BASE_STATIC)
	$(CC) $(STATIC_LDFLAGS) -o $@ $^
	strip $@
PROGRAMS += $(O)/azm-init

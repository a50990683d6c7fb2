# azm-runtime-server: fully static, so that it runs in any root filesystem.
SERVER_SRC  := $(wildcard runtime/server/*.c)
SERVER_BASE := $(BASE_SRC)
SERVER_LIBS := -l:libmicrohttpd.a -l:libjansson.a -l:libvterm.a -lm

$(O)/azm-runtime-server: $(SERVER_SRC:%.c=$(O)/static/%.o) $(SERVER_BASE:%.c=$(O)/static/%.o)
	$(CC) $(STATIC_LDFLAGS) -o $@ $^ $(SERVER_LIBS)

PROGRAMS += $(O)/azm-runtime-server

# The same program linked dynamically, for sanitizers (make SAN=1 build-san/test-server-san) and debuggers.
$(O)/test-server-san: $(SERVER_SRC:%.c=$(O)/obj/%.o) $(BASE_OBJ)
	$(CC) $(AZM_LDFLAGS) -pie -o $@ $^ $(SERVER_LIBS)
